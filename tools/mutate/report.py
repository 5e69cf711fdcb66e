"""The report of a search: for people a table and lists, for programs JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.mutate.children import CRASHED, HUNG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from tools.mutate.checks import Check
    from tools.mutate.search import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdicts of the checks that were off.

    `listed`: the reasons of the listed survivors. `stale`: listed checks that do not exist or that
    tests notice. `left_out`: the number of tests that did not run.
    """

    checks: Sequence[Check]
    verdicts: Mapping[str, Verdict]
    listed: Mapping[str, str]
    stale: Sequence[str]
    left_out: int
    seconds: float

    @property
    def survivors(self) -> list[Check]:
        """The checks that no test noticed."""
        return [check for check in self.checks if self.verdicts[check.id].noticed_by is None]

    @property
    def unlisted(self) -> list[Check]:
        """The survivors without a reason."""
        return [check for check in self.survivors if check.id not in self.listed]

    @property
    def good(self) -> bool:
        """Whether the build may go on."""
        return not self.unlisted and not self.stale

    def to_json(self) -> dict[str, object]:
        """Return all of it as a JSON object."""
        return {
            "checks": len(self.checks),
            "survivors": [
                {
                    "id": check.id,
                    "place": f"{check.path}:{check.line}",
                    "why": self.verdicts[check.id].how,
                    "reason": self.listed.get(check.id),
                }
                for check in self.survivors
            ],
            "noticed": {
                check: {"by": verdict.noticed_by, "how": verdict.how}
                for check, verdict in self.verdicts.items()
                if verdict.noticed_by is not None
            },
            "stale": list(self.stale),
            "tests_left_out": self.left_out,
            "seconds": round(self.seconds, 1),
        }

    def table(self) -> Table:
        """Return the numbers of each module."""
        from rich.table import Table  # noqa: PLC0415 - JSON needs no tables

        table = Table("Module", box=None, pad_edge=False)
        for name in ("Checks", "Noticed", "Listed", "Survivors"):
            table.add_column(name, justify="right")
        every = Counter(check.module for check in self.checks)
        survivors = Counter(check.module for check in self.survivors)
        unlisted = Counter(check.module for check in self.unlisted)
        rows = [(name, every[name], survivors[name], unlisted[name]) for name in sorted(every)]
        rows.append(("All", every.total(), survivors.total(), unlisted.total()))
        for name, checks, alive, bad in rows:
            table.add_row(name, *map(str, (checks, checks - alive, alive - bad, bad)))
        return table

    def lines(self) -> Iterator[str]:
        """Yield a line for each thing to mend, and a last line that sums up."""
        for check in self.unlisted:
            how = self.verdicts[check.id].how
            yield f"{check.path}:{check.line}: survivor: {check.id}\n    {how}"
        for check_id in self.stale:
            yield f"stale in survivors.toml: {check_id}"
        hung = [each for each in self.verdicts.values() if each.how in (HUNG, CRASHED)]
        for verdict in hung:
            yield f"{verdict.how}, which counts as noticed: {verdict.check}"
        yield (
            f"{len(self.checks)} checks off, one after the other, in {self.seconds:.0f} s: "
            f"{len(self.unlisted)} survive, {len(self.survivors) - len(self.unlisted)} are listed"
        )
