"""Core, pure: when Intel's collateral was issued, read from the bytes that the verifier judges.

The verifier's own dates include certificates of many years, or only the newest part: an old TCB
info beside a fresh revocation list would pass for fresh. Here the oldest part counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sealflow.attest.x509_errors import X509_ERRORS
from sealflow.errors import MalformedError
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedDates:
    """Unix seconds: when the oldest part was issued, of those that Intel issues every month."""

    issued_s: int


def read_dates(collateral: bytes) -> UnverifiedDates:
    """Read TCB info, QE identity and the PCK revocation list.

    Raises: MalformedError.
    """
    value = parse_object(collateral, "collateral")
    issued = [
        _issued(parse_object(_text(value, name).encode(), name), name)
        for name in ("tcb_info", "qe_identity")
    ]
    try:
        crl = x509.load_der_x509_crl(bytes.fromhex(_text(value, "pck_crl")))
        issued.append(int(crl.last_update_utc.timestamp()))
    except X509_ERRORS as error:
        raise MalformedError("pck_crl: not a revocation list in DER and hex") from error
    return UnverifiedDates(issued_s=min(issued))


def _issued(value: Mapping[str, object], name: str) -> int:
    text = value.get("issueDate")
    if not isinstance(text, str) or _TIME.fullmatch(text) is None:
        raise MalformedError(f"{name}: issueDate is no time in UTC")
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise MalformedError(f"{name}: issueDate is no time in UTC") from error


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise MalformedError(f"{name}: not a string")
    return text
