"""A trusted process on a trust domain's hardware that is played; all else in it is real.

`EnclaveProcess` starts it: FOLDER is the kernel's. The process is not confined, because the kernel
that is played here writes files.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from sealflow.attest.evidence import Tee
from sealflow.trusted.identity import identity
from sealflow.trusted.identity.hardware_quotes import TsmQuoter
from sealflow.trusted.process import run_enclave
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.quote_bodies import tdx_body
from tests.support.enclaves.attestation_devices import TsmFolder

if TYPE_CHECKING:
    from sealflow.attest.deployment import Deployment
    from sealflow.trusted.identity.hardware_quotes import QuoteSource

LAB = DcapAuthority(tee="TDX")


def main(module: str, folder: str) -> None:
    """Run one trusted process."""
    kernel = TsmFolder(lambda data: LAB.quote(tdx_body(data)))

    def played(deployment: Deployment) -> tuple[QuoteSource, bytes]:
        assert deployment.tee is Tee.TDX
        return TsmQuoter(Tee.TDX, Path(folder), kernel.make, kernel.remove), bytes(32)

    identity.detect_hardware = played
    entry = "worker.threads" if module == "worker" else "keybroker.__main__"
    entered = importlib.import_module(f"sealflow.trusted.{entry}")
    vars(entered)["confine"] = lambda _: None
    run_enclave(entered.serve)
