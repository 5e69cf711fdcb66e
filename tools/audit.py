"""Check all releases pinned in `requirements/*.txt` for known vulnerabilities: `make audit`.

pip-audit asks an advisory service on the network. The audit fails if the service does not answer
for a list: it never reports a list as clean that was not compared. Unknown options are passed to
pip-audit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = ROOT / ".venv-audit" / "bin" / "pip-audit"
LISTS = ROOT / "requirements"
# A release with advisories since 2019. A service that lists none of them is not usable.
PROBE = "urllib3==1.24.1\n"
VULNERABLE, UNKNOWN = 1, 2


def main() -> None:
    """Audit every list; exit with status 1 for a vulnerability, 2 if a list was not compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, default=LISTS, help="folder of the lists")
    options, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.txt"
        probe.write_text(PROBE, encoding="utf-8")
        if not findings(probe, given):
            give_up(f"the service knows no advisory for {PROBE.strip()}, which has several")
    vulnerable = 0
    for path in sorted(options.lists.glob("*.txt")):
        if path.name == "constraints.txt":
            continue  # made from dev.txt
        found = findings(path, given)
        vulnerable += len(found)
        print("\n".join(found or [f"{path.stem}: no known vulnerability"]), flush=True)
    if vulnerable:
        sys.exit(VULNERABLE)


def findings(path: Path, given: list[str]) -> list[str]:
    """Return a line for each package of a list that has advisories."""
    options = ["--disable-pip", "--no-deps", "--progress-spinner=off", "--format=json", *given]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [PIP_AUDIT, "--requirement", path, *options],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        give_up(f"{PIP_AUDIT} is missing: make tools")
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        give_up(f"{path.name}: {done.stderr.strip().rpartition(chr(10))[2]}")
    skipped = [each["skip_reason"] for each in packages if "skip_reason" in each]
    if skipped or not packages:
        reason = skipped[0] if skipped else "no package was found in it"
        give_up(f"{path.name}, {len(skipped)} of {len(packages)} packages: {reason}")
    return [
        f"{path.stem}: {each['name']} {each['version']}: {advisory['id']}, "
        f"fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for each in packages
        for advisory in each["vulns"]
    ]


def give_up(reason: str) -> NoReturn:
    """Print why a list was not audited and exit with status 2."""
    print(f"error: NOT AUDITED: {reason}", file=sys.stderr)
    print(
        "This needs the public index's advisories, or api.osv.dev with `-s osv`.", file=sys.stderr
    )
    sys.exit(UNKNOWN)


if __name__ == "__main__":
    main()
