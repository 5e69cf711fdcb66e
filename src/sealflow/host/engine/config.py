"""Host: the settings of one engine process."""

from __future__ import annotations

import os
from typing import Final, Literal

from sealflow.errors import ConfigError, MalformedError
from sealflow.host.enclave.command import EnclaveConfig
from sealflow.host.process_status import memory_bytes
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES
from sealflow.wire.ids import parse_name

_LEAST_MEMORY_BYTES: Final = 512 * 2**20
_MOST_S: Final = 3600


class EngineConfig(EnclaveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file of an engine. Times are in seconds, sizes in bytes.

    Raises: ConfigError when a value is not valid.
    """

    deployment: str
    """The name of the deployment, which begins all keys in the broker."""
    packages_dir: str
    """The folder of sealed model packages, `<digest>.sealed`."""
    logs_dir: str | None = None
    """The folder for the standard error of workers; None discards it."""

    instance: str | None = None
    """This engine's name, unique in the deployment; None chooses a random one. With a fixed name,
    such as that of a StatefulSet's pod, a new process recovers the unacknowledged entries of the
    previous one at once."""
    workers: int = 0
    """The number of workers of the local engine; 0 starts one per core that this process may use.
    A Flink subtask always has one."""
    threads: int = 1
    """The threads of each worker's model runtime."""
    runtime: Literal["onnx", "openvino", "auto"] = "onnx"
    """The model runtime; `auto` chooses by each model's format."""
    max_batch: int = 0
    """The most rows in a batch; 0 uses the limit of each model's manifest."""
    max_wait_ms: int = 0
    """How long, in ms, a batch that is not full may wait for more requests."""
    window: int = 32
    """The most requests in flight per worker, so that its model does not wait for the queue."""

    max_owners: int = 0
    """The most owners whose models are served at the same time, each by processes of its own. 0: as
    many as have 512 MiB each in three quarters of the memory. With more owners, one without
    requests gives way."""
    load_s: int = 120
    """How many seconds the load of a model may take; then it is stopped."""
    run_s: int = 60
    """How many seconds one run of a model may take; then it is stopped."""

    worker_memory_bytes: int = 0
    """The memory limit of a worker; a request that needs more is refused. 0 divides three quarters
    of the machine's or container's memory equally. In `sgx` mode the enclave's size limits it."""
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    """The limit on the body of an envelope."""
    max_pixels: int = 50_000_000
    """The most pixels that an image may have before it is decoded."""
    replay_capacity: int = 1_000_000
    """The number of request ids that a worker remembers per key, at about 130 bytes each."""

    stale_after_s: float = 30.0
    """The idle time after which another engine claims a request in flight."""
    max_attempts: int = 3
    """How often a request is tried where engines end; one that ends a worker alone has no more."""
    reply_ttl_s: float = 600.0
    """The time to live of an inbox after its latest reply."""
    drain_s: float = 20.0
    """How long the engine waits for requests in flight after SIGTERM."""

    def __post_init__(self) -> None:
        """Check the values, so that errors show at start."""
        try:
            parse_name(self.deployment)
            if self.instance is not None:
                parse_name(self.instance)
        except MalformedError as error:
            raise ConfigError(
                "deployment and instance are names: use letters, digits, '.', '_', '-'"
            ) from error
        self.broker  # noqa: B018 - raises what is wrong with it
        for name in ("threads", "window", "stale_after_s", "max_attempts", "reply_ttl_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: must be greater than 0")
        for name in ("load_s", "run_s"):
            if not 1 <= getattr(self, name) <= _MOST_S:
                raise ConfigError(f"{name}: must be 1 to {_MOST_S}")
        if self.max_owners < 0:
            raise ConfigError("max_owners: must be 0 or more")
        if self.worker_memory_bytes and self.worker_memory_bytes < _LEAST_MEMORY_BYTES:
            raise ConfigError(f"worker_memory_bytes: must be 0, or at least {_LEAST_MEMORY_BYTES}")

    @property
    def worker_count(self) -> int:
        """The number of workers to start."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def owner_count(self) -> int:
        """The most owners whose models are served at the same time."""
        least = self.worker_memory_bytes or _LEAST_MEMORY_BYTES
        return self.max_owners or max(memory_bytes() * 3 // 4 // least, 1)

    def worker_limit_bytes(self, workers: int) -> int:
        """Return the memory limit of each of so many workers, in bytes.

        It is 0 in `sgx` mode, where the enclave limits it.
        """
        if self.sgx_mode == "sgx":
            return 0
        share = memory_bytes() * 3 // 4 // max(workers, self.worker_count)
        return self.worker_memory_bytes or max(share, _LEAST_MEMORY_BYTES)
