"""Trusted: what every source of quotes offers, and what all check before they hand one on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from sealflow.attest.evidence import MAX_QUOTE_BYTES
from sealflow.attest.intel.quote import unverified_report_data
from sealflow.errors import MalformedError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_PIECE_BYTES: Final = 4096


class Quoter(Protocol):
    """Gets quotes about this enclave; for any thread."""

    def quote(self, report_data: bytes) -> bytes:
        """Give a quote that carries 64 bytes.

        Raises: UnavailableError when the hardware's quoting service does not answer.
        """
        ...


def read_file(path: Path, limit: int = MAX_QUOTE_BYTES) -> bytes:
    """Read a file of the kernel or of Gramine to its end, however short each read is.

    Raises: OSError, UnavailableError for one over the limit.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = bytearray()
        while piece := os.read(descriptor, _PIECE_BYTES):
            whole += piece
            if len(whole) > limit:
                raise UnavailableError(f"{path.name} has no end")
        return bytes(whole)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that is there already, in one call, as such files want it.

    Raises: OSError, UnavailableError when it takes only a part.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, content) != len(content):
            raise UnavailableError(f"{path.name} took only a part")
    finally:
        os.close(descriptor)


def require_answer(quote: bytes, report_data: bytes) -> bytes:
    """Pass a quote on if it was made for what was asked; never anything in its place.

    Raises: UnavailableError.
    """
    try:
        carried = unverified_report_data(quote)
    except MalformedError as error:
        raise UnavailableError(f"what came is no quote: {error}") from error
    if carried != report_data:
        raise UnavailableError("the quote was made for somebody else")
    return quote
