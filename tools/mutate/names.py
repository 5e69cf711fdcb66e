"""Find by name the functions whose calls are checks, and those that conditions of checks ask."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tools.mutate import targets
from tools.mutate.conditions import parts
from tools.mutate.refusals import conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Names:
    """Names of functions of the verifiers.

    `calls`: they return nothing and may raise. `mismatches`: they yield mismatches. `accepting`:
    conditions of checks demand that they return true. `refusing`: a refusal follows when they
    return true.
    """

    calls: set[str] = field(default_factory=set)
    mismatches: set[str] = field(default_factory=set)
    accepting: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)


def find_names(trees: Iterable[ast.Module]) -> Names:
    """Return the names for all modules together, as a check may call another module."""
    names, quiet = Names(), []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            returns = "" if node.returns is None else ast.unparse(node.returns)
            if "Mismatch" in returns:
                names.mismatches.add(node.name)
            if returns == "None" and not node.name.startswith("__"):
                quiet.append(node)
        for condition, refuses in conditions(node):
            for part, part_refuses in parts(condition, refuses=refuses):
                asked = names.refusing if part_refuses else names.accepting
                asked.update(filter(None, [called_name(part)]))
        if isinstance(node, ast.comprehension):
            names.accepting.update(filter(None, map(called_name, node.ifs)))
    _add_calls(names, quiet)
    return names


def called_name(node: ast.expr) -> str | None:
    """Return the last name of a called function or of a read property, or None."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case ast.Attribute(attr=name):
            return name
    return None


def _add_calls(names: Names, quiet: list[Function]) -> None:
    """Add functions that raise, then those that call them, and so on."""
    before = -1
    while len(names.calls) != before:
        before = len(names.calls)
        for node in quiet:
            if node.name not in targets.SIDE_EFFECTS and any(
                isinstance(inner, ast.Raise)
                or (isinstance(inner, ast.Call) and called_name(inner) in names.calls)
                for inner in _own_nodes(node)
            ):
                names.calls.add(node.name)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)
