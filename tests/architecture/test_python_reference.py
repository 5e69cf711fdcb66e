"""The public API: every name is documented whole, and the page is made of what the names say."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import sealflow.owner
from tools.python_reference import (
    PAGE,
    ROOT,
    SUBJECTS,
    Docstring,
    Documented,
    attributes,
    members,
    page,
    public,
)

if TYPE_CHECKING:
    from types import ModuleType

NAMES = [public(name) for text in SUBJECTS.values() for name in text.split()]
MEMBERS = [member for name in NAMES for member in members(name)]
EVERYTHING = [*NAMES, *MEMBERS]
AWAITED = re.compile(r"As `([\w.]+)`(?:, awaited|, with `async for`; .+)?\.")
ITERATORS = ("Iterator[", "AsyncIterator[", "Iterable[")


def by_name(found: list[Documented]) -> list[Any]:
    """One case for each."""
    return [pytest.param(each, id=each.name) for each in found]


def function_of(found: Documented) -> Any:
    """The function behind a method or property."""
    source = found.source
    return getattr(source, "fget", None) or getattr(source, "__func__", None) or source


def referred(found: Documented) -> str | None:
    """The name that says all of this one, if a docstring only refers to it."""
    match = AWAITED.fullmatch(found.docstring.text)
    return match[1] if match else None


def test_page() -> None:
    """The page is what `make docs` writes now."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_subjects() -> None:
    """The page has every public name, once."""
    listed = [name for text in SUBJECTS.values() for name in text.split()]
    assert sorted(listed) == sorted(sealflow.owner.__all__)


def test_errors_are_public() -> None:
    """Every class of errors is public."""
    errors = importlib.import_module("sealflow.errors")
    found = {
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, Exception)
    }
    assert found <= {*sealflow.owner.__all__}


@pytest.mark.parametrize("found", by_name(EVERYTHING))
def test_text(found: Documented) -> None:
    """A docstring begins with a sentence; another name that it refers to is there."""
    first = found.docstring.text.partition("\n")[0]
    assert first[:1].isupper()
    assert first.endswith((".", ":")) or found.docstring.text.partition("\n\n")[0].endswith(".")
    target = referred(found)
    assert target is None or target in {each.name for each in EVERYTHING}


@pytest.mark.parametrize("found", by_name(NAMES))
def test_example(found: Documented) -> None:
    """Every public name has an example; tests/e2e/test_python_examples.py runs it."""
    assert ">>> " in found.docstring.sections.get("Example", "")


@pytest.mark.parametrize("found", by_name(NAMES))
def test_fields(found: Documented) -> None:
    """Every field of a value and every argument of a class is documented, and no other."""
    items = found.docstring.items("Attributes")
    if inspect.isclass(found.source) and attributes(found.source):
        assert tuple(items) == attributes(found.source)
    elif inspect.isclass(found.source) and not issubclass(found.source, enum.Enum):
        assert [*found.docstring.items("Args")] == [*found.parameters]


@pytest.mark.parametrize(
    "found", by_name([each for each in EVERYTHING if not inspect.isclass(each.source)])
)
def test_arguments_and_result(found: Documented) -> None:
    """A function says what it takes and what it returns, or that another says it."""
    if isinstance(found.source, property | str) or referred(found):
        return
    function = function_of(found)
    said = [name.lstrip("*") for name in found.docstring.items("Args")]
    assert said == [*found.parameters]
    back = function.__annotations__["return"]
    section = "Yields" if inspect.isgeneratorfunction(function) else "Returns"
    if back.startswith(ITERATORS) and "Yields" in found.docstring.sections:
        section = "Yields"
    assert (section in found.docstring.sections) is (back != "None")


@pytest.mark.parametrize("found", by_name(EVERYTHING))
def test_raises(found: Documented) -> None:
    """Errors that a function raises itself are listed, and those that are listed are public."""
    items = found.docstring.items("Raises")
    assert items.keys() <= {*sealflow.owner.__all__}
    assert ("Raises" in found.docstring.sections) is bool(items)
    if isinstance(found.source, str) or inspect.isclass(found.source) or referred(found):
        return
    tree = ast.parse(textwrap.dedent(inspect.getsource(function_of(found))))
    raised = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    assert raised <= items.keys()


def imports(module: ModuleType) -> dict[str, str]:
    """The names that a module imports from Sealflow, also for types only, and from where."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sealflow.")
        for alias in node.names
        if node.module
    }


def named_in(found: Documented) -> set[str]:
    """The identifiers in the annotations of a public name: of arguments, results and fields."""
    if isinstance(found.source, str):
        texts = [found.source]
    elif isinstance(found.source, property):
        texts = [function_of(found).__annotations__["return"]]
    elif inspect.isclass(found.source):
        own = inspect.get_annotations(found.source)
        texts = [str(text) for name, text in own.items() if not name.startswith("_")]
        texts += [str(each.annotation) for each in found.parameters.values()]
    else:
        texts = [str(each.annotation) for each in found.parameters.values()]
        texts.append(str(function_of(found).__annotations__["return"]))
    return {word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text)}


@pytest.mark.parametrize("found", by_name(EVERYTHING))
def test_what_a_signature_names_is_public(found: Documented) -> None:
    """Every type of ours in an annotation is exported, under the name that it has there."""
    name = found.name.partition(".")[0]
    module = importlib.import_module(sealflow.owner._MODULES[name])
    known = imports(module)
    own = {each for each, value in vars(module).items() if inspect.isclass(value)}
    named = {each for each in named_in(found) if each in known or each in own}
    ours = {
        each
        for each in named
        if each in known or vars(module)[each].__module__.startswith("sealflow.")
    }
    assert ours <= {*sealflow.owner.__all__}


@pytest.mark.parametrize("page_name", ["README.md", "docs/tour.md", "docs/guide/python-client.md"])
def test_pages_use_public_names(page_name: str) -> None:
    """Python on pages for users imports public names, and nothing else of ours."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / page_name).read_text(), re.DOTALL | re.MULTILINE
    )
    found = [
        (node.module, alias.name)
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sealflow")
        for alias in node.names
    ]
    assert found
    assert {module for module, _ in found} == {"sealflow.owner"}
    assert {name for _, name in found} <= {*sealflow.owner.__all__}


def test_a_docstring() -> None:
    """Sections are split by their names, and items over several lines are joined."""
    found = Docstring.parse(
        "Do it.\n\n    Args:\n        one: First\n            line.\n        **more: Rest.\n"
    )
    assert found.text == "Do it."
    assert found.items("Args") == {"one": "First line.", "**more": "Rest."}
    assert found.items("Raises") == {}
