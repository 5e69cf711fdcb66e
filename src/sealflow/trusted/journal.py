"""Trusted: what may leave the wall in clear besides sealed messages: words of two closed lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.errors import SealflowError
from sealflow.wire.frames import FrameKind
from sealflow.wire.strict_json import canonical

if TYPE_CHECKING:
    from sealflow.trusted.port import Port
    from sealflow.wire.frame_payloads import Event, Fatal


class FatalError(SealflowError):
    """Ends the process with a code of the closed list."""

    def __init__(self, code: Fatal) -> None:
        """Keep the code."""
        super().__init__(code.value)
        self.code = code


class Journal:
    """Writes events and the last word. For any thread."""

    def __init__(self, port: Port) -> None:
        """Write through the one hole."""
        self._port = port

    def note(self, event: Event, *, digest: str = "", **numbers: int) -> None:
        """Say that something happened; `digest` names a model package."""
        content: dict[str, object] = {"event": event.value, **numbers}
        if digest:
            content["digest"] = digest
        self._port.send(FrameKind.EVENT, canonical(content))

    def fatal(self, code: Fatal) -> None:
        """Say why this process ends."""
        self._port.send(FrameKind.FATAL, code.value.encode())
