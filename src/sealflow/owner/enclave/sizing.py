"""Owner, pure: how large an enclave must be, from what is to run in it.

Both figures are part of its measurement. Source: Gramine 1.9, manifest syntax, `sgx.enclave_size`
and `sgx.max_threads`; measured in `gramine-direct`, not on hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealflow.attest.evidence import Role
from sealflow.errors import ConfigError

MAX_THREADS: Final = 256
_FIXED_MIB: Final = {Role.WORKER: 640, Role.KEY_BROKER: 512}
_COPIES_OF_WEIGHTS: Final = 5
"""While a model loads: its package, its files, and what the runtime parses, compiles and packs."""
_GRAMINE_THREADS: Final = 3
_OWN_THREADS: Final = {Role.WORKER: 4, Role.KEY_BROKER: 1}
_SPARE_THREADS: Final = 4
_MAX_MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveLoad:
    """What an enclave has to carry.

    `threads`: of a model's runtime, as in the engine's settings. `models`: loaded at a time.
    `weights_mib`: of all these models together, in MiB.

    Raises: ConfigError.
    """

    threads: int = 1
    models: int = 4
    weights_mib: int = 64

    def __post_init__(self) -> None:
        """Refuse what no enclave could carry."""
        if not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads: must be 1 to {MAX_THREADS}")
        if self.models < 1 or self.weights_mib < 0:
            raise ConfigError("models must be at least 1, and weights at least 0 MiB")


def enclave_mib(role: Role, load: EnclaveLoad) -> int:
    """Return the least size that will do, in MiB; a power of two, as SGX wants it.

    Raises: ConfigError when it would be over 1 TiB.
    """
    weights = load.weights_mib if role is Role.WORKER else 0
    wanted = _FIXED_MIB[role] + _COPIES_OF_WEIGHTS * weights
    size = 1 << (wanted - 1).bit_length()
    if size > _MAX_MIB:
        raise ConfigError(f"{load.weights_mib} MiB of weights would need an enclave over 1 TiB")
    return size


def max_threads(role: Role, load: EnclaveLoad) -> int:
    """Return the number of thread slots: our own threads, Gramine's, and each model's pool.

    OpenVINO has one thread for a model beside those that compute.
    """
    pools = (load.threads + 1) * load.models if role is Role.WORKER else 0
    return _OWN_THREADS[role] + _GRAMINE_THREADS + pools + _SPARE_THREADS
