"""Host: how a server process logs."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable


def configure_logs() -> None:
    """Send what is logged here, and warnings of libraries, to standard error."""
    _configure(structlog.WriteLoggerFactory(sys.stderr))
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )


def join_logs() -> None:
    """Send what is logged here where the process that we are a guest in sends its own."""
    _configure(structlog.stdlib.LoggerFactory())


def _configure(factory: Callable[..., structlog.typing.WrappedLogger]) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
