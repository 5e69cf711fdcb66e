"""Core, pure: the form of unverified Intel collateral. Spec: attestation.md, section 6.

The library dcap-qvl verifies the signatures, but takes several forms of the same collateral. This
module accepts one form, so that all verifiers come to the same verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import dcap_qvl
from cryptography import x509

from sealflow.attest.intel.certificates import parse_chain
from sealflow.attest.x509_errors import X509_ERRORS
from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHAINS: Final = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
_LISTS: Final = ("pck_crl", "root_ca_crl")
_DOCUMENTS: Final = ("tcb_info", "qe_identity")
_SIGNATURES: Final = ("tcb_info_signature", "qe_identity_signature")
_SIGNATURE_BYTES: Final = 64
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)
_CHAIN_LENGTH: Final = 2
_REMEMBERED: Final = 4
_VERSIONS: Final = {"tcb_info": 3, "qe_identity": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedCollateral:
    """Unverified collateral as the library takes it, and facts of it.

    `issued_s`: Unix seconds of the oldest of TCB info, QE identity and PCK revocation list.
    `pck_issuer`: the DER of the certificate whose key signed the PCK revocation list.
    """

    library: dcap_qvl.QuoteCollateralV3
    issued_s: int
    pck_issuer: bytes


@lru_cache(maxsize=_REMEMBERED)
def parse_collateral(collateral: bytes, root_digest: bytes) -> UnverifiedCollateral:
    """Parse collateral in its one form.

    What parsed is remembered: a service shows the same collateral for hours, and so do all workers
    of one kind of platform.

    `root_digest`: SHA-256 of the DER of the root certificate in which every chain must end.

    Raises: MalformedError.
    """
    fields = Fields.from_bytes(
        collateral, "collateral", (*_CHAINS, *_LISTS, *_DOCUMENTS, *_SIGNATURES)
    )
    chains: dict[str, tuple[bytes, ...]] = {}
    for name in _CHAINS:
        text = fields.text(name)
        # TCB info and QE identity have the same chain.
        if text not in chains:
            chains[text] = parse_chain(text, _CHAIN_LENGTH, root_digest, name)
    binary = {name: _from_hex(fields, name) for name in (*_SIGNATURES, *_LISTS)}
    for name in _SIGNATURES:
        if len(binary[name]) != _SIGNATURE_BYTES:
            raise fields.malformed(name, f"is not {_SIGNATURE_BYTES} bytes")
    issued_s = [_list_issued_s(fields, name, binary[name]) for name in _LISTS]
    documents = {
        name: parse_object(fields.text(name).encode(), f"collateral: {name}") for name in _DOCUMENTS
    }
    for name, document in documents.items():
        if document.get("version") != _VERSIONS[name]:
            raise fields.malformed(name, f"is not of version {_VERSIONS[name]}")
    if documents["tcb_info"].get("tcbType") != 0:
        raise fields.malformed("tcb_info", "is not of tcbType 0")
    dates = [_issue_date_s(document, name) for name, document in documents.items()]
    texts = {name: fields.text(name) for name in (*_CHAINS, *_DOCUMENTS)}
    return UnverifiedCollateral(
        library=dcap_qvl.QuoteCollateralV3(**texts, **binary),
        issued_s=min(issued_s[0], *dates),
        pck_issuer=chains[fields.text(_CHAINS[0])][0],
    )


def _from_hex(fields: Fields, name: str) -> bytes:
    text = fields.text(name)
    try:
        content = bytes.fromhex(text)
    except ValueError as error:
        raise fields.malformed(name, "is not hex") from error
    if content.hex() != text:
        raise fields.malformed(name, "is not lower-case hex without spaces")
    return content


def _list_issued_s(fields: Fields, name: str, content: bytes) -> int:
    """Return when a revocation list was issued, in Unix seconds."""
    try:
        return int(x509.load_der_x509_crl(content).last_update_utc.timestamp())
    except X509_ERRORS as error:
        raise fields.malformed(name, "is not a revocation list in DER") from error


def _issue_date_s(document: Mapping[str, object], name: str) -> int:
    text = document.get("issueDate")
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp")
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError as error:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp") from error
