"""Trusted: from the first frame to an identity, and one way to end for every failure."""

from __future__ import annotations

import os
import resource
import threading
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.deployment import Deployment
from sealflow.errors import MalformedError
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.port import EventJournal, FatalError, FramePort
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.attest.evidence import Role


_FAILED: Final = 1


def first_frame(port: FramePort) -> memoryview:
    """Wait for the payload of the BOOT frame.

    Raises: FatalError when something else comes first.
    """
    frame = port.receive()
    if frame is None or frame[0] is not FrameKind.BOOT:
        raise FatalError(Fatal.BOOT)
    return frame[1]


def load_identity(
    role: Role, deployment: bytes, platform: bytes | None, port: FramePort
) -> EnclaveIdentity:
    """Parse the deployment's settings and draw this instance's keys.

    On hardware this asks the host for collateral; other frames that come meanwhile wait.

    Raises: FatalError.
    """
    try:
        parsed = Deployment.from_bytes(deployment)
    except MalformedError as error:
        raise FatalError(Fatal.DEPLOYMENT) from error

    def fetch(want: bytes) -> bytes:
        port.send(FrameKind.COLLATERAL, want)
        return bytes(port.await_kind(FrameKind.COLLATERAL))

    return create_identity(role, parsed, platform, Ed25519PrivateKey.generate(), fetch)


def run_enclave(main: Callable[[FramePort, EventJournal], None]) -> None:
    """Run a trusted process on its two pipes; every failure ends it with one closed word.

    A bug on any thread ends the process too: half an enclave serves nobody. No end leaves an image
    of the memory on a disk.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    port = FramePort.from_stdio()
    journal = EventJournal(port)

    def end(code: Fatal) -> None:
        journal.fatal(code)
        os._exit(_FAILED)

    threading.excepthook = lambda args: end(_code(args.exc_value))
    try:
        main(port, journal)
    except Exception as error:  # noqa: BLE001 - the closed word is all that may leave
        end(_code(error))


def _code(error: BaseException | None) -> Fatal:
    if isinstance(error, FatalError):
        return error.code
    if isinstance(error, MemoryError):
        return Fatal.MEMORY
    return Fatal.FRAME if isinstance(error, MalformedError) else Fatal.INTERNAL
