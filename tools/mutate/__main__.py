"""Switch off each check of the verifiers and look whether a test fails: `make mutate`.

Exit with status 1 if a check that is not listed survives, or if the list is stale.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.cli.screen import print_table, progress
from tools.mutate import targets
from tools.mutate.collection import CollectionError, with_tests
from tools.mutate.importing import Verifiers, find_modules
from tools.mutate.report import Report
from tools.mutate.search import BrokenTestsError, Verdict, search
from tools.mutate.survivors import ListError, prune_survivors, read_survivors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.mutate.checks import Check
    from tools.mutate.collection import Collected

ROOT: Final = Path(__file__).resolve().parents[2]


def main() -> None:
    """Search, print the report and exit with its status."""
    options = _parse()
    verifiers = Verifiers(find_modules(options.source, options.verifiers, targets.LEFT_OUT))
    if options.list:
        print("\n".join(check.id for check in verifiers.checks))
        return
    sys.path.insert(0, str(options.source))
    verifiers.install()
    try:
        report = _search(_chosen(verifiers.checks, options), verifiers.checks, options)
    except (BrokenTestsError, CollectionError, ListError) as error:
        sys.exit(f"error: {error}")
    if options.prune:
        prune_survivors(options.survivors, report.stale)
    if options.json:
        print(json.dumps(report.to_json()))
    else:
        print_table(report.table())
        print("\n".join(report.lines()))
    sys.exit(0 if report.good else 1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--list", action="store_true", help="print the ids of all checks only")
    parser.add_argument("--prune", action="store_true", help="delete stale lines of the list")
    parser.add_argument("--sample", type=int, help="switch off so many checks, not all")
    parser.add_argument("--seed", default="", help="what the sample is drawn with")
    parser.add_argument("--only", default="", help="switch off only checks with this in their id")
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="folder of the package")
    parser.add_argument("--verifiers", nargs="+", default=targets.VERIFIERS, metavar="MODULE")
    parser.add_argument("--tests", nargs="+", default=targets.TESTS, metavar="PATH")
    parser.add_argument("--survivors", type=Path, default=Path(__file__).parent / "survivors.toml")
    return parser.parse_args()


def _chosen(checks: Sequence[Check], options: argparse.Namespace) -> list[Check]:
    """Return the checks to switch off: all, or a sample of those that are not listed."""
    found = [check for check in checks if options.only in check.id]
    if options.sample is None:
        return found
    listed = read_survivors(options.survivors)
    found = [check for check in found if check.id not in listed]
    draw = random.Random(options.seed)  # noqa: S311 - a choice, not a secret
    return draw.sample(found, min(options.sample, len(found)))


def _search(checks: Sequence[Check], every: Sequence[Check], options: argparse.Namespace) -> Report:
    """Collect the tests and search with them."""
    begin_s, verdicts, left_out = time.monotonic(), dict[str, Verdict](), 0

    def use(tests: Collected) -> None:
        nonlocal left_out
        left_out = len(tests.left_out)
        with progress("Checks", len(checks), quiet=options.json) as step:
            verdicts.update(search([check.id for check in checks], tests.used, step))

    with_tests(options.tests, use)
    listed = read_survivors(options.survivors)
    known = {check.id for check in every}
    return Report(
        checks=checks,
        verdicts=verdicts,
        listed=listed,
        stale=[
            check
            for check in listed
            if check not in known or (check in verdicts and verdicts[check].noticed_by is not None)
        ],
        left_out=left_out,
        seconds=time.monotonic() - begin_s,
    )


if __name__ == "__main__":
    main()
