"""Core, pure: the form of unverified Intel collateral. Spec: attestation.md, section 6.

The library dcap-qvl verifies the signatures, but takes several forms of the same collateral. This
module accepts one form, so that all verifiers come to the same verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

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
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_CHAIN_LENGTH: Final = 2
_VERSIONS: Final = {"tcb_info": 3, "qe_identity": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedCollateral:
    """Facts of unverified collateral.

    `issued_s`: Unix seconds of the oldest of TCB info, QE identity and PCK revocation list.
    `pck_issuer`: the DER of the certificate whose key signed the PCK revocation list.
    """

    issued_s: int
    pck_issuer: bytes


def parse_collateral(collateral: bytes, root_digest: bytes) -> UnverifiedCollateral:
    """Parse collateral in its one form.

    `root_digest`: SHA-256 of the DER of the root certificate in which every chain must end.

    Raises: MalformedError.
    """
    fields = Fields.from_bytes(
        collateral, "collateral", (*_CHAINS, *_LISTS, *_DOCUMENTS, *_SIGNATURES)
    )
    chains = [parse_chain(fields.text(name), _CHAIN_LENGTH, root_digest, name) for name in _CHAINS]
    for name in _SIGNATURES:
        if _SIGNATURE.fullmatch(fields.text(name)) is None:
            raise fields.malformed(name, "is not 64 bytes in lower-case hex")
    lists = [_revocation_list(fields, name) for name in _LISTS]
    documents = {
        name: parse_object(fields.text(name).encode(), f"collateral: {name}") for name in _DOCUMENTS
    }
    for name, document in documents.items():
        if document.get("version") != _VERSIONS[name]:
            raise fields.malformed(name, f"is not of version {_VERSIONS[name]}")
    if documents["tcb_info"].get("tcbType") != 0:
        raise fields.malformed("tcb_info", "is not of tcbType 0")
    issued_s = min(
        int(lists[0].last_update_utc.timestamp()),
        *(_issue_date_s(document, name) for name, document in documents.items()),
    )
    return UnverifiedCollateral(issued_s=issued_s, pck_issuer=chains[0][0])


def _revocation_list(fields: Fields, name: str) -> x509.CertificateRevocationList:
    text = fields.text(name)
    if _HEX.fullmatch(text) is None:
        raise fields.malformed(name, "is not lower-case hex")
    try:
        return x509.load_der_x509_crl(bytes.fromhex(text))
    except X509_ERRORS as error:
        raise fields.malformed(name, "is not a revocation list in DER") from error


def _issue_date_s(document: Mapping[str, object], name: str) -> int:
    text = document.get("issueDate")
    if not isinstance(text, str) or _TIME.fullmatch(text) is None:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp")
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise MalformedError(f"{name}: issueDate is not a UTC timestamp") from error
