"""CLI: the inputs of a benchmark, with the expected result of each."""

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
    """Distinct inputs with the expected result of each. Requests use them in turn.

    `unit`: plural noun for requests in the report. `items`: bytes of an image, or tensors by name.
    `expected`: the best class of an image, or output values by tensor name.
    """

    model: str
    unit: str
    items: Sequence[Any] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    expected: Sequence[Any] = field(repr=False)
    top_k: int

    def check(self, index: int, result: InferResult) -> str | None:
        """Return a description of a wrong result of request `index`; None when it is right.

        Output values may differ from the expected ones by 1e-4.
        """
        place = index % len(self.items)
        got, expected = _comparable(result), self.expected[place]
        if _same(got, expected):
            return None
        return f"request {index} ({self.names[place]}): expected {expected}, got {got}"

    def item(self, index: int) -> Any:
        """Return the input of request `index`."""
        return self.items[index % len(self.items)]


def image_inputs(client: Client, model: str, paths: Sequence[Path], top_k: int) -> BenchInputs:
    """Read images from files or folders, and get the expected result of each from the service.

    If an `expected.json` lies beside an image, the service's result must agree with it.

    Raises: ConfigError.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise ConfigError(
            f"there are no images in {', '.join(map(str, paths))}: name JPEG or PNG files with -i"
        )
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
        unit="images",
        items=items,
        names=[file.name for file in files],
        expected=expected,
        top_k=top_k,
    )


def tensor_inputs(client: Client, model: DirectoryModel) -> BenchInputs:
    """Make random tensors of one row each, and get the expected result of each from the service.

    The tensors are the same in every run.
    """
    import numpy as np

    from sealflow.openinfer.ndarray import dtype_of

    source = random.Random(1)  # noqa: S311 - not for secrets: the same load in every run
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
        model=name, unit="requests", items=items, names=names, expected=expected, top_k=0
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


def _same(got: Any, expected: Any) -> bool:
    if not isinstance(expected, dict) or not isinstance(got, dict):
        return bool(got == expected)
    return got.keys() == expected.keys() and all(
        len(got[name]) == len(expected[name])
        and all(
            abs(one - other) <= _TOLERANCE
            for one, other in zip(got[name], expected[name], strict=True)
        )
        for name in expected
    )
