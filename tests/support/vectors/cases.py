"""Reads the cases of a vector file, and names what the library says of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sealflow.errors import (
    EvidenceError,
    MalformedError,
    PolicyError,
    SealflowError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[2] / "vectors"
REFERENCE = "@"

Case = dict[str, Any]


def read_cases(name: str) -> list[Case]:
    """All cases of a file, with what they share filled in."""
    whole = json.loads((FOLDER / name).read_text())
    return [_filled(case, whole.get("shared", {})) for case in whole["cases"]]


def case_name(case: Case) -> str:
    """How a case is called in a test's id."""
    return str(case["name"])


def _filled(value: Any, shared: dict[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith(REFERENCE):
        return _filled(shared[value.removeprefix(REFERENCE)], shared)
    if isinstance(value, list):
        return [_filled(each, shared) for each in value]
    if isinstance(value, dict) and value.keys() == {"join"}:
        return "".join(_piece(each, shared) for each in value["join"])
    if isinstance(value, dict):
        return {name: _filled(each, shared) for name, each in value.items()}
    return value


def _piece(piece: str | list[Any], shared: dict[str, Any]) -> str:
    if isinstance(piece, str):
        return piece
    text, times = piece
    return str(_filled(text, shared)) * int(times)


def verdict(judge: Callable[[], object], form: str) -> str | list[str]:
    """Return `ok`, the code of the first error, or the codes of all mismatches, in order of name.

    `form`: the code of what does not parse, where the error has no code of its own.
    """
    try:
        judge()
    except PolicyError as error:
        return sorted(mismatch.code for mismatch in error.mismatches)
    except EvidenceError as error:
        return error.code
    except MalformedError as error:
        return form if error.code == MalformedError.code else error.code
    except SealflowError as error:
        return str(error.code)
    return "ok"


def expected(case: Case) -> str | list[str]:
    """What must come out, in the form of `verdict`."""
    expect = case["expect"]
    return sorted(expect) if isinstance(expect, list) else str(expect)
