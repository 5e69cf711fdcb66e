"""Core: reports of defects, exceptions that no part of Sealflow expected. Not for enclaves."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

from sealflow.errors import SealflowError

if TYPE_CHECKING:
    from types import TracebackType

EXIT_DEFECT: Final = 70
"""The exit code of a process that ends by a defect: EX_SOFTWARE of sysexits.h."""
DEBUG_VARIABLE: Final = "SEALFLOW_DEBUG"
_MAX_MESSAGE: Final = 300


class DefectError(SealflowError):
    """An exception that no part of Sealflow expected. The message names its type.

    The message of the exception follows only if it is an OSError or a ValueError. Others could
    quote a key or plaintext.
    """

    code = "defect"
    hint = (
        f"Run it again with {DEBUG_VARIABLE}=1 for the traceback, and report it on the page of "
        "Sealflow's repository; privately, as SECURITY.md says, if it could be misused."
    )

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"this is a fault of Sealflow: {describe(error)}")


def describe(error: BaseException) -> str:
    """Return an exception's type and what may be shown of its message, on one printable line."""
    kind = type(error).__name__
    if not isinstance(error, OSError | ValueError):
        return kind
    message = "".join(each if each.isprintable() else " " for each in str(error)[:_MAX_MESSAGE])
    return f"{kind}: {message}"


def debugging() -> bool:
    """Return whether the user asked for tracebacks with `SEALFLOW_DEBUG=1`."""
    return os.environ.get(DEBUG_VARIABLE) == "1"


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an exception to stderr, if the user asked for tracebacks."""
    if debugging():
        traceback.print_exception(error)


def print_defect(error: BaseException) -> None:
    """Print an unexpected exception to stderr: one line, after the traceback when debugging."""
    print_traceback(error)
    defect = DefectError(error)
    sys.stderr.write(f"error: {defect}. {defect.hint}\n")


def report_threads() -> None:
    """Have an exception that ends a thread of this process printed by `print_defect`."""

    def report(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            print_defect(ended.exc_value)

    threading.excepthook = report


class LogFormatter(logging.Formatter):
    """Formats log records; exceptions in them have no traceback, unless debugging."""

    def formatException(  # noqa: N802 - name of the base class
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the text of an exception."""
        if debugging() or ei[1] is None:
            return super().formatException(ei)
        return describe(ei[1])
