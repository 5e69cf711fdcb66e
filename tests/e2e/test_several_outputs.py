"""Models with several outputs: best classes come of the one that has scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import InvalidInputError
from tests.support.cluster.local_cluster import LocalCluster
from tests.support.models import onnx_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealflow.owner import Client

SCORES = np.array([[0.1, 0.2, 0.7], [0.9, 0, 0.1], [0.25, 0.5, 0.25]], np.float32)
LABELS = ("dog", "fox", "cat")
TABLES = """
max_batch = 8
[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 3]
[[outputs]]
name = "label"
datatype = "INT64"
shape = [-1]
[[outputs]]
name = "text"
datatype = "BYTES"
shape = [-1, 3]
[[outputs]]
name = "above"
datatype = "BOOL"
shape = [-1, 3]
[[outputs]]
name = "probabilities"
datatype = "FP32"
shape = [-1, 3]
"""
CLASSES = """
labels = "labels.txt"
[classification]
output = "probabilities"
softmax = false
"""


def model_folder(folder: Path, name: str, *, tables: str) -> Path:
    """Write the files of a model."""
    folder.mkdir()
    head = f'name = "{name}"\nversion = "1"\nformat = "onnx"\nfile = "model.onnx"\n'
    (folder / "model.toml").write_text(head + tables)
    (folder / "model.onnx").write_bytes(onnx_models.classifier())
    (folder / "labels.txt").write_text("\n".join(LABELS))
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a cluster with a model that names its scores, and one that does not."""
    home = tmp_path_factory.mktemp("models")
    head, classes = CLASSES.strip().split("\n", 1)
    folders = (
        model_folder(home / "named", "named", tables=f"{head}{TABLES}{classes}"),
        model_folder(home / "silent", "silent", tables=TABLES),
    )
    with LocalCluster(*folders) as running, running.client() as found:
        yield found


def test_classes_of_the_scores(client: Client) -> None:
    """Each row has its own classes, of the output that the owner named."""
    result = client.infer("named", tensors={"x": SCORES}, top_k=2)
    found = [[(each.index, each.label) for each in row] for row in result.top_rows]
    assert found == [[(2, "cat"), (1, "fox")], [(0, "dog"), (2, "cat")], [(1, "fox"), (0, "dog")]]
    assert result.top[0].score == pytest.approx(0.7)
    assert result.outputs["label"].tolist() == [2, 0, 1]
    assert result.outputs["above"].tolist()[0] == [True, True, True]


def test_no_classes_asked(client: Client) -> None:
    """Without `top_k` all outputs come as they are; text among them is never taken for classes."""
    result = client.infer("named", tensors={"x": SCORES})
    np.testing.assert_array_equal(result.outputs["probabilities"], SCORES)
    assert result.top_rows == []


def test_scores_not_named(client: Client) -> None:
    """The error names the outputs, and what the owner must do."""
    with pytest.raises(InvalidInputError, match=r"label, text, above, probabilities.*top_k=0"):
        client.infer("silent", tensors={"x": SCORES}, top_k=1)
    assert client.infer("silent", tensors={"x": SCORES}, top_k=0).top_rows == []
