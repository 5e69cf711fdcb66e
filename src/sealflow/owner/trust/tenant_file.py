"""Owner: reads the file of a tenant's token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.documents.tenant_token import MAX_TOKEN_CHARACTERS
from sealflow.errors import ConfigError
from sealflow.files import file_errors

if TYPE_CHECKING:
    import os

_TOKEN: Final = re.compile(rf"[!-~]{{1,{MAX_TOKEN_CHARACTERS}}}")


def read_tenant_token(path: str | os.PathLike[str]) -> str:
    """Return the token in a file of one line, not verified: workers do that.

    Raises: ConfigError when the file cannot be read, or has no token.
    """
    with file_errors(f"tenant token {path}"):
        text = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if _TOKEN.fullmatch(text) is None:
        raise ConfigError(f"tenant token {path}: it is not one line with a token")
    return text
