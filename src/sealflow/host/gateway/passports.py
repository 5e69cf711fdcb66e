"""Host: passports and cosignatures that the gateway publishes beside the directory.

A passport is a token that a verifier signed about the key broker's evidence, a cosignature a line
that a witness signed about the head of the log. The gateway reads them from files or URLs. It
cannot verify them: clients do. Spec: passport.md, section 5; witness.md, section 4.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from sealflow.errors import ConfigError, MalformedError, UnavailableError
from sealflow.files import read_file
from sealflow.host.collateral.download import Server
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = structlog.get_logger()

MAX_SOURCES: Final = 8
MAX_TOKEN_BYTES: Final = 16 * 1024
READ_S: Final = 10.0
COSIGNATURES_READ_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
_COSIGNATURE: Final = re.compile("^— [!-~]{1,200} [A-Za-z0-9+/]{102}==$", re.MULTILINE)
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class PassportSources:
    """The files and URLs that a gateway reads passports from. One thread at a time may read."""

    _what = "passport"

    def __init__(self, sources: Sequence[str], ca_file: str | None) -> None:
        """Set the sources: paths of files, or addresses that begin with http:// or https://.

        `ca_file`: PEM of the root certificates for addresses; None for the system's.

        Raises: ConfigError when an address or `ca_file` is not valid, or there are over
            `MAX_SOURCES`.
        """
        if len(sources) > MAX_SOURCES:
            what = f"{self._what}: name at most {MAX_SOURCES} files and addresses of them"
            raise ConfigError(what)
        self._sources = [(each, _reader(each, ca_file)) for each in sources]
        self._problems: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Return whether there are any sources."""
        return bool(self._sources)

    def read(self) -> tuple[str, ...]:
        """Return what each source has; those that have nothing now are left out, and logged."""
        found = []
        for source, read in self._sources:
            try:
                token = self._parse(read())
            except (OSError, ConfigError, UnavailableError) as error:
                self._record_problem(source, str(error))
            else:
                self._record_problem(source, "")
                found.append(token)
        return tuple(found)

    def _record_problem(self, source: str, problem: str) -> None:
        if problem and self._problems.get(source) != problem:
            _log.warning(f"no {self._what}", source=source, reason=problem)
        self._problems[source] = problem

    def _parse(self, content: bytes) -> str:
        if _TOKEN.fullmatch(content.strip()) is None:
            raise UnavailableError("it holds no passport")
        return content.strip().decode()


class CosignatureSources(PassportSources):
    """The files and URLs that a gateway reads cosignatures of witnesses from."""

    _what = "cosignature"

    def _parse(self, content: bytes) -> str:
        found = _COSIGNATURE.search(content.decode(errors="replace"))
        if found is None:
            raise UnavailableError("it holds no cosignature")
        return found[0]


def with_signed(
    document: bytes, passports: Sequence[str], cosignatures: Sequence[str] = ()
) -> bytes:
    """Return a published document with passports and cosignatures. Its other fields stay.

    A document that is not a JSON object stays as it is.
    """
    added = {"passports": passports, "cosignatures": cosignatures}
    fields: dict[str, object] = {name: list(each) for name, each in added.items() if each}
    if not fields:
        return document
    try:
        value = parse_object(document, "published directory")
    except MalformedError:
        return document
    return canonical_json({**value, **fields})


def _reader(source: str, ca_file: str | None) -> Callable[[], bytes]:
    if not source.startswith(("http://", "https://")):
        return lambda: read_file(Path(source), MAX_TOKEN_BYTES)
    parts = urlsplit(source)
    server = Server(f"{parts.scheme}://{parts.netloc}", ca_file=ca_file, timeout_s=_TIMEOUT_S)
    return lambda: server.get(parts.path or "/", MAX_TOKEN_BYTES).body
