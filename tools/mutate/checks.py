"""Find the checks of a module, and change its syntax tree so that each can be switched off."""

from __future__ import annotations

import ast
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tools.mutate import targets
from tools.mutate.conditions import parts, split
from tools.mutate.names import called_name
from tools.mutate.refusals import conditions, governed, is_refusal

if TYPE_CHECKING:
    from tools.mutate.names import Function, Names

_TEXT = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `id`: module, function and source text, so that it survives moved lines."""

    id: str
    module: str
    path: str
    line: int


def change_module(
    tree: ast.Module, source: str, *, module: str, path: str, names: Names
) -> list[Check]:
    """Change a module's tree in place; return its checks in the order of the source."""
    changer = _Changer(source, module, path, names)
    changer.visit(tree)
    ast.fix_missing_locations(tree)
    return sorted(changer.checks, key=lambda check: check.line)


def _later(value: ast.expr) -> ast.Lambda:
    """Return a function without parameters that returns a value."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(args=nothing, body=value)


class _Changer(ast.NodeTransformer):
    """Visitor that adds an id and a switch to each check of one module."""

    def __init__(self, source: str, module: str, path: str, names: Names) -> None:
        self.checks: list[Check] = []
        self._lines = source.splitlines()
        self._module = module
        self._path = path
        self._names = names
        self._scope: list[str] = []
        self._predicate: bool | None = None
        self._tests: dict[int, bool] = {}
        self._governed: set[int] = set()
        self._texts: Counter[str] = Counter()

    def visit(self, node: ast.AST) -> Any:  # noqa: ANN401 - as ast has it
        """Note what decides the refusals below a node, then change it."""
        if isinstance(node, ast.Module | ast.stmt | ast.ExceptHandler | ast.match_case):
            self._tests |= {id(test): refuses for test, refuses in conditions(node)}
            self._governed |= {id(statement) for statement in governed(node)}
        return super().visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Enter a class."""
        return self._enter(node, predicate=None)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Enter a function."""
        return self._enter(node, predicate=self._predicate_of(node))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Enter an asynchronous function."""
        return self._enter(node, predicate=self._predicate_of(node))

    def _enter(self, node: ast.ClassDef | Function, *, predicate: bool | None) -> ast.AST:
        outer, self._predicate = self._predicate, predicate
        self._scope.append(node.name)
        for name in ("body", "orelse"):
            if hasattr(node, name):
                setattr(node, name, [self.visit(each) for each in getattr(node, name)])
        self._scope.pop()
        self._predicate = outer
        return node

    def _predicate_of(self, node: Function) -> bool | None:
        """Return what a function's answer is when it refuses; None if it is not asked by checks."""
        returns = "" if node.returns is None else ast.unparse(node.returns)
        if returns != "bool" and not returns.startswith("TypeGuard"):
            return None
        if node.name in self._names.accepting:
            return False
        return True if node.name in self._names.refusing else None

    def visit_If(self, node: ast.If) -> ast.AST:
        """Switch the parts of a condition that a refusal hangs on."""
        refuses = self._tests.get(id(node.test))
        if refuses is None and any(map(self._is_answer, node.body)):
            refuses = True
            self._governed |= {id(each) for each in node.body if self._is_answer(each)}
        if refuses is not None:
            node.test = split(node.test, self._switch, refuses=refuses)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Switch a refusal that no condition alone decides."""
        return self._statement(node)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Switch a returned refusal, or the parts of what a predicate returns."""
        predicate = self._predicate
        if predicate is not None and node.value is not None and not self._is_answer(node):
            if len(parts(node.value, refuses=predicate)) > 1:
                node.value = split(node.value, self._switch, refuses=predicate)
            return node
        return self._statement(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Switch a yielded mismatch, or a call that is made because it may raise."""
        match node.value:
            case ast.YieldFrom(value=call) if called_name(call) in self._names.mismatches:
                check = self._add(node, self._text(call))
                node.value.value = self._call("mismatches", check, call)
                return node
            case ast.Call() as call if id(node) not in self._governed and self._may_refuse(call):
                check = self._add(node, self._text(call))
                return self._caught(node, check)
        return self._statement(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Switch a reader of a field, which checks the field's form."""
        self.generic_visit(node)
        match node:
            case ast.Call(
                func=ast.Attribute(value=reader, attr=method),
                args=[ast.Constant(value=str()) as field, *_],
            ) if method in targets.FORMS:
                raw = ast.Attribute(value=deepcopy(reader), attr="get", ctx=ast.Load())
                unchecked = ast.Call(func=raw, args=[deepcopy(field)], keywords=[])
                check = self._add(node, self._text(node))
                later = (_later(each) for each in (node, unchecked))
                return ast.copy_location(self._call("reads", check, *later), node)
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        """Switch the filters of mismatches."""
        return self._filters(node)

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        """Switch the filters of mismatches."""
        return self._filters(node)

    def _filters(self, node: ast.GeneratorExp | ast.ListComp) -> ast.AST:
        if is_refusal(ast.Return(value=node.elt)):
            for each in node.generators:
                each.ifs = [split(test, self._switch, refuses=True) for test in each.ifs]
        return self.generic_visit(node)

    def _is_answer(self, node: ast.stmt) -> bool:
        """Return whether a predicate refuses by this statement."""
        return (
            self._predicate is not None
            and isinstance(node, ast.Return)
            and isinstance(node.value, ast.Constant)
            and node.value.value is self._predicate
        )

    def _may_refuse(self, call: ast.Call) -> bool:
        name = called_name(call) or ""
        return name in self._names.calls or targets.CHECK_CALL.fullmatch(name) is not None

    def _statement(self, node: ast.stmt) -> ast.AST:
        if id(node) in self._governed or not (is_refusal(node) or self._is_answer(node)):
            return self.generic_visit(node)
        check = self._add(node, self._text(node))
        test = self._call("stands", check)
        return ast.copy_location(ast.If(test=test, body=[node], orelse=[]), node)

    def _caught(self, node: ast.Expr, check: str) -> ast.AST:
        """Return a call whose error is dropped when the check is off."""
        stands = ast.If(test=self._call("stands", check), body=[ast.Raise()], orelse=[])
        handler = ast.ExceptHandler(
            type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[stands]
        )
        reach = ast.Expr(value=self._call("reach", check))
        caught = ast.Try(body=[reach, node], handlers=[handler], orelse=[], finalbody=[])
        return ast.copy_location(caught, node)

    def _switch(self, part: ast.expr, *, refuses: bool) -> ast.expr:
        text = self._text(part)
        check = self._add(part, text if refuses else f"not {text}")
        return self._call("refuses" if refuses else "accepts", check, part)

    def _call(self, name: str, check: str, *values: ast.expr) -> ast.Call:
        arguments: list[ast.expr] = [ast.Constant(value=check), *values]
        function = ast.Name(id=f"__mutate_{name}__", ctx=ast.Load())
        return ast.Call(func=function, args=arguments, keywords=[])

    def _add(self, node: ast.expr | ast.stmt, text: str) -> str:
        """Record a check, and return its id."""
        short = text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
        name = f"{self._module}:{'.'.join(self._scope)}: {short}"
        self._texts[name] += 1
        if self._texts[name] > 1:
            name = f"{name} #{self._texts[name]}"
        self.checks.append(Check(id=name, module=self._module, path=self._path, line=node.lineno))
        return name

    def _text(self, node: ast.expr | ast.stmt) -> str:
        """Return the source of a node on one line."""
        end = node.end_lineno or node.lineno
        lines = [line.encode() for line in self._lines[node.lineno - 1 : end]]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return " ".join(b" ".join(lines).decode().split())
