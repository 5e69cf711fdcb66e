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


class EngineConfig(EnclaveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `python -m sealflow.host.engine CONFIG.toml` reads. Times in seconds, sizes in bytes.

    Raises: ConfigError when a value cannot work.
    """

    deployment: str
    packages_dir: str
    """Where sealed model packages lie, as `<digest>.sealed`."""
    logs_dir: str | None = None

    instance: str | None = None
    """This engine's name, unique in the deployment; with one of its own that stays, such as a pod's
    of a StatefulSet, a new process goes on at once with what the last one had not acknowledged."""
    workers: int = 0
    """Worker processes of the local engine; 0 is one for each core that this process may use. Under
    Flink each subtask has one, whatever this says."""
    threads: int = 1
    """Threads of a worker's model runtime."""
    runtime: Literal["onnx", "openvino", "auto"] = "onnx"
    max_batch: int = 0
    """Rows of a batch at most; 0 leaves it to each model's manifest."""
    max_wait_ms: int = 0
    """How long a batch may wait for company."""
    window: int = 32
    """Requests that a worker holds at most, so that its model never waits for the queue."""

    worker_memory_bytes: int = 0
    """Memory that a worker may claim; a request that needs more is refused. 0 is an equal share of
    three quarters of the machine's, or the container's. With `sgx` the enclave's size bounds it."""
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    max_pixels: int = 50_000_000
    replay_capacity: int = 1_000_000
    """Request ids that a worker remembers for each key, at about 130 bytes each."""

    stale_after_s: float = 30.0
    """After that long without a sign of life, another engine takes a request over."""
    max_attempts: int = 3
    """How many workers a request may end before it is dead-lettered."""
    reply_ttl_s: float = 600.0
    drain_s: float = 20.0
    """How long SIGTERM waits for requests in flight."""

    def __post_init__(self) -> None:
        """Refuse settings that could only fail later."""
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
        if self.worker_memory_bytes and self.worker_memory_bytes < _LEAST_MEMORY_BYTES:
            raise ConfigError(f"worker_memory_bytes: must be 0, or at least {_LEAST_MEMORY_BYTES}")

    @property
    def worker_count(self) -> int:
        """Worker processes to start."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def worker_limit_bytes(self) -> int:
        """Memory that a worker may claim; 0 for one that is bounded by its enclave."""
        if self.sgx_mode == "sgx":
            return 0
        share = memory_bytes() * 3 // 4 // self.worker_count
        return self.worker_memory_bytes or max(share, _LEAST_MEMORY_BYTES)
