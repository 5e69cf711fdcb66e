"""What OpenVINO would compute wrongly, or read beyond its tensors, is refused or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import BundleError, InvalidInputError, ModelError
from sealflow.openinfer.tensor import DataType
from sealflow.wire.frame_payloads import RuntimeName
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, make_loader, run_alone, tensor_specs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sealflow.trusted.worker.models.loader import ServedModel

RUNTIMES = pytest.mark.parametrize("runtime", list(RuntimeName))
FITS, TOO_LARGE = 2**29, 2**40


def integers(
    operator: str, *, runtime: RuntimeName, kind: DataType = DataType.INT64
) -> ServedModel:
    """Load a model of one operator on integers [-1, 2]."""
    specs = {"INT64": onnx_models.INT64, "UINT64": onnx_models.UINT64}
    return load_model(
        onnx_models.on_integers(operator, specs[kind]),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(kind, [-1, 2])),
        outputs=tensor_specs(y=(kind, [-1, 2])),
    )


@pytest.mark.parametrize("kind", [DataType.INT64, DataType.UINT64])
@pytest.mark.parametrize("value", [1_700_000_000_000, 2**31, TOO_LARGE + 1])
def test_input_beyond_32_bits(kind: DataType, value: int) -> None:
    """OpenVINO refuses it by name, place and value; ONNX Runtime keeps it."""
    rows = np.array([[1, 2], [3, value]], kind.name.lower())
    with pytest.raises(InvalidInputError, match=rf"input x: {value} at \[1, 1\].*ONNX Runtime"):
        run_alone(integers("Identity", runtime=RuntimeName.OPENVINO, kind=kind), rows)
    found = run_alone(integers("Identity", runtime=RuntimeName.ONNX, kind=kind), rows)
    assert found.tolist() == rows.tolist()


@RUNTIMES
@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
def test_same_sums(runtime: RuntimeName, operator: str) -> None:
    """Both runtimes give the same numbers within 32 bits, and negative ones."""
    rows = np.array([[7, -9], [2**14, 2**10]])
    expected = {"Add": rows + rows, "Sub": rows - rows, "Mul": rows * rows}[operator]
    assert run_alone(integers(operator, runtime=runtime), rows).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("operator", "value"), [("Add", 2**30), ("Mul", 50_000), ("Add", -(2**30) - 7), ("Mul", 2**30)]
)
def test_sum_beyond_32_bits(operator: str, value: int) -> None:
    """It is an error with OpenVINO, never another number; the model stays usable."""
    model = integers(operator, runtime=RuntimeName.OPENVINO)
    for _ in range(2):
        with pytest.raises(ModelError, match="beyond 32 bits") as caught:
            run_alone(model, np.array([[1, value]]))
        assert caught.value.code == "model_failed"
        assert run_alone(model, np.array([[1, 2]])).shape == (1, 2)


@RUNTIMES
@pytest.mark.parametrize("index", [4, 5, -5, 2**30])
def test_index_out_of_range(runtime: RuntimeName, index: int) -> None:
    """Both runtimes fail, and both count negative ones from the end."""
    model = load_model(
        onnx_models.picky(),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 1])),
    )
    with pytest.raises(ModelError):
        run_alone(model, np.array([[1], [index]]))
    assert run_alone(model, np.array([[1], [-1]])).tolist() == [[20], [40]]


def test_wide_floats() -> None:
    """FP64 is refused at load, in inputs as within the model."""
    for model, datatype in (
        (onnx_models.identity(onnx_models.DOUBLE, sizes=(None, 4)), DataType.FP64),
        (onnx_models.through(onnx_models.DOUBLE), DataType.FP32),
    ):
        with pytest.raises(BundleError, match="FP64, which OpenVINO rounds"):
            load_square(model, datatype)


def test_unchecked_indices() -> None:
    """An operator that would read any memory for a client is refused; constants may index."""
    with pytest.raises(BundleError, match="OpenVINO does not check"):
        load_model(
            onnx_models.gathered(),
            loading=make_loader(RuntimeName.OPENVINO),
            inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
            outputs=tensor_specs(y=(DataType.FP32, [-1])),
        )


@RUNTIMES
def test_scalar(runtime: RuntimeName) -> None:
    """A model that takes a number without an axis answers requests, not the first run only."""
    model = load_model(
        onnx_models.elementwise("Neg", sizes=()),
        loading=make_loader(runtime),
        inputs=tensor_specs(x=(DataType.FP32, [])),
        outputs=tensor_specs(y=(DataType.FP32, [])),
        max_batch=1,
    )
    for value in (1.5, -2.0):
        given = np.frombuffer(np.float32(value).tobytes(), np.float32).reshape(())
        assert run_alone(model, given) == -value


def load_square(model: bytes, datatype: DataType) -> Any:
    """Load a model of [-1, 4] with OpenVINO."""
    specs = tensor_specs(x=(datatype, [-1, 4])), tensor_specs(y=(datatype, [-1, 4]))
    return load_model(
        model, loading=make_loader(RuntimeName.OPENVINO), inputs=specs[0], outputs=specs[1]
    )


def test_constant_beyond_32_bits() -> None:
    """A constant that is computed with must fit; one that means "to the end" need not."""
    with pytest.raises(BundleError, match="constant beyond 32 bits"):
        load_model(
            onnx_models.plus(TOO_LARGE),
            loading=make_loader(RuntimeName.OPENVINO),
            inputs=tensor_specs(x=(DataType.INT64, [-1, 2])),
            outputs=tensor_specs(y=(DataType.INT64, [-1, 2])),
        )
    found: NDArray[Any] = run_alone(
        load_model(
            onnx_models.plus(FITS),
            loading=make_loader(RuntimeName.OPENVINO),
            inputs=tensor_specs(x=(DataType.INT64, [-1, 2])),
            outputs=tensor_specs(y=(DataType.INT64, [-1, 2])),
        ),
        np.array([[1, -1]]),
    )
    assert found.tolist() == [[FITS + 1, FITS - 1]]
