"""Host: the engine as a Flink job. Imported in Flink's environment only.

Flink decides where subtasks run and starts them again; each keeps one worker and feeds it. An
endless source ticks, and a tick lets a subtask claim and answer for a moment: requests go from the
queue to the worker and back in Python, never through the JVM.
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
    # A tick at a time: none waits between Flink and a checkpoint, a cancel or a look at metrics.
    "python.fn-execution.bundle.size": "1",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "1 s",
    "restart-strategy.exponential-delay.max-backoff": "15 s",
}


class ServeFunction(ProcessFunction):  # type: ignore[misc] # PyFlink has no types
    """One subtask: one worker. Pickled to the TaskManager, which has the settings' file."""

    def __init__(self, engine_config: str, slice_s: float) -> None:
        """Keep what to read there."""
        self._engine_config = engine_config
        self._slice_s = slice_s

    def open(self, runtime_context: Any) -> None:  # noqa: ANN401 - PyFlink has no types
        """Prepare; the first tick starts the worker.

        Raises: ConfigError, which Flink shows as the reason of the failure.
        """
        join_logs()
        # PyFlink's own end, by a connection that breaks, may be long in coming.
        _end_with_taskmanager()
        config = load_settings(Path(self._engine_config), EngineConfig)
        require_access(config.broker)
        index = runtime_context.get_index_of_this_subtask()
        # A name that stays: the subtask's next attempt goes on at once with what this one owes.
        name = f"{config.instance or 'flink'}-{index}"
        config = msgspec.structs.replace(config, instance=name)
        # PyFlink's threads come and go, but that which starts a worker must stay.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="crew")
        self._pool = WorkerPool(config, count=1, feeding=False)
        self._publish = _publish_metrics(runtime_context.get_metrics_group(), self._pool)

    def process_element(self, value: int, ctx: Any) -> Iterable[int]:  # noqa: ANN401
        """Serve for a slice of time.

        Raises: ConfigError when workers end again and again for a reason that stays.
        """
        del value, ctx
        self._thread.submit(self._serve).result()
        self._publish()
        return ()

    def close(self) -> None:
        """Answer what is in flight and end the worker. Not called on a cancel: see the guide."""
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
    """End this process, whatever it does, when the TaskManager has ended.

    That is the parent of the shell that runs this process, and the shell may outlive it.
    """
    shell = Path(f"/proc/{os.getppid()}/stat").read_text()
    # Fields after the command's name, which may hold brackets: the state, then the parent.
    taskmanager = int(shell.rpartition(")")[2].split()[1])
    ended = select.poll()
    ended.register(os.pidfd_open(taskmanager), select.POLLIN)

    def watch() -> None:
        ended.poll()
        os._exit(1)

    threading.Thread(target=watch, name="tether", daemon=True).start()


def _publish_metrics(group: Any, pool: WorkerPool) -> Callable[[], None]:  # noqa: ANN401
    """Register this subtask's metrics; returns what brings the counters up to date."""
    group = group.add_group(METRICS)
    metrics = pool.metrics
    for name, value in (
        ("queue_lag", lambda: pool.queue_lag),
        ("in_flight", lambda: pool.in_work),
        ("worker_ready", lambda: int(pool.ready)),
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
    seen = dict.fromkeys(counted, 0)

    def publish() -> None:
        for name, read in counted.items():
            now = read()
            counters[name].inc(now - seen[name])
            seen[name] = now

    return publish


def submit(job: FlinkJob) -> str:
    """Start the job on the cluster that `job` names; returns the job's id.

    Raises: whatever Flink's client raises, as text from the JVM.
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
        # `get_execution_environment` starts a cluster of its own whatever `execution.target` says.
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
