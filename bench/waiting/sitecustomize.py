"""Bench: makes each model run 50 ms longer, without CPU time, if this folder is on PYTHONPATH.

Python imports this module when it starts. Workers are unchanged otherwise, so that a machine which
could not run as many real models can measure the cost of everything else.
"""

from __future__ import annotations

import functools
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

MODEL_S = 0.05
_RUNTIME = "sealflow.trusted.worker.models.onnx"


class _Waiting(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if fullname != _RUNTIME:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            run = module.OnnxModel.run

            @functools.wraps(run)
            def wait_and_run(*arguments: object) -> object:
                time.sleep(MODEL_S)
                return run(*arguments)

            module.OnnxModel.run = wait_and_run

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Waiting())
