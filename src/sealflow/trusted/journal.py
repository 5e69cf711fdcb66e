"""Trusted: what may leave the wall in clear besides sealed messages: words of two closed lists."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from sealflow.errors import SealflowError
from sealflow.wire.framing import FrameKind
from sealflow.wire.strict_json import canonical

if TYPE_CHECKING:
    from sealflow.trusted.port import Port


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
    """The key broker shows an older state than before, or another history."""
    STATE = "state"
    """The state that the host kept does not open, or is older than what was seen of it."""
    FRAME = "frame"
    """The host's frames are out of step."""
    MEMORY = "memory"
    """The process has not the memory that it needs besides what requests take."""
    INTERNAL = "internal"
    """A bug."""


class FatalError(SealflowError):
    """Ends the process with a code of the closed list."""

    def __init__(self, code: Fatal) -> None:
        """Keep the code."""
        super().__init__(code.value)
        self.code = code


class Journal:
    """Writes events and the last word. For any thread."""

    def __init__(self, port: Port) -> None:
        """Write through the one hole."""
        self._port = port

    def note(self, event: Event, *, digest: str = "", **numbers: int) -> None:
        """Say that something happened; `digest` names a model package."""
        content: dict[str, object] = {"event": event.value, **numbers}
        if digest:
            content["digest"] = digest
        self._port.send(FrameKind.EVENT, canonical(content))

    def fatal(self, code: Fatal) -> None:
        """Say why this process ends."""
        self._port.send(FrameKind.FATAL, code.value.encode())
