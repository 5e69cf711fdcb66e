"""Owner, pure: computes the size and the number of threads of an enclave from its load.

Both are part of the enclave's measurement. Source: Gramine 1.9, manifest syntax,
`sgx.enclave_size` and `sgx.max_threads`. The constants were measured in `gramine-direct`, not on
hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealflow.attest.evidence import Role
from sealflow.errors import ConfigError

MAX_THREADS: Final = 256
_FIXED_MIB: Final = {Role.WORKER: 640, Role.KEY_BROKER: 512}
_COPIES_OF_WEIGHTS: Final = 5
"""Copies of a model's weights in memory while it loads: the package, the files, and three of the
runtime (parsed, compiled and packed)."""
_GRAMINE_THREADS: Final = 3
_OWN_THREADS: Final = {Role.WORKER: 4, Role.KEY_BROKER: 1}
_SPARE_THREADS: Final = 4
_MAX_MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveLoad:
    """The load of an enclave.

    `threads`: threads of a model's runtime, 1 to `MAX_THREADS`, as in the engine's settings.
    `models`: maximum number of loaded models. `weights_mib`: weights of all these models together,
    in MiB.

    Raises: ConfigError when a value is out of range.
    """

    threads: int = 1
    models: int = 4
    weights_mib: int = 64

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads is {self.threads}: it must be 1 to {MAX_THREADS}")
        if self.models < 1 or self.weights_mib < 0:
            raise ConfigError(
                f"models is {self.models} and weights {self.weights_mib} MiB: they must be at "
                "least 1 and at least 0 MiB"
            )


def enclave_mib(role: Role, load: EnclaveLoad) -> int:
    """Return the smallest sufficient size of an enclave in MiB: a power of two, as SGX requires.

    Raises: ConfigError when it would be over 1 TiB.
    """
    weights = load.weights_mib if role is Role.WORKER else 0
    required = _FIXED_MIB[role] + _COPIES_OF_WEIGHTS * weights
    size = 1 << (required - 1).bit_length()
    if size > _MAX_MIB:
        raise ConfigError(f"{load.weights_mib} MiB of weights need an enclave of over 1 TiB")
    return size


def max_threads(role: Role, load: EnclaveLoad) -> int:
    """Return the number of thread slots: for own threads, Gramine's, and the pool of each model.

    A model's pool is one thread larger than `threads`, as OpenVINO has a thread per model that
    does not compute.
    """
    pools = (load.threads + 1) * load.models if role is Role.WORKER else 0
    return _OWN_THREADS[role] + _GRAMINE_THREADS + pools + _SPARE_THREADS
