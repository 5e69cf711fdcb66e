"""A reader of signed notes, written from the text of C2SP signed-note alone."""

from __future__ import annotations

import hashlib
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_note(note: str, vkey: str) -> str:
    """Check a note with a key of Ed25519; gives its text.

    Raises: AssertionError, InvalidSignature.
    """
    name, key_hash, encoded = vkey.split("+", 2)
    public = b64decode(encoded)
    assert public[0] == 1
    assert hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] == key_hash
    text, _, signatures = note.rpartition("\n\n")
    assert signatures.endswith("\n")
    checked = 0
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        assert dash == "—"
        raw = b64decode(signature, validate=True)
        if (signer, raw[:4].hex()) == (name, key_hash):
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], f"{text}\n".encode())
            checked += 1
    assert checked
    return f"{text}\n"
