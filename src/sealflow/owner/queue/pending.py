"""Owner, pure: requests without an outcome, by request id and by the caller's id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.openinfer.tensor import TensorSpec
    from sealflow.owner.audit.receipt_proof import ReceiptRequest
    from sealflow.seal.content import Parts
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.wire.ids import RequestId


@dataclass(slots=True, kw_only=True)
class PendingRequest:
    """The data for sealing a request again.

    `name`: the caller's id. `parts`: content of the request. `receipt`: if `parts` ask for a
    receipt, the request that it must be about. `outputs`: those of the model. `until`:
    deadline in monotonic seconds. `attempts`: how often the request was sealed and sent.
    """

    name: str
    model: str
    parts: Parts = field(repr=False)
    receipt: ReceiptRequest | None = field(default=None, repr=False)
    outputs: Sequence[TensorSpec]
    until: float
    attempts: int = 0


class PendingCalls:
    """The requests without an outcome. Not safe to share between threads."""

    def __init__(self) -> None:
        self._calls: dict[RequestId, tuple[PendingRequest, OutgoingCall]] = {}
        self._postponed: list[tuple[float, PendingRequest]] = []
        self._names: set[str] = set()

    def __len__(self) -> int:
        """Return the number of requests without an outcome."""
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        """Return whether the request of this caller's id has no outcome."""
        return name in self._names

    def add(self, request: PendingRequest, call: OutgoingCall) -> None:
        """Add a request that was sealed as `call` and sent."""
        request.attempts += 1
        self._calls[call.request_id] = (request, call)
        self._names.add(request.name)

    def find(self, request_id: RequestId) -> tuple[PendingRequest, OutgoingCall] | None:
        """Return the request and the call that a reply is for; None if there is none."""
        return self._calls.get(request_id)

    def remove(self, request_id: RequestId) -> None:
        """Remove a request that has its outcome."""
        request, _ = self._calls.pop(request_id)
        self._names.discard(request.name)

    def postpone(self, request_id: RequestId, due: float) -> None:
        """Postpone a refused request, to be sealed again at `due` (monotonic seconds)."""
        request, _ = self._calls.pop(request_id)
        self._postponed.append((due, request))

    def give_up(self, request: PendingRequest) -> None:
        """Remove a postponed request that was taken, but could not be sealed or queued again."""
        self._names.discard(request.name)

    def take_postponed(self, now: float) -> list[PendingRequest]:
        """Return the postponed requests that are due, and take them from the postponed ones."""
        due = [request for at, request in self._postponed if now >= at]
        self._postponed = [each for each in self._postponed if now < each[0]]
        return due

    def take_overdue(self, now: float) -> list[PendingRequest]:
        """Return and remove the sent requests whose deadline has passed."""
        overdue = [
            request_id for request_id, (request, _) in self._calls.items() if now >= request.until
        ]
        taken = []
        for request_id in overdue:
            taken.append(self._calls[request_id][0])
            self.remove(request_id)
        return taken
