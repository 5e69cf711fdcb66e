"""Host: the engine as a Flink job. Only Flink's environment can import this module.

Flink places subtasks on TaskManagers and restarts them. Each subtask runs one worker. An endless
source emits ticks; for each tick a subtask claims requests and stores answers for `slice_s`.
Requests pass between queue and worker in Python, never through the JVM.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.functions import ProcessFunction
from pyflink.java_gateway import get_gateway

from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.worker_pool import WorkerPool
from sealflow.host.service import join_logs
from sealflow.host.settings import load_settings
from sealflow.streams.connection import require_access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealflow.host.engine.flink.settings import FlinkJob

OPERATOR: Final = "serve"
METRICS: Final = "sealflow"
_ENDLESS: Final = 2**62
_PERCENTS: Final = (50, 99)

_SETTINGS: Final = {
    "python.execution-mode": "process",
    # With one tick per bundle, no buffered tick delays a checkpoint, a cancel or a metrics query.
    "python.fn-execution.bundle.size": "1",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "1 s",
    "restart-strategy.exponential-delay.max-backoff": "15 s",
}


class ServeFunction(ProcessFunction):  # type: ignore[misc] # PyFlink has no types
    """The function of one subtask, which runs one worker.

    Flink pickles it and sends it to a TaskManager, so it names the settings file by path.
    """

    def __init__(self, engine_config: str, slice_s: float) -> None:
        """Set the path of the engine's settings on TaskManagers, and the seconds per tick."""
        self._engine_config = engine_config
        self._slice_s = slice_s

    def open(self, runtime_context: Any) -> None:  # noqa: ANN401 - PyFlink has no types
        """Read the settings and prepare a pool of one worker; the first tick starts the worker.

        Raises: ConfigError, which Flink shows as the cause of the failure.
        """
        join_logs()
        # PyFlink ends this process by a broken connection, which may be noticed late.
        _end_with_taskmanager()
        config = load_settings(Path(self._engine_config), EngineConfig)
        require_access(config.broker)
        index = runtime_context.get_index_of_this_subtask()
        # The name is the same for each attempt of this subtask, so the next attempt recovers the
        # unacknowledged entries of this one at once.
        name = f"{config.instance or 'flink'}-{index}"
        config = msgspec.structs.replace(config, instance=name)
        # The worker is killed when the thread that started it ends (`die_with_parent`), and
        # PyFlink's threads are short-lived.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pool")
        self._pool = WorkerPool(config, count=1, feeding=False)
        self._publish = _publish_metrics(runtime_context.get_metrics_group(), self._pool)

    def process_element(self, value: int, ctx: Any) -> Iterable[int]:  # noqa: ANN401
        """Serve for `slice_s` seconds.

        Raises: ConfigError when the worker failed to start several times for a lasting reason.
        """
        del value, ctx
        self._thread.submit(self._serve).result()
        self._publish()
        return ()

    def close(self) -> None:
        """Answer the requests in flight and end the worker.

        Flink does not call it for a cancelled job (docs/guide/flink.md).
        """
        self._thread.submit(self._end).result()
        self._thread.shutdown()

    def _serve(self) -> None:
        self._pool.maintain()
        self._pool.feed_first(self._slice_s)

    def _end(self) -> None:
        try:
            self._pool.drain()
        finally:
            self._pool.end()


def _end_with_taskmanager() -> None:
    """Start a thread that exits this process when the TaskManager has ended.

    The TaskManager is the parent of the shell that runs this process; the shell may outlive it.
    """
    shell = Path(f"/proc/{os.getppid()}/stat").read_text()
    # The command's name may contain brackets; after the last one come the state and the parent.
    taskmanager = int(shell.rpartition(")")[2].split()[1])
    ended = select.poll()
    ended.register(os.pidfd_open(taskmanager), select.POLLIN)

    def watch() -> None:
        ended.poll()
        os._exit(1)

    threading.Thread(target=watch, name="watch-taskmanager", daemon=True).start()


def _publish_metrics(group: Any, pool: WorkerPool) -> Callable[[], None]:  # noqa: ANN401
    """Register this subtask's metrics with Flink; return a function that updates the counters."""
    group = group.add_group(METRICS)
    metrics = pool.metrics
    for name, value in (
        ("queue_lag", lambda: pool.queue_lag),
        ("in_flight", lambda: pool.in_work),
        ("worker_ready", lambda: int(pool.ready)),
        ("quarantined_models", lambda: pool.quarantined),
        *(
            (f"{name}_p{percent}", lambda of=of, percent=percent: of(percent))
            for name, of in (
                ("batch_size", metrics.batch_size),
                ("round_trip_ms", metrics.round_trip_ms),
            )
            for percent in _PERCENTS
        ),
    ):
        group.gauge(name, value)
    counted: dict[str, Callable[[], int]] = {
        "requests": lambda: metrics.requests,
        "refusals": lambda: metrics.refusals,
        "worker_restarts": lambda: pool.restarts,
    }
    counters = {name: group.counter(name) for name in counted}
    published = dict.fromkeys(counted, 0)

    def publish() -> None:
        for name, read in counted.items():
            now = read()
            counters[name].inc(now - published[name])
            published[name] = now

    return publish


def submit(job: FlinkJob) -> str:
    """Submit the job to the cluster that `job` names; return the job's id.

    Raises: ConfigError; and the errors of Flink's client, whose text comes from the JVM.
    """
    settings = {
        **_SETTINGS,
        **job.client_settings(),
        "python.executable": job.python,
        "python.client.executable": sys.executable,
    }
    configuration = Configuration()
    for name, value in settings.items():
        configuration.set_string(name, value)
    if job.rest_url is None:
        environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    else:
        # `get_execution_environment` starts a local cluster even if `execution.target` is remote.
        jvm = get_gateway().jvm.org.apache.flink.streaming.api.environment
        environment = StreamExecutionEnvironment(
            jvm.StreamExecutionEnvironment(configuration._j_configuration)  # noqa: SLF001
        )
    environment.set_parallelism(job.parallelism)
    ticks = environment.from_source(
        NumberSequenceSource(0, _ENDLESS),
        WatermarkStrategy.no_watermarks(),
        "tick",
    )
    serve = ServeFunction(job.engine_config, job.slice_s)
    ticks.process(serve, Types.LONG()).name(OPERATOR).uid(OPERATOR)
    return str(environment.execute_async(job.name).get_job_id())
