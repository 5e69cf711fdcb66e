"""Worker, pure: what the BOOT frame says, parsed. Spec: frames.md.

All of it comes from an untrusted host, so nothing here weakens anything: these figures bound memory
and time, and the deployment's digest is part of what the worker proves about itself.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from sealflow.errors import MalformedError
from sealflow.trusted.worker.runtime import RuntimeName
from sealflow.wire.framing import MAX_BATCH_BYTES
from sealflow.wire.strict_json import is_integer, parse_object, require_keys

_NUMBERS: Final = {
    "now_ms": (0, 2**53 - 1),
    "threads": (1, 256),
    "max_batch": (0, 1024),
    "max_wait_ms": (0, 1000),
    "max_body_bytes": (1024, MAX_BATCH_BYTES - 2**20),
    "max_pixels": (1, 2**28),
    "replay_capacity": (1, 2**24),
}
_TEXTS: Final = ("deployment", "simulated_platform", "runtime")
_AUTO: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this worker was started.

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
    def parse(cls, payload: bytes | memoryview) -> Settings:
        """Read the payload of a BOOT frame.

        Raises: MalformedError.
        """
        value = parse_object(payload, "BOOT")
        require_keys(value, (*_NUMBERS, *_TEXTS), "BOOT")
        numbers = {name: _number(value[name], name) for name in _NUMBERS}
        platform, runtime = value["simulated_platform"], value["runtime"]
        try:
            chosen = None if runtime == _AUTO else RuntimeName(runtime)  # type: ignore[arg-type]
        except ValueError as error:
            msg = "BOOT: runtime is neither onnx nor openvino nor auto"
            raise MalformedError(msg) from error
        return cls(
            deployment=_bytes(value["deployment"], "deployment"),
            simulated_platform=None if platform is None else _bytes(platform, "simulated_platform"),
            runtime=chosen,
            **numbers,
        )


def _number(value: object, name: str) -> int:
    least, most = _NUMBERS[name]
    if not is_integer(value) or not least <= value <= most:
        msg = f"BOOT: {name} is not an integer of {least} to {most}"
        raise MalformedError(msg)
    return value


def _bytes(value: object, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (TypeError, ValueError, binascii.Error) as error:
        msg = f"BOOT: {name} is not base64"
        raise MalformedError(msg) from error
