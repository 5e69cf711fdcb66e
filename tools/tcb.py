"""Write docs/tcb.md: modules of ours and third-party packages that run inside enclaves."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src"
PACKAGE: Final = "sealflow"

ENTRIES: Final = {
    "worker": "sealflow.trusted.worker.__main__",
    "key broker": "sealflow.trusted.keybroker.__main__",
}
OWN_BUDGETS: Final = {"worker": 3600, "key broker": 2350}
CORE_BUDGETS: Final = {"worker": 6050, "key broker": 5200}
THIRD_PARTY: Final = {
    "worker": frozenset(
        {"cryptography", "numpy", "pyspng", "simplejpeg", "onnxruntime", "openvino", "dcap_qvl"}
    ),
    "key broker": frozenset({"cryptography", "dcap_qvl"}),
}
_DISTRIBUTIONS: Final = {"dcap_qvl": "dcap-qvl"}
_NO_CODE: Final = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The imports of one process. `lines`: by our module; `third_party`: top-level names."""

    lines: Mapping[str, int]
    third_party: frozenset[str]

    @property
    def own(self) -> int:
        """Lines under `sealflow.trusted`: of the process and of modules that both processes use."""
        return sum(count for name, count in self.lines.items() if _inside(name))

    @property
    def core(self) -> int:
        """Lines of the core, which clients run too."""
        return sum(self.lines.values()) - self.own


def closure(entry: str) -> Closure:
    """Return all modules that `entry` imports, directly or not.

    Imports within functions count; imports under `TYPE_CHECKING` do not.
    """
    lines: dict[str, int] = {}
    third_party: set[str] = set()
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in lines:
            continue
        text = _path(module).read_text(encoding="utf-8")
        lines[module] = count_code(text)
        for name in {*_imports(ast.parse(text)), module}:
            top = name.partition(".")[0]
            if top == PACKAGE:
                waiting += _ours(name)
            elif top not in sys.stdlib_module_names:
                third_party.add(top)
    return Closure(lines=dict(sorted(lines.items())), third_party=frozenset(third_party))


def count_code(text: str) -> int:
    """Return the number of lines with code: without blank lines, comments and docstrings."""
    counted: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            counted.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            # A string that is a statement is a docstring of a module, class, function or variable.
            counted.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(counted)


def exists(module: str) -> bool:
    """Return whether a name is a module of ours."""
    return _path(module).is_file()


def page() -> str:
    """Return the page's text.

    Raises: KeyError when a third-party package is not in requirements/trusted.txt.
    """
    found = {name: closure(entry) for name, entry in ENTRIES.items()}
    parts = [_HEAD]
    parts += [_summary(name, each) for name, each in found.items()]
    parts.append("\n## Our modules\n\n")
    parts.append("| module | " + " | ".join(found) + " |\n|---|" + "--:|" * len(found) + "\n")
    modules = sorted({module for each in found.values() for module in each.lines})
    for module in modules:
        cells = " | ".join(str(each.lines.get(module, "")) for each in found.values())
        parts.append(f"| `{module}` | {cells} |\n")
    totals = " | ".join(f"**{each.own + each.core}**" for each in found.values())
    parts.append(f"| **all** | {totals} |\n")
    parts.append("\n## Third-party packages\n\nImported by our code:\n\n")
    parts.append("| package | version | " + " | ".join(found) + " |\n")
    parts.append("|---|---|" + "---|" * len(found) + "\n")
    versions = _versions()
    direct = {_distribution(name) for each in found.values() for name in each.third_party}
    for distribution in sorted(direct):
        cells = " | ".join(
            "yes" if distribution in map(_distribution, each.third_party) else ""
            for each in found.values()
        )
        parts.append(f"| {distribution} | {versions[distribution]} | {cells} |\n")
    rest = (f"{name} {version}" for name, version in versions.items() if name not in direct)
    parts.append(f"\nInstalled along with them: {', '.join(rest)}.\n")
    return "".join(parts)


_HEAD: Final = """\
# What runs inside an enclave

Written by `make docs` from the import statements of the two trusted processes; do not edit. Counted
are lines that hold code: no blank lines, comments or docstrings. The core is what clients run too,
so that most of its tests and readers are theirs. `tests/architecture/test_tcb.py` holds the
list of third-party packages and the budgets ([why these](adr/0008-line-budgets.md)). Not counted:
the Python interpreter and its standard library, the C library, and what wraps a process into an
enclave.

| process | modules of ours | lines of its own | budget | lines of the core | budget |
|---|--:|--:|--:|--:|--:|
"""


def _summary(name: str, found: Closure) -> str:
    figures = (len(found.lines), found.own, OWN_BUDGETS[name], found.core, CORE_BUDGETS[name])
    return f"| {name} | {' | '.join(map(str, figures))} |\n"


def _inside(module: str) -> bool:
    return module.startswith("sealflow.trusted")


def _distribution(package: str) -> str:
    return _DISTRIBUTIONS.get(package, package)


def _versions() -> dict[str, str]:
    text = (ROOT / "requirements" / "trusted.txt").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, version in _PINNED.findall(text):
        # A package may have one version for each version of Python.
        found[name] = f"{found[name]} or {version}" if name in found else version
    return found


def _path(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _ours(name: str) -> Iterator[str]:
    """Return the modules that importing `name` runs: the packages above it, and itself.

    The last part of `name` may be an attribute instead of a module.
    """
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = ".".join(parts[:end])
        if exists(module):
            yield module


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                message = "relative imports are not used here"
                raise ValueError(message)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for other in node.orelse:
                yield from _imports(ast.Module(body=[other], type_ignores=[]))
        else:
            yield from _imports(node)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


if __name__ == "__main__":
    (ROOT / "docs" / "tcb.md").write_text(page(), encoding="utf-8")
