"""Host: how a server process starts, logs and is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

import structlog

from sealflow.errors import SealflowError
from sealflow.host.settings import BrokerSettings, load_argument
from sealflow.streams.connection import require_access

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T", bound=BrokerSettings)


def run_service(kind: type[T], run: Callable[[T], None]) -> None:
    """Read this process's settings, check its access to the broker, and run it.

    Exits with 1 and the reason when it cannot do its job.
    """
    configure_logs()
    try:
        config = load_argument(kind)
        require_access(config.broker)
        run(config)
    except SealflowError as error:
        sys.exit(f"error: {error}")


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM and SIGINT."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


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
