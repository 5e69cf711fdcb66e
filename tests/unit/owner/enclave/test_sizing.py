"""How large enclaves are."""

from __future__ import annotations

import pytest

from sealflow.errors import ConfigError
from sealflow.owner import Role
from sealflow.owner.enclave.sizing import EnclaveLoad, enclave_mib, max_threads


@pytest.mark.parametrize(
    ("weights_mib", "size_mib"),
    [(0, 1024), (76, 1024), (77, 2048), (281, 2048), (282, 4096), (4096, 32768)],
)
def test_worker(weights_mib: int, size_mib: int) -> None:
    """A worker's enclave holds five copies of the weights, in a power of two, 1 GiB at least."""
    assert enclave_mib(Role.WORKER, EnclaveLoad(weights_mib=weights_mib)) == size_mib


def test_key_broker() -> None:
    """A key broker holds no models, so that their size and threads do not change it."""
    large = EnclaveLoad(threads=32, models=8, weights_mib=4096)
    assert enclave_mib(Role.KEY_BROKER, large) == enclave_mib(Role.KEY_BROKER, EnclaveLoad()) == 512
    assert max_threads(Role.KEY_BROKER, large) == max_threads(Role.KEY_BROKER, EnclaveLoad()) == 8


@pytest.mark.parametrize(("threads", "models", "slots"), [(1, 1, 13), (2, 4, 23), (8, 4, 47)])
def test_threads(threads: int, models: int, slots: int) -> None:
    """Every model has a pool of its own beside our threads and Gramine's."""
    assert max_threads(Role.WORKER, EnclaveLoad(threads=threads, models=models)) == slots


@pytest.mark.parametrize(
    "settings", [{"threads": 0}, {"threads": 257}, {"models": 0}, {"weights_mib": -1}]
)
def test_senseless(settings: dict[str, int]) -> None:
    """Figures that no enclave has are refused."""
    with pytest.raises(ConfigError):
        EnclaveLoad(**settings)


def test_too_large() -> None:
    """Weights that fit no enclave are refused."""
    with pytest.raises(ConfigError, match="over 1 TiB"):
        enclave_mib(Role.WORKER, EnclaveLoad(weights_mib=2**20))
