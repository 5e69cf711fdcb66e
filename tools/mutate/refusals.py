"""Find refusals in a syntax tree, and the conditions that they hang on."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tools.mutate import targets
from tools.mutate.conditions import parts

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_refusal(node: ast.AST) -> bool:
    """Return whether a statement raises, or returns, yields or collects a refusal."""
    match node:
        case ast.Raise(exc=error):
            return error is not None
        case ast.Return(value=ast.expr() as value):
            return _names_refusal(value)
        case ast.Expr(value=ast.Yield(value=ast.expr() as value)):
            return _names_refusal(value)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append" | "add"), args=[value])):
            return _names_refusal(value)
    return False


def _names_refusal(value: ast.expr) -> bool:
    return any(
        targets.REFUSAL.fullmatch(node.id if isinstance(node, ast.Name) else node.attr) is not None
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def conditions(node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the conditions below a node, not deeper, that refusals hang on.

    Each comes with whether the refusal follows when it is true.
    """
    for block in blocks(node):
        for index, statement in enumerate(block):
            if not isinstance(statement, ast.If):
                continue
            if any(map(is_refusal, statement.body)):
                yield statement.test, True
            elif any(map(is_refusal, statement.orelse)) or (
                _leads_to_refusal(block[index + 1 :])
                and _leaves(statement)
                and len(parts(statement.test, refuses=False)) > 1
            ):
                yield statement.test, False


def governed(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the refusals below a node, not deeper, that a condition alone decides.

    Calls in a `try` whose handler refuses are among them: the handler's refusal is the check.
    """
    for block in blocks(node):
        for statement in block:
            if isinstance(statement, ast.If):
                yield from filter(is_refusal, statement.body)
                if not any(map(is_refusal, statement.body)):
                    yield from filter(is_refusal, statement.orelse)
            if isinstance(statement, ast.Try) and any(
                is_refusal(last) for handler in statement.handlers for last in handler.body
            ):
                yield from (each for each in statement.body if isinstance(each, ast.Expr))


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the lists of statements of a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block


def _leaves(statement: ast.If) -> bool:
    return isinstance(statement.body[-1], ast.Return | ast.Continue) and not statement.orelse


def _leads_to_refusal(rest: list[ast.stmt]) -> bool:
    """Return whether only assignments stand before a refusal."""
    for statement in rest:
        if not isinstance(statement, ast.Assign):
            return is_refusal(statement)
    return False
