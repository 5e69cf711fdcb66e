"""Host, engine, pure: the owners that are served now, and the number of processes of each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


def share_workers(owners: Sequence[str], workers: int) -> Counter[str | None]:
    """Return the number of processes of each owner; None: of processes that wait for an owner.

        share_workers(["a"], 4)            # a: 4
        share_workers(["a", "b", "c"], 4)  # a: 2, b: 1, c: 1
        share_workers(["a", "b"], 1)       # a: 1, b: 1
        share_workers([], 4)               # None: 4

    `workers`: how many there are at least.
    """
    if not owners:
        return Counter({None: workers})
    each, more = divmod(workers, len(owners))
    return Counter({owner: max(each + (place < more), 1) for place, owner in enumerate(owners)})


class ServedOwners:
    """The owners that are served: all of them, or those that had requests last.

    `most`: how many may be served at the same time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._served: dict[str, float] = {}

    def update(
        self,
        published: Iterable[str],
        in_demand: Collection[str],
        busy: Collection[str],
        now_s: float,
    ) -> list[str]:
        """Return who is served now, in the order in which they came; as before if none publishes.

        `published`: owners of published models. `in_demand`: those for whose processes requests
        wait. `busy`: those whose processes have requests; none of them gives way. `now_s`: of the
        monotonic clock.
        """
        listed = dict.fromkeys(published) or dict.fromkeys(self._served)
        for owner in [owner for owner in self._served if owner not in listed]:
            del self._served[owner]
        for owner in {*in_demand, *busy} & self._served.keys():
            self._served[owner] = now_s
        waiting = [owner for owner in listed if owner not in self._served]
        for owner in sorted(waiting, key=lambda owner: owner not in in_demand):
            if len(self._served) >= self._most:
                idle = [each for each in self._served if each not in {*busy, *in_demand}]
                if owner not in in_demand or not idle:
                    break
                del self._served[min(idle, key=self._served.__getitem__)]
            self._served[owner] = now_s
        return list(self._served)
