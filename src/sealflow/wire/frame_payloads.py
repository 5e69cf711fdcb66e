"""Core, pure: the payloads of BOOT, READY, TICK, EVENT and FATAL frames. Spec: frames.md.

The host that sends BOOT is untrusted. Its numbers only bound memory and time, and the worker's
evidence binds the digest of the deployment, so a false BOOT cannot weaken the enclave unseen.
"""

from __future__ import annotations

import enum
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Self

from sealflow.errors import MalformedError
from sealflow.wire.fields import Fields, base64_bytes
from sealflow.wire.frames import MAX_BATCH_BYTES, MAX_COLLATERAL_BYTES, MAX_HOST_TIME_MS
from sealflow.wire.strict_json import canonical_json

_NUMBERS: Final = {
    "now_ms": (0, MAX_HOST_TIME_MS),
    "threads": (1, 256),
    "max_batch": (0, 1024),
    "max_wait_ms": (0, 1000),
    "max_body_bytes": (1024, MAX_BATCH_BYTES - 2**20),
    "max_pixels": (1, 2**28),
    "replay_capacity": (1, 2**24),
}
_TEXTS: Final = ("deployment", "simulated_platform", "runtime")
_AUTO: Final = "auto"
TICK_TIME_BYTES: Final = 8
MAX_SEALED_BYTES: Final = 8192
_MAX_WRAPPED: Final = 64
_MAX_LOADED: Final = 1024


class RuntimeName(enum.StrEnum):
    """A model runtime; a worker imports it only when a model needs it."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBoot:
    """The payload of a worker's BOOT frame. Ranges: `_NUMBERS`.

    `deployment`: the deployment's settings. `simulated_platform`: None on hardware. `runtime`: None
    to choose it by each model's format. `threads`: for each model run. `max_batch`: the limit of
    rows per run, or 0 for the manifests' own limits. `max_wait_ms`: how long a batch may wait for
    more requests. `max_body_bytes`: of an envelope. `max_pixels`: of one image. `replay_capacity`:
    the number of request ids that the replay filter holds.
    """

    deployment: bytes
    simulated_platform: bytes | None = field(repr=False)
    now_ms: int
    runtime: RuntimeName | None
    threads: int
    max_batch: int
    max_wait_ms: int
    max_body_bytes: int
    max_pixels: int
    replay_capacity: int

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview) -> WorkerBoot:
        """Parse the payload of a BOOT frame.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(payload, "BOOT", (*_NUMBERS, *_TEXTS))
        automatic = fields.get("runtime") == _AUTO
        return cls(
            deployment=fields.base64("deployment", MAX_COLLATERAL_BYTES),
            simulated_platform=_platform(fields),
            runtime=None if automatic else fields.word("runtime", RuntimeName),
            **{
                name: fields.integer(name, least=least, most=most)
                for name, (least, most) in _NUMBERS.items()
            },
        )

    def to_bytes(self) -> bytes:
        """Return the payload of a BOOT frame."""
        content: dict[str, object] = {name: getattr(self, name) for name in _NUMBERS}
        return canonical_json(
            {
                **content,
                "deployment": b64encode(self.deployment).decode(),
                "simulated_platform": _optional_text(self.simulated_platform),
                "runtime": _AUTO if self.runtime is None else self.runtime.value,
            }
        )


def _platform(fields: Fields) -> bytes | None:
    if fields.get("simulated_platform") is None:
        return None
    return fields.base64("simulated_platform", MAX_COLLATERAL_BYTES)


def _optional_text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that a worker serves. `max_batch`: the limit of rows per run."""

    name: str
    version: str
    digest: str
    runtime: str | None = None
    max_batch: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the model's JSON object in READY and in a status."""
        return {
            "digest": self.digest,
            "max_batch": self.max_batch,
            "name": self.name,
            "runtime": self.runtime,
            "version": self.version,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Parse an object that `to_json` returned.

        Raises: MalformedError.
        """
        fields = Fields(value, "model", ("name", "version", "digest"), ("runtime", "max_batch"))
        runtime, max_batch = fields.get("runtime"), fields.get("max_batch")
        return cls(
            name=fields.text("name"),
            version=fields.text("version"),
            digest=fields.text("digest"),
            runtime=None if runtime is None else fields.text("runtime"),
            max_batch=None if max_batch is None else fields.integer("max_batch"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """The payload of a worker's READY frame."""

    instance: str
    simulated: bool
    threads: int
    models: tuple[LoadedModel, ...]

    def to_bytes(self) -> bytes:
        """Return the payload of a READY frame."""
        return canonical_json(
            {
                "instance": self.instance,
                "simulated": self.simulated,
                "threads": self.threads,
                "models": [model.to_json() for model in self.models],
            }
        )

    @classmethod
    def from_bytes(cls, payload: memoryview) -> Self:
        """Parse the payload of a READY frame.

        Raises: MalformedError.
        """
        names = ("instance", "simulated", "threads", "models")
        fields = Fields.from_bytes(payload, "READY", names)
        return cls(
            instance=fields.text("instance"),
            simulated=fields.flag("simulated"),
            threads=fields.integer("threads"),
            models=fields.list_of("models", LoadedModel.from_json, _MAX_LOADED),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBrokerReady:
    """The payload of a key broker's READY frame. `keyed`: whether it has the state key."""

    instance: str
    simulated: bool
    keyed: bool

    def to_bytes(self) -> bytes:
        """Return the payload of a READY frame."""
        return canonical_json(
            {"instance": self.instance, "simulated": self.simulated, "keyed": self.keyed}
        )

    @classmethod
    def from_bytes(cls, payload: memoryview) -> Self:
        """Parse the payload of a READY frame.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(payload, "READY", ("instance", "simulated", "keyed"))
        return cls(
            instance=fields.text("instance"),
            simulated=fields.flag("simulated"),
            keyed=fields.flag("keyed"),
        )


class Event(enum.StrEnum):
    """The name of an event that an enclave reports to the operator's log."""

    ENROLLED = "enrolled"
    KEY_BROKER_UNREACHABLE = "key_broker_unreachable"
    ENROLLMENT_REFUSED = "enrollment_refused"
    PACKAGE_MISSING = "package_missing"
    PACKAGE_REFUSED = "package_refused"
    MODEL_LOADED = "model_loaded"
    MODEL_DROPPED = "model_dropped"
    LEASE_ENDED = "lease_ended"
    PUBLISHED = "published"
    PUBLICATION_REFUSED = "publication_refused"
    WORKER_APPROVED = "worker_approved"
    WORKER_REFUSED = "worker_refused"
    REVOKED = "revoked"


class Fatal(enum.StrEnum):
    """The reason why an enclave process ends itself."""

    BOOT = "boot"
    """The first frame is not a BOOT frame of this version."""
    ISOLATION = "isolation"
    """Modules could come from elsewhere than the installation, or the kernel filters no calls."""
    DEPLOYMENT = "deployment"
    """The deployment's settings do not parse or contradict each other."""
    TEE = "tee"
    """The process does not run in the deployment's TEE, or BOOT lacks the simulated platform."""
    NOT_DCAP = "not_dcap"
    """Gramine cannot attest: `sgx.remote_attestation` in its manifest is not `dcap`."""
    QUOTE = "quote"
    """The TEE returns no quote, because AESM or the hypervisor's quoting service is unavailable."""
    COLLATERAL = "collateral"
    """The host has no collateral for this hardware; the host's log has the reason."""
    KEY_BROKER_UNTRUSTED = "key_broker_untrusted"
    """The key broker's evidence does not pass the deployment's policy."""
    NOT_APPROVED = "not_approved"
    """The key broker does not approve this worker: its evidence does not meet the policy."""
    KEY_BROKER_ROLLED_BACK = "key_broker_rolled_back"
    """The key broker sent a grant of an older directory than the last one, or of another log."""
    STATE = "state"
    """The stored state does not open, is of another log, or is older than the state key says; or
    this instance has no state key."""
    FRAME = "frame"
    """A frame of the host breaks the format, or is not allowed at this point."""
    MEMORY = "memory"
    """The process has too little memory for its own work, apart from that of requests."""
    INTERNAL = "internal"
    """An unexpected error: a bug."""


def tick_payload(now_ms: int, rest: bytes = b"") -> bytes:
    """Return the payload of a TICK or LEAD frame.

    `now_ms`: the host's time in Unix ms. `rest`: the published directory (TICK) or the sealed state
    (LEAD), or empty.
    """
    return now_ms.to_bytes(TICK_TIME_BYTES) + rest


def split_tick(payload: memoryview) -> tuple[int, bytes]:
    """Return the host's time in Unix ms, and the directory (TICK) or state (LEAD), maybe empty.

    Raises: MalformedError.
    """
    if len(payload) < TICK_TIME_BYTES:
        raise MalformedError("tick: too short")
    now_ms = int.from_bytes(payload[:TICK_TIME_BYTES])
    if now_ms > MAX_HOST_TIME_MS:
        raise MalformedError(f"tick: the time {now_ms} is after the year 9999")
    return now_ms, bytes(payload[TICK_TIME_BYTES:])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBrokerBoot:
    """The payload of a key broker's BOOT frame.

    `deployment`: the deployment's settings. `platform`: the simulated platform; None on hardware.
    `wrapped`: copies of the state key, each sealed for one machine. This machine may be one of
    them.
    """

    deployment: bytes
    platform: bytes | None = field(repr=False)
    wrapped: tuple[bytes, ...]
    now_ms: int

    @classmethod
    def from_bytes(cls, payload: memoryview) -> Self:
        """Parse the payload of a BOOT frame.

        Raises: MalformedError.
        """
        names = ("deployment", "simulated_platform", "state_keys", "now_ms")
        fields = Fields.from_bytes(payload, "BOOT", names)
        return cls(
            deployment=fields.base64("deployment", MAX_COLLATERAL_BYTES),
            platform=_platform(fields),
            wrapped=fields.list_of("state_keys", _state_key, _MAX_WRAPPED),
            now_ms=fields.integer("now_ms", most=MAX_HOST_TIME_MS),
        )

    def to_bytes(self) -> bytes:
        """Return the payload of a BOOT frame."""
        return canonical_json(
            {
                "deployment": b64encode(self.deployment).decode(),
                "simulated_platform": _optional_text(self.platform),
                "state_keys": [b64encode(each).decode() for each in self.wrapped],
                "now_ms": self.now_ms,
            }
        )


def _state_key(value: object) -> bytes:
    return base64_bytes(value, MAX_SEALED_BYTES, "state key")
