"""Core, pure: chains of certificates in PEM, in the one form that is accepted.

Spec: attestation.md, 6.6; quotes.md, 1.3.
"""

from __future__ import annotations

import hashlib
import re
from binascii import a2b_base64
from typing import Final

from sealflow.errors import MalformedError

INTEL_ROOT_DIGEST: Final = bytes.fromhex(
    "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
)
"""SHA-256 of the DER of `Intel SGX Root CA`, valid until 2049-12-31."""
_CERTIFICATE: Final = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII
)


def parse_chain(text: str, length: int, root_digest: bytes, what: str) -> tuple[bytes, ...]:
    """Return the certificates of a chain in DER, the leaf first.

    There must be `length` of them, with only white space around them, and SHA-256 of the last must
    be `root_digest`. `what`: the name of the chain for error messages. The DER is not parsed.

    Raises: MalformedError.
    """
    found: list[bytes] = []
    end = 0
    while end < len(text):
        match = _CERTIFICATE.match(text, end)
        if match is None:
            raise MalformedError(f"{what}: not a chain of {length} certificates")
        found.append(_der(match[1], what))
        end = match.end()
    if len(found) != length:
        raise MalformedError(f"{what}: not a chain of {length} certificates")
    if hashlib.sha256(found[-1]).digest() != root_digest:
        raise MalformedError(f"{what}: it does not end in the trusted root")
    return tuple(found)


def _der(body: str, what: str) -> bytes:
    try:
        return a2b_base64("".join(body.split()), strict_mode=True)
    except ValueError as error:
        raise MalformedError(f"{what}: a certificate is not base64") from error
