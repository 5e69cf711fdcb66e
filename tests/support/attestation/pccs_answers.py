"""What a PCCS answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.support.network.web_server import Answer


def pccs_answers(collateral: bytes, tee: str, fmspc: str, ca: str) -> dict[str, Answer]:
    """What a PCCS answers that holds this collateral."""
    parts: dict[str, str] = json.loads(collateral)
    sgx, own = "/sgx/certification/v4", f"/{tee}/certification/v4"
    info = f'{{"tcbInfo":{parts["tcb_info"]},"signature":"{parts["tcb_info_signature"]}"}}'
    identity = (
        f'{{"enclaveIdentity":{parts["qe_identity"]},'
        f'"signature":"{parts["qe_identity_signature"]}"}}'
    )
    return {
        f"{own}/tcb?fmspc={fmspc}": (
            200,
            {"TCB-Info-Issuer-Chain": quote(parts["tcb_info_issuer_chain"])},
            info.encode(),
        ),
        f"{own}/qe/identity": (
            200,
            {"SGX-Enclave-Identity-Issuer-Chain": quote(parts["qe_identity_issuer_chain"])},
            identity.encode(),
        ),
        f"{sgx}/pckcrl?ca={ca}&encoding=der": (
            200,
            {"SGX-PCK-CRL-Issuer-Chain": quote(parts["pck_crl_issuer_chain"])},
            bytes.fromhex(parts["pck_crl"]),
        ),
        # Intel's PCCS writes this one in hex.
        f"{sgx}/rootcacrl": (200, {}, parts["root_ca_crl"].encode()),
    }
