"""Host: the order in which control requests are handed to the key broker.

Requests of hosts come first, which workers' keys depend on. Those from outside take turns by class,
so that many of one class, sent by strangers, delay one of another class by one request.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sealflow.streams.keys import ControlClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.host.broker.redis_streams import Delivery

_HOSTS: Final = b""
_MAX_WAITING: Final = 512
_MAX_BYTES: Final = 64 * 2**20
_CLASSES: Final = frozenset(each.value.encode() for each in ControlClass)


class ControlTurns:
    """Claimed control requests that wait for their turn. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[Delivery]] = {_HOSTS: deque()}

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        return sum(map(len, self._waiting.values()))

    @property
    def full(self) -> bool:
        """Whether no more should be claimed, by their number or by their bytes."""
        held = sum(len(each.envelope) for waiting in self._waiting.values() for each in waiting)
        return len(self) >= _MAX_WAITING or held >= _MAX_BYTES

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Add requests; one of an unknown class counts as `read`."""
        for delivery in deliveries:
            known = delivery.kind == _HOSTS or delivery.kind in _CLASSES
            kind = delivery.kind if known else ControlClass.READ.value.encode()
            self._waiting.setdefault(kind, deque()).append(delivery)

    def next(self) -> Delivery | None:
        """Return the request whose turn it is, or None."""
        if self._waiting[_HOSTS]:
            return self._waiting[_HOSTS].popleft()
        for kind in [kind for kind, waiting in self._waiting.items() if waiting]:
            found = self._waiting[kind].popleft()
            # The class goes to the end of the turns.
            self._waiting[kind] = self._waiting.pop(kind)
            return found
        return None
