"""CLI: what a benchmark sends, and how it knows that an answer is right."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sealflow.documents.directory import DirectoryModel
    from sealflow.owner.client.client import Client
    from sealflow.owner.client.result import InferResult

SUFFIXES: Final = (".jpg", ".jpeg", ".png")
EXPECTED_NAME: Final = "expected.json"
_ROWS: Final = 16
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchInputs:
    """Distinct inputs with what must come back for each; requests take them in turn."""

    model: str
    what: str
    items: Sequence[Any] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    expected: Sequence[Any] = field(repr=False)
    top_k: int

    def check(self, index: int, result: InferResult) -> str | None:
        """Say what is wrong with the answer to request `index`; None when it is right."""
        place = index % len(self.items)
        got, wanted = _comparable(result), self.expected[place]
        if _same(got, wanted):
            return None
        return f"request {index} ({self.names[place]}): expected {wanted}, got {got}"

    def item(self, index: int) -> Any:
        """What request `index` sends."""
        return self.items[index % len(self.items)]


def image_work(client: Client, model: str, paths: Sequence[Path], top_k: int) -> BenchInputs:
    """Read images (files, or folders of them) and ask the service once about each.

    Beside an `expected.json`, the first answers themselves must agree with it.

    Raises: ConfigError.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise ConfigError(f"no images in {', '.join(map(str, paths))}: give -i with JPEG or PNG")
    items = [file.read_bytes() for file in files]
    expected = []
    for file, item in zip(files, items, strict=True):
        result = client.infer(model, image=item, top_k=top_k)
        known = _known_class(file)
        if known is not None and result.top[0].index != known:
            raise ConfigError(
                f"{file}: the model says class {result.top[0].index}, {EXPECTED_NAME} says {known}"
            )
        expected.append(_comparable(result))
    return BenchInputs(
        model=model,
        what="images",
        items=items,
        names=[file.name for file in files],
        expected=expected,
        top_k=top_k,
    )


def tensor_work(client: Client, model: DirectoryModel) -> BenchInputs:
    """Draw random tensors of one row each, and ask the service once about each."""
    import numpy as np

    from sealflow.openinfer.ndarray import dtype_of

    source = random.Random(1)  # noqa: S311 - the same load every time
    items = [
        {
            spec.name: np.array(
                [source.random() for _ in range(_elements(spec.shape))], dtype_of(spec.datatype)
            ).reshape([1 if size == -1 else size for size in spec.shape])
            for spec in model.inputs
        }
        for _ in range(_ROWS)
    ]
    name = f"{model.name}:{model.version}"
    expected = [_comparable(client.infer(name, tensors=item)) for item in items]
    names = [f"row {number}" for number in range(_ROWS)]
    return BenchInputs(
        model=name, what="requests", items=items, names=names, expected=expected, top_k=0
    )


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= 1 if size == -1 else size
    return count


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    return [path]


def _known_class(file: Path) -> int | None:
    try:
        entry = json.loads((file.parent / EXPECTED_NAME).read_text())[file.name]
        return int(entry["index"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _comparable(result: InferResult) -> Any:
    if result.top:
        return result.top[0].index
    return {name: array.ravel().tolist() for name, array in result.outputs.items()}


def _same(got: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return bool(got == wanted)
    return got.keys() == wanted.keys() and all(
        len(got[name]) == len(wanted[name])
        and all(
            abs(one - other) <= _TOLERANCE
            for one, other in zip(got[name], wanted[name], strict=True)
        )
        for name in wanted
    )
