"""Host: how trusted processes are started: plainly, or by Gramine in an SGX enclave.

`sgx_mode` says which, here and nowhere else. What was asked for is what runs, or nothing does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sealflow.errors import ConfigError, MalformedError
from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.host.enclave.sgx import GRAMINE, SYSTEM, missing_for_sgx
from sealflow.host.settings import BrokerSettings, read_file
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from sealflow.host.enclave.sgx import Machine

Role = Literal["worker", "keybroker"]
FATAL_HINTS: Final[dict[str | None, str]] = {
    Fatal.BOOT: "it does not understand this process: install the same version of both",
    Fatal.DEPLOYMENT: "deployment_file is damaged or contradicts itself",
    Fatal.TEE: "the TEE that deployment_file asks for is not on this machine, or "
    "simulated_platform_file is damaged",
    Fatal.NOT_DCAP: 'its manifest does not say sgx.remote_attestation = "dcap"',
}
"""Why a worker or a key broker ended, by its last word, where only the operator can mend it."""
_MANIFEST: Final = ".manifest.sgx"
_SIGNATURE: Final = ".sig"


class EnclaveConfig(BrokerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every process has that starts an enclave and serves a queue."""

    deployment_file: str
    """The settings that enclaves are measured with."""
    simulated_platform_file: str | None = None
    sgx_mode: Literal["nonsgx", "sgx"] = "nonsgx"
    """`sgx`: by Gramine, in an SGX enclave. `nonsgx`: as a plain process of this machine."""
    enclaves_dir: str | None = None
    """The folder of what runs inside: `bin/python`, and in `sgx` mode the signed manifests.
    None is this process's own Python, without SGX only."""
    collateral: CollateralConfig | None = None
    """Where endorsements of the hardware come from; a simulation has its own."""


def collateral_source(config: EnclaveConfig) -> CollateralSource | None:
    """Prepare what enclaves of real hardware ask for; None when nothing is configured.

    Raises: ConfigError.
    """
    return None if config.collateral is None else CollateralSource(config.collateral)


def enclave_command(
    config: EnclaveConfig, role: Role, machine: Machine = SYSTEM
) -> tuple[str, ...]:
    """Return the command line that starts a worker or a key broker.

    Raises: ConfigError when this machine or the deployment is not for the mode, with the reason.
    """
    _check_tee(config)
    folder = None if config.enclaves_dir is None else Path(config.enclaves_dir)
    if config.sgx_mode == "nonsgx":
        return _plain(folder, role)
    missing = missing_for_sgx(machine)
    if missing:
        raise ConfigError(
            f"sgx_mode is sgx, but {missing[0]}; `sealflow doctor` says more. With nonsgx the "
            "deployment must be a simulated one, which protects nothing"
        )
    if folder is None:
        raise ConfigError("sgx_mode is sgx: set enclaves_dir to the folder of the signed manifests")
    for suffix in (_MANIFEST, _SIGNATURE):
        if not (folder / f"{role}{suffix}").is_file():
            raise ConfigError(
                f"{folder / role}{suffix} is missing: enclaves are signed when the image is built, "
                "see `sealflow enclave sign`"
            )
    return (str(machine.path(GRAMINE)), str(folder / role))


def _plain(folder: Path | None, role: Role) -> tuple[str, ...]:
    python = sys.executable if folder is None else str(folder / "bin" / "python")
    if not os.access(python, os.X_OK):
        raise ConfigError(f"{python} does not run: set enclaves_dir to a Python environment")
    return (python, "-m", f"sealflow.trusted.{role}")


def _check_tee(config: EnclaveConfig) -> None:
    """Refuse a simulation in a real enclave, and the promise of one where none is."""
    settings = read_file(config.deployment_file, "deployment_file")
    try:
        tee = parse_object(settings, "deployment").get("tee")
        if not isinstance(tee, str):
            raise MalformedError("it names no TEE")  # noqa: TRY301
    except MalformedError as error:
        raise ConfigError(f"deployment_file {config.deployment_file}: {error}") from error
    if (tee == "sgx") != (config.sgx_mode == "sgx"):
        raise ConfigError(
            f"sgx_mode is {config.sgx_mode}, but deployment_file {config.deployment_file} is for "
            f"the TEE {tee}: take the settings that belong together"
        )
    if (tee == "simulated") != (config.simulated_platform_file is not None):
        raise ConfigError(
            f"simulated_platform_file belongs to a simulated TEE, and only to one: this is {tee}"
        )
