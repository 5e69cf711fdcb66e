"""The Pythons that the project runs on, and the limits of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

SUPPORTED = ((3, 11), (3, 12), (3, 13), (3, 14))
"""Versions for which every list but Flink's has wheels; `make lock` checks that."""

FLINK = ((3, 11), (3, 12))
"""Versions for which Apache Flink 2.3 and the packages that it pins have wheels."""

THIS = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
"""This Python, not the virtual environment that may be active, which may be made again."""


def text(version: tuple[int, int]) -> str:
    """Return a version in the form `3.11`."""
    return f"{version[0]}.{version[1]}"


def check_supported(version: tuple[int, int]) -> None:
    """Check that the project runs on a Python version.

    Raises: SystemExit with a message for the user.
    """
    if version in SUPPORTED:
        return
    found = [f"python{text(each)}" for each in reversed(SUPPORTED) if _version_of_command(each)]
    advice = (
        f"make PYTHON={found[0]}" if found else "install one of them, then: make PYTHON=python3.X"
    )
    sys.exit(
        f"error: {sys.executable} is Python {text(version)}, but Sealflow runs on "
        f"{text(SUPPORTED[0])} to {text(SUPPORTED[-1])}. Try: {advice}"
    )


def find_flink_python() -> str | None:
    """Return the path of a Python that can run Apache Flink, this one first, or None."""
    if sys.version_info[:2] in FLINK:
        return THIS
    found = (_version_of_command(each) for each in reversed(FLINK))
    return next((path for path in found if path), None)


def flink_note() -> str:
    """Return one sentence about Flink on this Python; empty if nothing is missing."""
    if sys.version_info[:2] in FLINK:
        return ""
    here, wanted = text(sys.version_info[:2]), " or ".join(map(text, FLINK))
    other = find_flink_python()
    if other:
        return f"Apache Flink does not run on Python {here}: its environment uses {other}."
    return (
        f"Apache Flink does not run on Python {here}, and no Python {wanted} was found: "
        "the Flink engine is left out and its tests are skipped. All else works."
    )


def _version_of_command(version: tuple[int, int]) -> str | None:
    """Return the path of `pythonX.Y` if it starts and is that version."""
    path = shutil.which(f"python{text(version)}")
    if path is None:
        return None
    program = (
        "import os, sys; print('%d.%d' % sys.version_info[:2]); "
        "print(os.path.realpath(sys._base_executable))"
    )
    done = subprocess.run(  # noqa: S603 - a Python of this machine
        [path, "-c", program], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    return lines[1] if done.returncode == 0 and lines[:1] == [text(version)] else None
