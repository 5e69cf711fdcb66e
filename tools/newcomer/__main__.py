"""Run `make demo`, `make test` in fresh systems: `python -m tools.newcomer [--suites …]`."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from pathlib import Path

from tools.newcomer.fresh_root import remove
from tools.newcomer.trial import Result, attempt

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".tools" / "newcomer"
SUITES = ["bookworm", "trixie"]
COLUMNS = ("suite", "Python", "pip", "command", "seconds", "result")


def main() -> None:
    """Run each command in each suite and print a table; exit with status 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.newcomer", description=__doc__)
    parser.add_argument("--suites", nargs="+", default=SUITES, metavar="SUITE")
    parser.add_argument("--commands", nargs="+", default=["demo"], metavar="TARGET")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("error: fresh systems are made by root alone: sudo make newcomer")
    # A signal raises KeyboardInterrupt, so that the system's folder is removed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    CACHE.mkdir(parents=True, exist_ok=True)
    CACHE.chmod(0o700)  # the systems contain set-user-ID programs of root
    results: list[Result] = []
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("error: another `make newcomer` is running in this checkout")
        for left in CACHE.glob("*-*/"):
            remove(left)
        try:
            for suite in options.suites:
                print(f"{suite}: output in {(CACHE / suite).relative_to(ROOT)}.log", flush=True)
                for result in attempt(suite, options.commands, ROOT, CACHE):
                    print("  ".join(_cells(result)), flush=True)
                    results.append(result)
        except KeyboardInterrupt:
            sys.exit("interrupted")
    print(_table([COLUMNS, *map(_cells, results)]))
    sys.exit(not all(each.passed for each in results))


def _cells(result: Result) -> tuple[str, ...]:
    word = "passed" if result.passed else "FAILED"
    facts = (result.suite, result.python, result.pip, result.command, f"{result.seconds:.0f}")
    return (*facts, f"{word}: {result.said}")


def _table(rows: list[tuple[str, ...]]) -> str:
    """Return rows with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n" + "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
