"""Split the condition of a check into parts that can be switched off one by one."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Switch(Protocol):
    """A function that returns a part of a condition with a switch.

    `refuses`: whether the refusal follows when the part is true.
    """

    def __call__(self, part: ast.expr, *, refuses: bool) -> ast.expr:
        """Return the part with a switch."""


def split(condition: ast.expr, switch: Switch, *, refuses: bool) -> ast.expr:
    """Return a condition with `switch` applied to each part that alone can cause the refusal.

    `refuses`: whether the refusal follows when the condition is true; otherwise it follows when the
    condition is false.
    """
    for operands in _operands(condition, refuses=refuses):
        for owner, name, index, part, flipped in operands:
            new = split(part, switch, refuses=flipped)
            if index is None:
                setattr(owner, name, new)
            else:
                getattr(owner, name)[index] = new
        return condition
    links = [] if refuses else _links(condition)
    if links:
        return ast.BoolOp(op=ast.And(), values=[switch(link, refuses=False) for link in links])
    return switch(condition, refuses=refuses)


def parts(condition: ast.expr, *, refuses: bool) -> list[tuple[ast.expr, bool]]:
    """Return the parts that `split` would switch, each with its own `refuses`."""
    for operands in _operands(condition, refuses=refuses):
        return [
            found for _, _, _, part, flipped in operands for found in parts(part, refuses=flipped)
        ]
    links = [] if refuses else _links(condition)
    return [(link, False) for link in links] or [(condition, refuses)]


_Operand = tuple[ast.AST, str, "int | None", ast.expr, bool]


def _operands(condition: ast.expr, *, refuses: bool) -> Iterator[list[_Operand]]:
    """Yield once the operands that are switched in the place of the whole; nothing for a part."""
    match condition:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield [(condition, "operand", None, inner, not refuses)]
        case ast.BoolOp(op=operator, values=values):
            found: list[_Operand] = [
                (condition, "values", index, value, refuses) for index, value in enumerate(values)
            ]
            if isinstance(operator, ast.Or) is not refuses:
                # One operand that is switched off decides the whole: those with parts go on.
                found = [each for each in found if len(parts(each[3], refuses=refuses)) > 1]
            if found:
                yield found
        case ast.IfExp(body=body, orelse=orelse):
            yield [
                (condition, "body", None, body, refuses),
                (condition, "orelse", None, orelse, refuses),
            ]
        case ast.Call(func=ast.Name(id="any" | "all" as name), args=[ast.GeneratorExp() as items]):
            if (name == "any") is refuses and len(parts(items.elt, refuses=refuses)) > 1:
                yield [(items, "elt", None, items.elt, refuses)]
        case _:
            pass


def _links(condition: ast.expr) -> list[ast.expr]:
    """Return the single comparisons of `a <= b <= c`; empty if that would repeat a call."""
    if not isinstance(condition, ast.Compare) or len(condition.ops) == 1:
        return []
    values = [condition.left, *condition.comparators]
    if any(isinstance(node, ast.NamedExpr) for each in values for node in ast.walk(each)):
        return []
    return [
        ast.Compare(
            left=left,
            ops=[operator],
            comparators=[right],
            lineno=left.lineno,
            col_offset=left.col_offset,
            end_lineno=right.end_lineno,
            end_col_offset=right.end_col_offset,
        )
        for left, operator, right in zip(values, condition.ops, values[1:], strict=False)
    ]
