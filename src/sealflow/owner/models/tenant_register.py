"""Owner: the tenant authority's register of the tokens that it signed and revoked."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sealflow.documents.tenant_token import TenantToken
from sealflow.errors import ConfigError, MalformedError
from sealflow.files import file_errors, read_file
from sealflow.wire.fields import FORMAT, Fields, json_object
from sealflow.wire.ids import parse_request_id
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_REGISTER_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredToken:
    """The text of a token, and when it was revoked (Unix ms), or None."""

    token: TenantToken
    revoked_ms: int | None = None

    def state(self, now_ms: int) -> str:
        """Return `revoked`, `over` or `valid`."""
        if self.revoked_ms is not None:
            return "revoked"
        return "over" if now_ms >= self.token.expires_ms else "valid"


class TenantRegister:
    """A file of one line for each token and each revocation. It has no signature, so no token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, token: TenantToken) -> None:
        """Note a token, before it is given away."""
        self._append({"token": token.to_json()})

    def revoke(self, ids: Iterable[str], now_ms: int) -> None:
        """Note that tokens were revoked."""
        for each in ids:
            self._append({"revoked": each, "at_ms": now_ms})

    def tokens(self) -> list[RegisteredToken]:
        """Return all tokens, the oldest first. A register without a file has none.

        Raises: ConfigError.
        """
        found: dict[str, RegisteredToken] = {}
        with file_errors(f"register of tokens {self._path}"):
            lines = read_file(self._path, MAX_REGISTER_BYTES) if self._path.exists() else b""
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                _read_line(line, found)
            except MalformedError as error:
                raise ConfigError(f"{self._path}, line {number}: {error}") from error
        return list(found.values())

    def _append(self, value: dict[str, object]) -> None:
        line = canonical_json({"format": FORMAT, **value}) + b"\n"
        with file_errors(f"register of tokens {self._path}"):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(line)


def _read_line(line: bytes, found: dict[str, RegisteredToken]) -> None:
    value = parse_object(line, "register of tokens")
    names = ("revoked", "at_ms") if "revoked" in value else ("token",)
    fields = Fields(value, "register of tokens", names, versioned=True)
    if "revoked" not in fields:
        text = canonical_json(fields.read("token", json_object))
        token = TenantToken.unverified_from_bytes(text)
        found[token.id] = RegisteredToken(token=token)
        return
    revoked, at_ms = fields.read("revoked", parse_request_id), fields.time_ms("at_ms")
    if revoked in found:
        found[revoked] = replace(found[revoked], revoked_ms=at_ms)
