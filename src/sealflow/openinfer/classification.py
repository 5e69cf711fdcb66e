"""Core, pure, stdlib only: top classes as Triton's classification extension writes them.

One BYTES element is `score:index:label`, best first. Spec: docs/spec/content.md, section 5.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from sealflow.errors import MalformedError

_CLASS: Final = re.compile(r"(-?[0-9][0-9.e+-]{0,31}):([0-9]{1,10})(?::(.{0,4096}))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopClass:
    """One class that a model found, with its score as the model gave it."""

    score: float
    index: int
    label: str = ""

    def encode(self) -> bytes:
        """Write the class; nine digits keep an FP32 score exact."""
        tail = f":{self.label}" if self.label else ""
        return f"{self.score:.9g}:{self.index}{tail}".encode()


def parse_class(element: bytes | memoryview) -> TopClass:
    """Read what `TopClass.encode` writes.

    Raises: MalformedError.
    """
    try:
        match = _CLASS.fullmatch(str(element, "utf-8"))
        score = float(match[1]) if match else math.nan
    except ValueError:
        match, score = None, math.nan
    if match is None or not math.isfinite(score):
        msg = "classification: an element is not score:index:label"
        raise MalformedError(msg)
    return TopClass(score=score, index=int(match[2]), label=match[3] or "")
