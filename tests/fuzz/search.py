"""`python -m tests.fuzz.search TARGET CORPUS [libFuzzer options]`: search with atheris."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sealflow"]):
    from tests.fuzz.targets import SEEDS


def main() -> None:
    """Write the seeds into the corpus folder, then search."""
    name, corpus = sys.argv[1], Path(sys.argv[2])
    [target] = [each for each in SEEDS if each.__name__ == name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
