"""Host: how a server process starts, logs, is told to stop, and starts its children again."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from sealflow.backoff import Backoff
from sealflow.errors import SealflowError
from sealflow.host.settings import BrokerSettings, load_argument
from sealflow.streams.connection import require_access

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T", bound=BrokerSettings)

MAX_FAILURES: Final = 3
_FIRST_PAUSE_S: Final = 0.5
_MAX_PAUSE_S: Final = 15.0


class RestartPolicy:
    """When a child process that ended is started again: after 0.5 s, then later, up to 15 s.

    A child that ran for `healthy_s` starts anew with the first pause.
    """

    def __init__(self, *, healthy_s: float = 30.0) -> None:
        """Begin with no start at all."""
        self.restarts = -1
        self._healthy_s = healthy_s
        self._backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        self._started_s = 0.0
        self._failures = 0

    def note_start(self, now_s: float) -> None:
        """Note that the child was started."""
        self._started_s = now_s
        self.restarts += 1

    def next_start_s(self, now_s: float, *, failed: bool) -> float | None:
        """Return when to start the child that has ended; None after three failures in a row.

        `failed`: whether it ended for a reason that another start may not cure.
        """
        if now_s - self._started_s > self._healthy_s:
            self._backoff.reset()
            self._failures = 0
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= MAX_FAILURES:
            return None
        return now_s + self._backoff.next_s()


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
