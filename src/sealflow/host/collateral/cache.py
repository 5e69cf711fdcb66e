"""Host: collateral on disk, with how long it lasts; shared by all processes of a machine."""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from sealflow.errors import ConfigError, MalformedError
from sealflow.host.collateral.fetched import Fetched
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

_log = structlog.get_logger()

_NAMES: Final = ("collateral", "issued_s", "expires_s")
_MAX_BYTES: Final = 2 * 2**20


class Cache:
    """One file for each question, written whole or not at all."""

    def __init__(self, folder: str) -> None:
        """Keep files in `folder`, which is made when it is missing.

        Raises: ConfigError.
        """
        self._folder = Path(folder)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"collateral: cache_dir {folder}: {error.strerror}") from error

    def load(self, want: bytes) -> Fetched | None:
        """Give what was kept for a question; None when there is nothing that can be read."""
        path = self._path(want)
        try:
            if path.stat().st_size > _MAX_BYTES:
                return None
            value = parse_object(path.read_bytes(), "cached collateral")
            require_keys(value, _NAMES, "cached collateral")
            issued_s, expires_s = value["issued_s"], value["expires_s"]
            if not is_integer(issued_s) or not is_integer(expires_s):
                raise MalformedError("cached collateral: no dates")  # noqa: TRY301
            collateral = b64decode(str(value["collateral"]), validate=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, MalformedError) as error:
            _log.warning("cached collateral cannot be read", path=str(path), error=str(error))
            return None
        return Fetched(collateral=collateral, issued_s=issued_s, expires_s=expires_s)

    def keep(self, want: bytes, fetched: Fetched) -> None:
        """Keep collateral; a full disk is logged, for this process has it anyway."""
        path = self._path(want)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        content = canonical(
            {
                "collateral": b64encode(fetched.collateral).decode(),
                "issued_s": fetched.issued_s,
                "expires_s": fetched.expires_s,
            }
        )
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            draft.replace(path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            _log.warning("collateral cannot be cached", path=str(path), error=str(error))

    def _path(self, want: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(want).hexdigest()}.json"
