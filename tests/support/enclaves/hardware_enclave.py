"""A trusted process on a trust domain's hardware that is played; all else in it is real.

`python -m tests.support.enclaves.hardware_enclave worker|keybroker FOLDER`: FOLDER is the kernel's.
"""

from __future__ import annotations

import importlib
import sys
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


def main(module: str, folder: Path) -> None:
    """Run one trusted process."""
    kernel = TsmFolder(lambda data: LAB.quote(tdx_body(data)))

    def played(deployment: Deployment) -> tuple[QuoteSource, bytes]:
        assert deployment.tee is Tee.TDX
        return TsmQuoter(Tee.TDX, folder, kernel.make, kernel.remove), bytes(32)

    identity.detect_hardware = played
    entry = "worker.threads" if module == "worker" else "keybroker.__main__"
    run_enclave(importlib.import_module(f"sealflow.trusted.{entry}").serve)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
