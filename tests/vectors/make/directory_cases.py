"""One case of a published document, and values that break the forms of its numbers."""

from __future__ import annotations

from typing import Any, Final

from tests.vectors.make.directory_parts import EVIDENCE, POLICY
from tests.vectors.make.evidence_parts import NOW_MS
from tests.vectors.make.files import VectorFile

BAD_NUMBERS: Final = ("7", -1, True, 1.5, 2**63, None)
WORDS: Final = (
    "Published documents with a policy, a time and the pin that a client kept, if any. Where "
    "`document` is text, it is the document as sent; else any JSON of it will do. "
)


def document_file(path: str, words: str) -> VectorFile:
    """A file of documents."""
    file = VectorFile(path=path, description=WORDS + words)
    for part in ("quote", "bound", "collateral"):
        file.share(part, EVIDENCE[part])
    file.share("evidence", EVIDENCE)
    file.share("policy", POLICY)
    return file


def document_case(
    file: VectorFile,
    title: str,
    rule: str,
    expect: str | list[str],
    description: str,
    document: Any,
    now_ms: int = NOW_MS,
    **more: Any,
) -> None:
    """Add a case."""
    inputs = {"policy": POLICY, "now_ms": now_ms, **more}
    file.case(title, f"directory {rule}", expect, description, document=document, **inputs)
