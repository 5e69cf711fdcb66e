"""Core, pure: what BOOT, READY, TICK, EVENT and FATAL frames carry. Spec: frames.md.

All of it comes from an untrusted host, so nothing here weakens anything: these figures bound memory
and time, and the deployment's digest is part of what the worker proves about itself.
"""

from __future__ import annotations

import enum
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Self

from sealflow.errors import MalformedError
from sealflow.wire.fields import MAX_TIME_MS, Fields, base64_bytes
from sealflow.wire.frames import MAX_BATCH_BYTES, MAX_COLLATERAL_BYTES
from sealflow.wire.strict_json import canonical_json

_NUMBERS: Final = {
    "now_ms": (0, MAX_TIME_MS),
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
    """The runtimes that a worker has; each is imported only when a model needs it."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBoot:
    """What a worker's BOOT frame carries.

    `runtime`: None lets each model's format choose. `max_batch`: 0 leaves it to the manifests.
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
        """Read the payload of a BOOT frame.

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
        """Write the payload of a BOOT frame."""
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
    """A model that a worker serves. `max_batch`: rows of its largest batch."""

    name: str
    version: str
    digest: str
    runtime: str | None = None
    max_batch: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the object in READY and in a status."""
        return {
            "digest": self.digest,
            "max_batch": self.max_batch,
            "name": self.name,
            "runtime": self.runtime,
            "version": self.version,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` gives.

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
    """What a worker's READY frame carries."""

    instance: str
    simulated: bool
    threads: int
    models: tuple[LoadedModel, ...]

    def to_bytes(self) -> bytes:
        """Write the payload of a READY frame."""
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
        """Read the payload of a READY frame.

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
    """What a key broker's READY frame carries. `keyed`: whether it could open the state."""

    instance: str
    simulated: bool
    keyed: bool

    def to_bytes(self) -> bytes:
        """Write the payload of a READY frame."""
        return canonical_json(
            {"instance": self.instance, "simulated": self.simulated, "keyed": self.keyed}
        )

    @classmethod
    def from_bytes(cls, payload: memoryview) -> Self:
        """Read the payload of a READY frame.

        Raises: MalformedError.
        """
        fields = Fields.from_bytes(payload, "READY", ("instance", "simulated", "keyed"))
        return cls(
            instance=fields.text("instance"),
            simulated=fields.flag("simulated"),
            keyed=fields.flag("keyed"),
        )


class Event(enum.StrEnum):
    """Something that the operator should see."""

    ENROLLED = "enrolled"
    KEY_BROKER_UNREACHABLE = "key_broker_unreachable"
    ENROLLMENT_REFUSED = "enrollment_refused"
    PACKAGE_MISSING = "package_missing"
    PACKAGE_REFUSED = "package_refused"
    MODEL_LOADED = "model_loaded"
    MODEL_DROPPED = "model_dropped"
    PUBLISHED = "published"
    PUBLICATION_REFUSED = "publication_refused"
    WORKER_APPROVED = "worker_approved"
    WORKER_REFUSED = "worker_refused"
    REVOKED = "revoked"


class Fatal(enum.StrEnum):
    """Why an enclave ends by itself."""

    BOOT = "boot"
    """The first frame is not a BOOT frame of this version."""
    DEPLOYMENT = "deployment"
    """The deployment's settings do not parse or contradict each other."""
    TEE = "tee"
    """The deployment asks for a TEE that this process is not in, or whose platform is not given."""
    NOT_DCAP = "not_dcap"
    """Gramine may not attest: the manifest's `sgx.remote_attestation` is not `dcap`."""
    QUOTE = "quote"
    """The hardware is here, but gives no quote: AESM or the hypervisor's service is away."""
    COLLATERAL = "collateral"
    """The host has no collateral for this hardware: see its log for why."""
    KEY_BROKER_UNTRUSTED = "key_broker_untrusted"
    """The key broker's evidence does not pass the deployment's policy."""
    NOT_APPROVED = "not_approved"
    """The key broker does not approve this worker: its code is not the one in the policy."""
    KEY_BROKER_ROLLED_BACK = "key_broker_rolled_back"
    """The key broker shows an older state than before, or another log."""
    STATE = "state"
    """The state that the host kept does not open, or is older than what was seen of it."""
    FRAME = "frame"
    """The host's frames are out of step."""
    MEMORY = "memory"
    """The process has not the memory that it needs besides what requests take."""
    INTERNAL = "internal"
    """A bug."""


def tick_payload(now_ms: int, rest: bytes = b"") -> bytes:
    """Write the payload of a TICK frame (`rest`: the directory) or a LEAD frame (the state)."""
    return now_ms.to_bytes(TICK_TIME_BYTES) + rest


def split_tick(payload: memoryview) -> tuple[int, bytes]:
    """Read the host's time in Unix ms and the published directory, maybe empty.

    Raises: MalformedError.
    """
    if len(payload) < TICK_TIME_BYTES:
        raise MalformedError("tick: too short")
    return int.from_bytes(payload[:TICK_TIME_BYTES]), bytes(payload[TICK_TIME_BYTES:])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBrokerBoot:
    """What a key broker's BOOT frame carries.

    `wrapped`: the state's key, sealed for some machines; this one may be among them.
    """

    deployment: bytes
    platform: bytes | None = field(repr=False)
    wrapped: tuple[bytes, ...]
    now_ms: int

    @classmethod
    def from_bytes(cls, payload: memoryview) -> Self:
        """Read the payload of a BOOT frame.

        Raises: MalformedError.
        """
        names = ("deployment", "simulated_platform", "state_keys", "now_ms")
        fields = Fields.from_bytes(payload, "BOOT", names)
        return cls(
            deployment=fields.base64("deployment", MAX_COLLATERAL_BYTES),
            platform=_platform(fields),
            wrapped=fields.list_of("state_keys", _state_key, _MAX_WRAPPED),
            now_ms=fields.time_ms("now_ms"),
        )

    def to_bytes(self) -> bytes:
        """Write the payload of a BOOT frame."""
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
