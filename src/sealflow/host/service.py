"""Host: start-up, logging, stop signals and the restart policy of server processes."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from sealflow.backoff import Backoff
from sealflow.defects import EXIT_DEFECT, LogFormatter, print_defect, report_threads
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
    """The times at which a child process is restarted after it has ended.

    The pauses grow from 0.5 s to 15 s. After a child has run for `healthy_s`, they start at 0.5 s
    again.
    """

    def __init__(self, *, healthy_s: float = 30.0) -> None:
        """Set the run time in seconds after which a child counts as healthy."""
        self.restarts = -1
        self._healthy_s = healthy_s
        self._backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        self._started_s = 0.0
        self._failures = 0

    def record_start(self, now_s: float) -> None:
        """Record the start of the child, at `now_s` of the monotonic clock."""
        self._started_s = now_s
        self.restarts += 1

    def next_start_s(self, now_s: float, *, failed: bool) -> float | None:
        """Return when to restart the child that has ended; None after three failures in a row.

        `failed`: whether it ended for a reason that a restart may not fix. A run of more than
        `healthy_s` starts a new row. Times are in seconds of the monotonic clock.
        """
        if now_s - self._started_s > self._healthy_s:
            self._backoff.reset()
            self._failures = 0
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= MAX_FAILURES:
            return None
        return now_s + self._backoff.next_s()


def run_service(kind: type[T], run: Callable[[T], None]) -> None:
    """Read settings of type `kind`, check the access to the broker, and call `run`.

    After a SealflowError the process exits with status 1 and the reason, after any other exception
    with status `EXIT_DEFECT`. Neither prints a traceback.
    """
    configure_logs()
    report_threads()
    try:
        config = load_argument(kind)
        require_access(config.broker)
        run(config)
    except SealflowError as error:
        sys.exit(f"error: {error}")
    except Exception as error:  # noqa: BLE001 - a defect, which is reported as one
        print_defect(error)
        sys.exit(EXIT_DEFECT)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM and SIGINT."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def configure_logs() -> None:
    """Send Sealflow's logs in JSON, and warnings of libraries, to standard error."""
    _configure(structlog.WriteLoggerFactory(sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def join_logs() -> None:
    """Send Sealflow's logs to the standard library's logging, as set up by the hosting process."""
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
