"""Owner: reads the file of a tenant's token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sealflow.documents.tenant_token import MAX_TOKEN_CHARACTERS
from sealflow.errors import ConfigError
from sealflow.files import file_errors

if TYPE_CHECKING:
    import os


def read_tenant_token(path: str | os.PathLike[str]) -> str:
    """Return the token in a file of one line, not verified: workers do that.

    Raises: ConfigError when the file cannot be read, or has no token.
    """
    with file_errors(f"tenant token {path}"):
        text = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if not text.isascii() or not 0 < len(text) <= MAX_TOKEN_CHARACTERS or " " in text:
        raise ConfigError(f"tenant token {path}: it is not one line with a token")
    return text
