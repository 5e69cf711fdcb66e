"""Core: chunked authenticated encryption of bodies and model files. Spec: exchange.md, section 5.

Cobblestone-256 (C2SP chunked-encryption): AES-256-GCM in 16 KiB chunks, committing to key and
context, with truncation detected. A key is used for one message only.
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
    """How long `length` bytes are once sealed: salt, commitment, and a tag for every chunk."""
    return _HEAD_BYTES + length + (length // _CHUNK_BYTES + 1) * _TAG_BYTES


def seal_chunked(key: bytes, context: bytes, parts: Iterable[bytes | memoryview]) -> bytes:
    """Seal pieces as one message.

    `key`: 32 bytes, used this once. `context`: what the message is bound to.
    """
    encryptor = Cobblestone256Encryptor(key, context)
    sealed = [encryptor.update(part) for part in parts]
    sealed.append(encryptor.finalize())
    return b"".join(sealed)


def open_chunked(key: bytes, context: bytes, sealed: bytes | memoryview) -> bytes:
    """Open a whole message; nothing comes out before its last chunk is verified.

    Holds the opened message once, however large: it is gathered piece by piece.

    Raises: OpenError, for whatever reason.
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
