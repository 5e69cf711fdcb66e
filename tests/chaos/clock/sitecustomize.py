"""In a process with this folder on PYTHONPATH, the wall clock is off by the seconds in a file.

Python imports this module at its start; the file is named by SKEWED_CLOCK, and may change.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_FILE = Path(os.environ["SKEWED_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def skew_s() -> int:
    """Read by how much the clock is off now."""
    return int(_FILE.read_text() or 0)


time.time = lambda: _time() + skew_s()
time.time_ns = lambda: _time_ns() + skew_s() * 10**9
