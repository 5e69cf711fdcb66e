"""Trusted: starts a trusted process and ends it on any failure with a FATAL code."""

from __future__ import annotations

import os
import resource
import threading
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.deployment import Deployment
from sealflow.errors import MalformedError
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.isolation import require_isolation
from sealflow.trusted.port import EventJournal, FatalError, FramePort
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.attest.evidence import Role


_FAILED: Final = 1


def first_frame(port: FramePort) -> memoryview:
    """Wait for the BOOT frame and return its payload.

    Raises: FatalError when the first frame is of another kind or the pipe ends before it;
    MalformedError when the bytes are not a frame.
    """
    frame = port.receive()
    if frame is None or frame[0] is not FrameKind.BOOT:
        raise FatalError(Fatal.BOOT)
    return frame[1]


def load_identity(
    role: Role, deployment: bytes, platform: bytes | None, port: FramePort
) -> EnclaveIdentity:
    """Parse the deployment's settings and create this instance's identity with new keys.

    On hardware, this also requests collateral from the host. Other frames that arrive before the
    answer are received later.

    `deployment`: settings as canonical JSON. `platform`: the simulated platform, None on hardware.

    Raises: FatalError when the settings do not parse, and as `create_identity`; MalformedError as
    `FramePort.await_kind`.
    """
    try:
        parsed = Deployment.from_bytes(deployment)
    except MalformedError as error:
        raise FatalError(Fatal.DEPLOYMENT) from error

    def fetch(request: bytes) -> bytes:
        port.send(FrameKind.COLLATERAL, request)
        return bytes(port.await_kind(FrameKind.COLLATERAL))

    return create_identity(role, parsed, platform, Ed25519PrivateKey.generate(), fetch)


def run_enclave(main: Callable[[FramePort, EventJournal], None]) -> None:
    """Run `main` on standard input and output; end the process with a FATAL code if it fails.

    It fails, too, where `require_isolation` does.

    An uncaught exception on any other thread ends the process too, as the remaining threads could
    not serve requests alone. Core dumps are disabled, so that no plaintext reaches a disk.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    port = FramePort.from_stdio()
    journal = EventJournal(port)

    def end(code: Fatal) -> None:
        journal.fatal(code)
        os._exit(_FAILED)

    threading.excepthook = lambda args: end(_code(args.exc_value))
    try:
        require_isolation()
        main(port, journal)
    except Exception as error:  # noqa: BLE001 - nothing but the code may leave the enclave
        end(_code(error))


def _code(error: BaseException | None) -> Fatal:
    if isinstance(error, FatalError):
        return error.code
    if isinstance(error, MemoryError):
        return Fatal.MEMORY
    return Fatal.FRAME if isinstance(error, MalformedError) else Fatal.INTERNAL
