"""Core: chunked authenticated encryption of bodies and model files. Spec: exchange.md, 6.2.

Cobblestone-256 (C2SP chunked-encryption): AES-256-GCM in 16 KiB chunks. It commits to key and
context and detects truncation. Each key encrypts one message only.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from sealflow.errors import OpenError

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BYTES: Final = 32
_CHUNK_BYTES: Final = 16 * 1024
_HEAD_BYTES: Final = 24 + 32
_TAG_BYTES: Final = 16
_PIECE_BYTES: Final = 64 * 1024


def chunked_length(length: int) -> int:
    """Return the sealed length of `length` bytes: with salt, commitment and a tag per chunk."""
    return _HEAD_BYTES + length + (length // _CHUNK_BYTES + 1) * _TAG_BYTES


def seal_chunked(key: bytes, context: bytes, parts: Iterable[bytes | memoryview]) -> bytes:
    """Encrypt the concatenation of `parts` as one message.

    `key`: `KEY_BYTES` bytes that encrypt no other message. `context`: associated data; the message
    opens only with the same context.
    """
    encryptor = Cobblestone256Encryptor(key, context)
    sealed = [encryptor.update(part) for part in parts]
    sealed.append(encryptor.finalize())
    return b"".join(sealed)


def open_chunked(key: bytes, context: bytes, sealed: bytes | memoryview) -> bytes:
    """Decrypt a whole message, and return it only after its last chunk is verified.

    Memory holds the plaintext once: decryption appends 64 KiB pieces to one buffer.

    Raises: OpenError, for any failure.
    """
    view = memoryview(sealed)
    opened = io.BytesIO()
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        for at in range(0, len(view), _PIECE_BYTES):
            opened.write(decryptor.update(view[at : at + _PIECE_BYTES]))
        opened.write(decryptor.finalize())
        return opened.getvalue()
    except (InvalidTag, ValueError):
        raise OpenError from None
