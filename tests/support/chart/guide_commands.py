"""The commands of docs/guide/kubernetes.md."""

from __future__ import annotations

import re
from typing import Final

from tests.support.chart.rendering import ROOT

GUIDE: Final = ROOT / "docs" / "guide" / "kubernetes.md"
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Give the guide's commands in their order."""
    return [line for block in _BLOCK.findall(GUIDE.read_text()) for line in block.splitlines()]
