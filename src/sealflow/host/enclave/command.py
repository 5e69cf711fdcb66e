"""Host: build the command that starts a trusted process, plainly or by Gramine in SGX.

Only the setting `sgx_mode` chooses between the two. If that mode is not possible here, starting
fails; there is no fallback.
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
    Fatal.BOOT: "it cannot read the boot message: install the same version of Sealflow in the host "
    "and in the enclave",
    Fatal.ISOLATION: "it needs Python with -I, in an environment whose sys.path has the standard "
    "library and one site-packages folder, and a kernel with seccomp: remove what adds folders to "
    "sys.path (.pth files, system site-packages); as root, it also needs files that other users "
    "may read",
    Fatal.DEPLOYMENT: "deployment_file is damaged or contradicts itself",
    Fatal.TEE: "the TEE that deployment_file names is not on this machine, or "
    "simulated_platform_file is damaged",
    Fatal.STATE: "its stored state does not open on this machine: start it where it ran before, or "
    "return to an earlier state, which `sealflow state list` shows",
    Fatal.NOT_DCAP: 'its Gramine manifest does not set sgx.remote_attestation = "dcap"',
}
"""What a FATAL frame means, by its word, for the errors that only the operator can fix."""
_MANIFEST: Final = ".manifest.sgx"
_SIGNATURE: Final = ".sig"


class EnclaveConfig(BrokerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings shared by the processes that start enclaves: engine and key broker host."""

    deployment_file: str
    """A JSON file of the deployment settings; each enclave's evidence includes their digest."""
    simulated_platform_file: str | None = None
    """A file with the keys of the simulated platform; only for a simulated TEE."""
    sgx_mode: Literal["nonsgx", "sgx"] = "nonsgx"
    """`sgx`: start enclaves by Gramine, in SGX. `nonsgx`: start them as plain processes."""
    enclaves_dir: str | None = None
    """The folder of the enclave programs: `bin/python`, and in `sgx` mode the signed manifests.
    None uses the interpreter of this process; that is allowed in `nonsgx` mode only."""
    collateral: CollateralConfig | None = None
    """The sources of collateral for hardware TEEs; a simulated TEE needs none."""


def collateral_source(config: EnclaveConfig) -> CollateralSource | None:
    """Return the collateral source of these settings, or None when none is configured.

    Raises: ConfigError.
    """
    return None if config.collateral is None else CollateralSource(config.collateral)


def enclave_command(
    config: EnclaveConfig, role: Role, machine: Machine = SYSTEM
) -> tuple[str, ...]:
    """Return the command line that starts a worker or a key broker.

    Raises: ConfigError with the reason when this machine or the deployment does not support
        `sgx_mode`.
    """
    _check_tee(config)
    folder = None if config.enclaves_dir is None else Path(config.enclaves_dir)
    if config.sgx_mode == "nonsgx":
        return _plain_command(folder, role)
    missing = missing_for_sgx(machine)
    if missing:
        raise ConfigError(
            f"sgx_mode is sgx, but {missing[0]}; run `sealflow doctor` for details. Mode nonsgx "
            "needs a simulated deployment, which protects nothing"
        )
    if folder is None:
        raise ConfigError("sgx_mode is sgx: set enclaves_dir to the folder of the signed manifests")
    for suffix in (_MANIFEST, _SIGNATURE):
        if not (folder / f"{role}{suffix}").is_file():
            raise ConfigError(
                f"{folder / role}{suffix} is missing: sign the enclaves when you build the image, "
                "with `sealflow enclave sign`"
            )
    return (str(machine.path(GRAMINE)), str(folder / role))


def _plain_command(folder: Path | None, role: Role) -> tuple[str, ...]:
    python = sys.executable if folder is None else str(folder.absolute() / "bin" / "python")
    if not os.access(python, os.X_OK):
        raise ConfigError(f"{python} is not executable: set enclaves_dir to a Python environment")
    return (python, "-I", "-B", "-m", f"sealflow.trusted.{role}")


def _check_tee(config: EnclaveConfig) -> None:
    """Check that `sgx_mode` and `simulated_platform_file` match the TEE of the deployment."""
    settings = read_file(config.deployment_file, "deployment_file")
    try:
        tee = parse_object(settings, "deployment").get("tee")
        if not isinstance(tee, str):
            raise MalformedError("it does not name a TEE")  # noqa: TRY301
    except MalformedError as error:
        raise ConfigError(f"deployment_file {config.deployment_file}: {error}") from error
    if (tee == "sgx") != (config.sgx_mode == "sgx"):
        raise ConfigError(
            f"sgx_mode is {config.sgx_mode}, but deployment_file {config.deployment_file} is for "
            f"the TEE {tee}: set both for the same TEE"
        )
    if (tee == "simulated") != (config.simulated_platform_file is not None):
        raise ConfigError(
            "set simulated_platform_file for a simulated TEE and for no other: deployment_file "
            f"{config.deployment_file} is for the TEE {tee}"
        )
