"""A host for one trusted process, as a test needs it: starts it, writes and reads its frames."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sealflow.wire.frames import FRAME_HEAD_LENGTH, FrameKind, decode_head, encode_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).parents[3]
_ELSEWHERE = """
import importlib, runpy, sys
sys.path.append({folder!r})
if {played}:
    main = importlib.import_module({module!r}).main
    sys.path.remove({folder!r})
    main(*sys.argv[1:])
else:
    sys.path[-2:] = [{folder!r}]
    runpy.run_module({module!r}, run_name="__main__")
"""
"""Runs a module that lies outside of the installation, in an isolated Python."""


def now_ms() -> int:
    """The system's time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class EnclaveProcess:
    """A worker or key broker in a process of its own."""

    def __init__(
        self,
        module: str,
        boot: dict[str, Any] | None,
        *,
        hardware: Path | None = None,
        code: Path | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        """Start `sealflow.trusted.<module>` and send the BOOT frame, if any.

        `hardware`: an empty folder, for a trust domain's hardware that is played there. `code`: a
        folder with the package that is to run instead of this one. `command`: what starts it
        instead of this Python.
        """
        program = ["-m", f"sealflow.trusted.{module}"]
        if hardware is not None:
            played = "tests.support.enclaves.hardware_enclave"
            script = _ELSEWHERE.format(module=played, folder=str(_ROOT), played=True)
            program = ["-c", script, module, str(hardware)]
        if code is not None:
            script = _ELSEWHERE.format(module=program[1], folder=str(code), played=False)
            program = ["-c", script]
        self.process = subprocess.Popen(
            command or [sys.executable, "-I", "-B", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # As a host does: NumPy's library starts no thread of its own.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        if boot is not None:
            self.send(FrameKind.BOOT, json.dumps(boot).encode())

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        """Write a frame."""
        assert self.process.stdin is not None
        self.process.stdin.write(encode_frame(kind, payload))
        self.process.stdin.flush()

    def receive(self) -> tuple[FrameKind, bytes] | None:
        """Read the next frame; None at the end."""
        assert self.process.stdout is not None
        head = self.process.stdout.read(FRAME_HEAD_LENGTH)
        if len(head) < FRAME_HEAD_LENGTH:
            return None
        kind, length = decode_head(head)
        return kind, self.process.stdout.read(length)

    def expect(self, kind: FrameKind) -> bytes:
        """Read frames until one of a kind comes; events before it are passed over."""
        while (frame := self.receive()) is not None:
            if frame[0] is kind:
                return frame[1]
            assert frame[0] in (FrameKind.EVENT, FrameKind.DIRECTORY), frame
        raise AssertionError(f"the process ended before {kind.name}")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a control request to a key broker and read its answer."""
        self.send(FrameKind.CONTROL, json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(self.expect(FrameKind.CONTROL))
        return answer

    def tick(self, at_ms: int, directory: bytes = b"") -> None:
        """Tell the time."""
        self.send(FrameKind.TICK, at_ms.to_bytes(8) + directory)

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close its input, which must end it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if error is not None:
            self.process.kill()
        self.process.stdout.close()
        self.process.wait(30)


def keybroker_boot(
    deployment: bytes, platform: bytes | None, at_ms: int, state_keys: Sequence[bytes] = ()
) -> dict[str, Any]:
    """The BOOT settings of a key broker."""
    return {
        **_boot(deployment, platform, at_ms),
        "state_keys": [b64encode(key).decode() for key in state_keys],
    }


def _boot(deployment: bytes, platform: bytes | None, at_ms: int) -> dict[str, Any]:
    return {
        "deployment": b64encode(deployment).decode(),
        "simulated_platform": None if platform is None else b64encode(platform).decode(),
        "now_ms": at_ms,
    }


def worker_boot(deployment: bytes, platform: bytes | None, at_ms: int) -> dict[str, Any]:
    """The BOOT settings of a worker."""
    return {
        **_boot(deployment, platform, at_ms),
        "runtime": "onnx",
        "threads": 1,
        "max_batch": 0,
        "max_wait_ms": 0,
        "max_body_bytes": 2**24,
        "max_pixels": 50_000_000,
        "replay_capacity": 10_000,
        "load_s": 60,
        "run_s": 60,
        "serves": None,
        "load_first": [],
    }
