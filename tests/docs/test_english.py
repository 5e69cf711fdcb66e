"""The lint of English finds each bad pattern, and leaves good sentences and code alone."""

from __future__ import annotations

import pytest

from tools import english


def found(text: str, *, docstring: bool = False) -> list[str]:
    """Return what the lint quotes of a text."""
    return [
        " ".join(quoted.split()) for _, quoted, _ in english.check_text(text, docstring=docstring)
    ]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("It opens the file; gives its bytes.", "; gives"),
        ("The answer is no\nproof.", "is no"),
        ("Code inside the wall is small.", "the wall"),
        ("The wall's one hole is a pipe.", "one hole"),
        ("Print the figures of each process.", "figures"),
        ("The entry was passed on twice.", "was passed on"),
        ("An engine passes it on to others.", "passes it on to others"),
        ("Then it is set aside.", "set aside"),
        ("The others stand by.", "stand by"),
        ("Keys of another world are refused.", "world"),
        ("Wait for a while.", "for a while"),
        ("The engine owes an answer.", "owes"),
        ("A worker who ends is replaced.", "worker who"),
        ("Whoever calls it must close it.", "Whoever calls"),
        ("This is what travels.", "what travels"),
    ],
)
def test_bad_patterns(text: str, quoted: str) -> None:
    """Each pattern is found, also over the end of a line, and once."""
    assert found(text) == [quoted]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Give the key.", "Give "),
        ("What a policy demands.", "What "),
        ("Worker: what the reader hands over.", "Worker: what "),
    ],
)
def test_bad_docstrings(text: str, quoted: str) -> None:
    """How a docstring may not begin is allowed elsewhere."""
    assert found(text, docstring=True) == [quoted.strip()]
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "There is no port. It is no longer used, and is not a proof.",
        "The operator, who owns the machine, gives up.",
        "Return the key; the caller that asked gets it.",
        "Hello, Worldwide; the Wallet figured it out.",
    ],
)
def test_good_sentences(text: str) -> None:
    """Correct sentences pass."""
    assert found(text, docstring=True) == []


def test_pages() -> None:
    """Code in a page is not read, and a finding keeps its line."""
    page = "# A\n\n```sh\nfigures\n```\n\n`world` and\nthe figures, `a\nworld`\n"
    (part,) = english.page_parts(page)
    line, text, docstring = part
    assert (line, docstring) == (1, False)
    assert text.count("\n") == page.count("\n")
    ((offset, quoted, _),) = english.check_text(text)
    assert quoted == "figures"
    assert line + text.count("\n", 0, offset) == 8


def test_python() -> None:
    """Docstrings, comments and messages of Python are read with their lines; names are not."""
    source = '"""What it is."""\nfigures = 1  # the wall\nx = "is no frame"\ny = "`world` `a`"\n'
    read = [
        (line, quoted.strip())
        for line, part, docstring in english.python_parts(source)
        for _, quoted, _ in english.check_text(part, docstring=docstring)
    ]
    assert sorted(read) == [(1, "What"), (2, "the wall"), (3, "is no")]


def test_this_repository() -> None:
    """All files that are checked pass."""
    assert [each for path in english.files() for each in english.check_file(path)] == []
