"""Read from README.md which system packages users must install."""

from __future__ import annotations

import re

_LINE = re.compile(r"^sudo apt-get install ([a-z0-9][a-z0-9.+ -]*)$", re.MULTILINE)


def named(readme: str) -> list[str]:
    """Return the packages of the one line `sudo apt-get install …`.

    Raises: ValueError if there is no such line, or more than one.
    """
    lines = _LINE.findall(readme)
    if len(lines) != 1:
        raise ValueError(f"README.md has {len(lines)} lines `sudo apt-get install …`, not one")
    return str(lines[0]).split()
