"""What pages say can be followed: links, headings, code, commands and their options."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from sealflow.cli.main import cli
from tools import build_site

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(build_site.navigation())
TARGETS: Final = set(
    re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
OTHER_NAMES: Final = {"False", "True", "drain_s", "stale_after_s", "strict_json", "unverified_"}
"""Names that pages for developers have beside those of classes and functions."""
SIGNATURE: Final = re.compile(r"(async )?[\w.]*?(\w+\(.*\).*)\n", re.DOTALL)
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return the text of a page without its code blocks."""
    return FENCE.sub("", read(page))


def blocks(page: str, *languages: str) -> list[str]:
    """Return the code blocks of a page that are in one of some languages."""
    return [body for language, body in FENCE.findall(read(page)) if language in languages]


@cache
def anchors(page: str) -> frozenset[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    texts = (re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", each).lower() for each in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", each).strip().replace(" ", "-") for each in texts)


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Every link leads to a file, and to a heading where it names one; never to a folder."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", prose(page)):
        if "://" in target:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.is_file(), target
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), (target, anchor)


@pytest.mark.parametrize("page", PAGES)
def test_lists(page: str) -> None:
    """A list begins after an empty line, and no code is indented: the site shows them otherwise."""
    assert re.search(r"^ +```", read(page), re.MULTILINE) is None
    lines = prose(page).splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"([-*]|\d+\.) ", line):
            assert not before or re.match(r"([-*]|\d+\.) | {2,}|#", before), (before, line)


@pytest.mark.parametrize("page", PAGES)
def test_data(page: str) -> None:
    """Blocks of TOML, JSON and YAML are well formed."""
    for body in blocks(page, "toml"):
        tomllib.loads(body)
    for body in blocks(page, "json"):
        json.loads(body)
    for body in blocks(page, "yaml"):
        list(yaml.safe_load_all(body))


@pytest.mark.parametrize("page", PAGES)
def test_python(page: str) -> None:
    """Blocks of Python compile; those of the reference may be signatures alone."""
    for body in blocks(page, "python"):
        signature = SIGNATURE.fullmatch(body) if page == "docs/reference/python.md" else None
        source = f"{signature[1] or ''}def {signature[2]}: ..." if signature else body
        compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def commands(text: str) -> list[list[str]]:
    """Return the words of each `sealflow …` and `make …` command of a shell block."""
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((i for i, each in enumerate(words) if each in {"&&", "|", ";", "&"}), None)
            first, words = words[:end], words[end + 1 :] if end is not None else []
            if first and first[0] in {"sealflow", "make"}:
                found.append(first)
    return found


def check_options(words: list[str]) -> None:
    """Check that a command of ours exists, and has the options that it is shown with."""
    command: click.Command = cli
    context = click.Context(cli)
    known = {"--help", "-h", "--version"}
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, words
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            assert found is not None, words
            command = found
            known |= {
                each for param in command.params for each in (*param.opts, *param.secondary_opts)
            }


@pytest.mark.parametrize("page", PAGES)
def test_commands(page: str) -> None:
    """Commands in shell blocks exist, with their options; so do targets of `make`."""
    for body in blocks(page, "sh"):
        for words in commands(body):
            if words[0] == "sealflow":
                check_options(words)
            else:
                targets = [each for each in words[1:] if "=" not in each]
                assert set(targets) <= TARGETS, words


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences(page: str) -> None:
    """A command that a sentence names exists, with its options."""
    for text in re.findall(r"`(sealflow [a-z-][^`]*)`", prose(page).replace("\n", " ")):
        words = text.replace("[", " ").replace("]", " ").split()
        for first in words[1].split("|"):
            for second in words[2].split("|") if len(words) > 2 else [""]:
                check_options([each for each in ("sealflow", first, second, *words[3:]) if each])


@pytest.mark.parametrize("page", PAGES)
def test_targets_in_sentences(page: str) -> None:
    """A target of `make` that a sentence names exists."""
    found = re.findall(r"`make ([a-z0-9-]+)[^`]*`", prose(page))
    assert set(found) <= TARGETS


def test_a_wrong_option() -> None:
    """The check of commands finds a wrong subcommand and a wrong option."""
    check_options(["sealflow", "model", "publish", "x.sealed", "--home=h"])
    for words in (["sealflow", "model", "push"], ["sealflow", "up", "--worker"]):
        with pytest.raises(AssertionError):
            check_options(words)
    assert commands("A=1 true && sealflow up --model \\\n x # y\n") == [
        ["sealflow", "up", "--model", "x"]
    ]


def test_glossary() -> None:
    """Each word of the glossary has one row, a meaning, and a link to its page."""
    rows = [each for each in read("docs/glossary.md").splitlines() if each.startswith("| [")]
    words = [
        re.fullmatch(r"\| \[([^\]]+)\]\(([^)]+\.md[^)]*)\) \| [^|]+\. \|", row) for row in rows
    ]
    assert len(rows) > 50
    assert [row for row, found in zip(rows, words, strict=True) if found is None] == []
    singular = [found[1].lower() for found in words if found]
    assert len(singular) == len(set(singular))


@cache
def classes_and_functions() -> frozenset[str]:
    """Return the names of all classes, functions and constants of the source."""
    pattern = re.compile(r"^ *(?:class|(?:async )?def) (\w+)|^(\w+)(?:: Final)? = ", re.MULTILINE)
    folders = ("src", "tests", "tools")
    texts = (
        path.read_text(encoding="utf-8") for each in folders for path in (ROOT / each).rglob("*.py")
    )
    return frozenset(name for text in texts for pair in pattern.findall(text) for name in pair)


@pytest.mark.parametrize("page", [each for each in PAGES if each.startswith("docs/develop/")])
def test_names(page: str) -> None:
    """Classes, functions and constants that a page for developers names are in the source."""
    named = re.findall(r"`(_?[A-Z]\w+|\w+\(\)|_\w+|[a-z]+_\w+)[(`]", prose(page))
    known = classes_and_functions() | OTHER_NAMES
    assert {each.removesuffix("()") for each in named} - known == set()
