"""Owner, pure: requests that wait for their answers, by request id and by the caller's id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealflow.owner.audit.receipt_proof import ReceiptRequest
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.wire.ids import RequestId


@dataclass(slots=True, kw_only=True)
class PendingRequest:
    """What is needed to seal a request anew. `until`: monotonic seconds when patience ends.

    `receipt`: what the answer's receipt must be about, when `parts` ask for one.
    """

    name: str
    model: str
    parts: Parts = field(repr=False)
    receipt: ReceiptRequest | None = field(default=None, repr=False)
    until: float
    attempts: int = 0


class PendingCalls:
    """Requests in flight. Not for several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: dict[RequestId, tuple[PendingRequest, OutgoingCall]] = {}
        self._postponed: list[tuple[float, PendingRequest]] = []
        self._names: set[str] = set()

    def __len__(self) -> int:
        """How many have no outcome yet."""
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        """Whether a caller's id has no outcome yet."""
        return name in self._names

    def add(self, request: PendingRequest, call: OutgoingCall) -> None:
        """Wait for the answer to `call`."""
        request.attempts += 1
        self._calls[call.request_id] = (request, call)
        self._names.add(request.name)

    def find(self, request_id: RequestId) -> tuple[PendingRequest, OutgoingCall] | None:
        """Find what an answer belongs to; None for an answer to nothing of ours."""
        return self._calls.get(request_id)

    def remove(self, request_id: RequestId) -> None:
        """Wait no longer."""
        request, _ = self._calls.pop(request_id)
        self._names.discard(request.name)

    def postpone(self, request_id: RequestId, due: float) -> None:
        """Keep a refused request, to be sealed anew at `due` (monotonic seconds)."""
        request, _ = self._calls.pop(request_id)
        self._postponed.append((due, request))

    def give_up(self, request: PendingRequest) -> None:
        """Forget a request that was taken out and could not be sealed or queued anew."""
        self._names.discard(request.name)

    def take_postponed(self, now: float) -> list[PendingRequest]:
        """Take out those whose time to be sealed anew has come."""
        due = [request for at, request in self._postponed if now >= at]
        self._postponed = [each for each in self._postponed if now < each[0]]
        return due

    def take_overdue(self, now: float) -> list[PendingRequest]:
        """Take out those whose patience is over."""
        overdue = [
            request_id for request_id, (request, _) in self._calls.items() if now >= request.until
        ]
        taken = []
        for request_id in overdue:
            taken.append(self._calls[request_id][0])
            self.remove(request_id)
        return taken
