"""Core, pure: chains of certificates in PEM, in the one form that is accepted.

Spec: attestation.md, 6.6; quotes.md, 1.3.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64
from typing import Final

from sealflow.errors import MalformedError

INTEL_ROOT_DIGEST: Final = bytes.fromhex(
    "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
)
"""SHA-256 of the DER of `Intel SGX Root CA`, valid until 2049-12-31."""
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def parse_chain(text: str, length: int, root_digest: bytes, what: str) -> tuple[bytes, ...]:
    """Return the certificates of a chain in DER, the leaf first.

    There must be `length` of them, with only white space around them, and SHA-256 of the last must
    be `root_digest`. `what`: the name of the chain for error messages. The DER is not parsed.

    Raises: MalformedError.
    """
    *blocks, rest = text.split(_END)
    if len(blocks) != length or not text.isascii() or rest.strip():
        raise MalformedError(f"{what}: not a chain of {length} certificates")
    found = tuple([_der(block.strip(), what) for block in blocks])
    if hashlib.sha256(found[-1]).digest() != root_digest:
        raise MalformedError(f"{what}: it does not end in the trusted root")
    return found


def _der(block: str, what: str) -> bytes:
    # A block is stripped, so only what follows the first line can begin with white space.
    body = block.removeprefix(_BEGIN)
    if not body[:1].isspace():
        raise MalformedError(f"{what}: a certificate is not PEM")
    try:
        return a2b_base64("".join(body.split()), strict_mode=True)
    except ValueError as error:
        raise MalformedError(f"{what}: a certificate is not base64") from error
