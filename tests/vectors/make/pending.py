"""Cases that are right by the specification and are not held by the library yet, by file."""

from __future__ import annotations

from typing import Final

PENDING: Final[dict[str, tuple[str, ...]]] = {
    "evidence/bound.json": (
        "sealing_key: form 1",
        "sealing_key: form 2",
        "sealing_key: form 3",
        "sealing_key: form 5",
        "sealing_suite: form 1",
        "sealing_suite: form 3",
        "sealing_suite: form 4",
        "software: form 1",
        "software: form 2",
        "software: form 3",
        "software: form 4",
        "sealing_suite: hardware's",
        "sealing_key: X-Wing, short",
        "sealing_key: X-Wing of 32 bytes",
        "JSON: 32 deep",
        "JSON: 20 characters",
        "JSON: surrogate pair",
        "JSON: __proto__",
        "JSON: unknown key",
        "JSON: unknown key with anything",
    ),
    "evidence/form.json": (
        "base64: unused bits",
    ),
}
