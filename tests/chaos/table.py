"""The table of a chaos run: what was broken, what it did to how many requests, how long it took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.load import Load

RESULTS = Path(__file__).parents[2] / "bench" / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault."""

    engine: str
    fault: str
    requests: int
    in_flight: int
    wrong: int
    twice: int
    recovery_s: float

    @classmethod
    def of(cls, load: Load, engine: str, fault: str, *, in_flight: int, fault_at_s: float) -> Row:
        """What a load says of a fault that came at a time, with so many in flight."""
        return cls(
            engine=engine,
            fault=fault,
            requests=load.sent,
            in_flight=in_flight,
            wrong=len(load.wrong()) + load.in_flight,
            twice=len(load.twice),
            recovery_s=load.recovery_s(fault_at_s),
        )


def write(rows: list[Row]) -> None:
    """Write the table for machines and for people."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1)
    (RESULTS / "chaos.json").write_text(text + "\n")
    lines = [
        "# What dies, and what becomes of the requests",
        "",
        "Written by `make chaos`. In flight: requests without an answer when the fault came. Wrong",
        "and twice: answers that were not the one right answer to their request. Recovery:",
        "from the fault to the end of the longest pause between two answers after it, on two cores",
        "that run everything, the load too.",
        "",
        "| engine | fault | requests | in flight | wrong | twice | recovery, s |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(
            f"| {row.engine} | {row.fault} | {row.requests} | {row.in_flight} | {row.wrong} "
            f"| {row.twice} | {row.recovery_s:.1f} |"
            for row in rows
        ),
        "",
    ]
    (RESULTS / "chaos.md").write_text("\n".join(lines))
