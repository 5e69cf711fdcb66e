"""Host: fetch Intel's collateral from the operator's provisioning caching service (PCCS).

Source: Intel PCCS API and Provisioning Certification Service API, version 4.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sealflow.errors import MalformedError, UnavailableError
from sealflow.host.collateral.der import unverified_crl, unverified_span
from sealflow.host.collateral.download import FetchedCollateral

if TYPE_CHECKING:
    from sealflow.host.collateral.download import Reply, Server
    from sealflow.wire.collateral_request import IntelCollateralRequest

_SIGNATURE: Final = re.compile(r'\s*,\s*"signature"\s*:\s*"([0-9a-fA-F]{128})"\s*\}\s*')
_CHAIN_START: Final = "-----BEGIN CERTIFICATE-----"
_HINT: Final = "is pccs_url the address of a PCCS of version 4?"


def fetch_intel(server: Server, request: IntelCollateralRequest) -> FetchedCollateral:
    """Fetch the TCB info, the identity of the quoting enclave and both revocation lists.

    Raises: UnavailableError that names the address and the reason.
    """
    sgx, tee = "/sgx/certification/v4", f"/{request.tee}/certification/v4"
    tcb_path, qe_path = f"{tee}/tcb?fmspc={request.fmspc}", f"{tee}/qe/identity"
    crl_path, root_path = f"{sgx}/pckcrl?ca={request.ca}&encoding=der", f"{sgx}/rootcacrl"
    tcb, qe = server.get(tcb_path), server.get(qe_path)
    crl, root_crl = server.get(crl_path), server.get(root_path)
    path = tcb_path
    try:
        tcb_info, tcb_signature, tcb_span = _signed_text(tcb, "tcbInfo")
        tcb_chain = _chain(tcb, "tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
        path = qe_path
        identity, qe_signature, qe_span = _signed_text(qe, "enclaveIdentity")
        qe_chain = _chain(qe, "sgx-enclave-identity-issuer-chain")
        path = crl_path
        pck_crl, crl_chain = unverified_crl(crl.body), _chain(crl, "sgx-pck-crl-issuer-chain")
        crl_span = unverified_span(pck_crl)
        path = root_path
        root = unverified_crl(root_crl.body)
        spans = (tcb_span, qe_span, crl_span, unverified_span(root))
    except MalformedError as error:
        raise UnavailableError(f"{server.url(path)}: {error}; {_HINT}") from error
    collateral = {
        "pck_crl_issuer_chain": crl_chain,
        "root_ca_crl": root.hex(),
        "pck_crl": pck_crl.hex(),
        "tcb_info_issuer_chain": tcb_chain,
        "tcb_info": tcb_info,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": qe_chain,
        "qe_identity": identity,
        "qe_identity_signature": qe_signature,
    }
    return FetchedCollateral(
        collateral=json.dumps(collateral).encode(),
        issued_s=max(start for start, _ in spans),
        expires_s=min(end for _, end in spans),
    )


def _signed_text(reply: Reply, name: str) -> tuple[str, str, tuple[int, int]]:
    """Return the signed text of a response byte for byte, its signature in hex, and its validity.

    The validity is `issueDate` and `nextUpdate` in Unix seconds.

    Raises: MalformedError.
    """
    try:
        text = reply.body.decode()
        head = re.match(rf'\s*\{{\s*"{name}"\s*:\s*', text)
        if head is None:
            raise MalformedError(f"the answer has no {name}")
        value, end = json.JSONDecoder().raw_decode(text, head.end())
        tail = _SIGNATURE.fullmatch(text, end)
        if tail is None:
            raise MalformedError(f"the answer has no signature of {name}")
        span = _unix_seconds(value["issueDate"]), _unix_seconds(value["nextUpdate"])
        return text[head.end() : end], tail[1], span
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(f"{name} in the answer is malformed") from error


def _unix_seconds(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def _chain(reply: Reply, *names: str) -> str:
    for name in names:
        chain = unquote(reply.headers.get(name, ""))
        if chain.startswith(_CHAIN_START):
            return chain
    raise MalformedError(f"the answer has no certificate chain in the header {names[0]}")
