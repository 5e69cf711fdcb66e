"""Attacks through what model runtimes do not check: row 157 of docs/threat-model.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import BundleError, ModelError
from sealflow.openinfer.tensor import DataType
from sealflow.wire.frame_payloads import RuntimeName
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, make_loader, run_alone, tensor_specs

if TYPE_CHECKING:
    from sealflow.trusted.worker.models.loader import ServedModel


@pytest.mark.parametrize("index", [4, 7, 10**8, -5, -(10**8)])
def test_157_indices_beyond_a_table(index: int) -> None:
    """A client whose index is beyond a table gets no memory of others, by neither runtime."""
    with pytest.raises(BundleError, match="OpenVINO does not check them"):
        gathered(RuntimeName.OPENVINO)
    with pytest.raises(ModelError):
        run_alone(gathered(RuntimeName.ONNX), np.array([[1], [index]]))


def gathered(runtime: RuntimeName) -> ServedModel:
    """Load a model that looks up what its client asks."""
    return load_model(
        onnx_models.gathered(),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1])),
    )
