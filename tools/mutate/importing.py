"""Import verifiers in their changed form, without touching the cache of compiled files."""

from __future__ import annotations

import ast
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from typing import TYPE_CHECKING

from tools.mutate.checks import change_module
from tools.mutate.names import find_names
from tools.mutate.switches import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import CodeType, ModuleType

    from tools.mutate.checks import Check


def find_modules(source: Path, rooms: Sequence[str], left_out: Sequence[str]) -> dict[str, Path]:
    """Return the file of each module in rooms. `source`: the folder that the package lies in."""
    found = {}
    for room in rooms:
        place = source.joinpath(*room.split("."))
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            name = ".".join(path.relative_to(source).with_suffix("").parts)
            if name not in left_out and path.name != "__init__.py":
                found[name] = path
    return found


class Verifiers(MetaPathFinder):
    """Changed verifiers, as `sys.meta_path` takes them."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        """Find the checks of all modules, and change their trees."""
        sources = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
        self._trees = {name: ast.parse(text) for name, text in sources.items()}
        names = find_names(self._trees.values())
        self.checks: list[Check] = []
        for name, tree in self._trees.items():
            self.checks += change_module(
                tree,
                sources[name],
                module=name.removeprefix("sealflow."),
                path=os.path.relpath(modules[name]),
                names=names,
            )

    def install(self) -> None:
        """Import changed modules from now on; none of them may be imported yet."""
        early = sorted(self._trees.keys() & sys.modules.keys())
        if early:
            raise RuntimeError(f"imported before their checks have switches: {early}")
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a changed module, or None for other modules."""
        tree = self._trees.get(fullname)
        spec = None if tree is None else PathFinder.find_spec(fullname, path, target)
        if tree is not None and spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, tree)
        return spec


class _Loader(SourceFileLoader):
    """Loads a changed tree."""

    def __init__(self, fullname: str, path: str, tree: ast.Module) -> None:
        super().__init__(fullname, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """Compile the tree; compiled files are neither read nor written."""
        return compile(self._tree, self.get_filename(fullname), "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with the names of the switches."""
        vars(module).update(NAMES)
        super().exec_module(module)
