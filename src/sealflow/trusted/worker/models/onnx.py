"""Worker: runs models with ONNX Runtime; the only file that imports it.

Its Linux build keeps a usage database, and a thread that uploads it, unless ORT_DISABLE_TELEMETRY
is set before the import. `putenv` sets it for the C library without reading the environment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

os.putenv("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from sealflow.errors import BundleError, InvalidInputError, ModelError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.package.manifest import ModelFormat
from sealflow.trusted.worker.models.runtime import check_specs, has_open_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.package.manifest import ModelManifest

_FAILURES: Final = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.ModelLoadCanceled,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    ValueError,
)
_DATATYPES: Final = {
    "tensor(bool)": DataType.BOOL,
    "tensor(double)": DataType.FP64,
    "tensor(float)": DataType.FP32,
    "tensor(float16)": DataType.FP16,
    "tensor(int16)": DataType.INT16,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(int8)": DataType.INT8,
    "tensor(string)": DataType.BYTES,
    "tensor(uint16)": DataType.UINT16,
    "tensor(uint32)": DataType.UINT32,
    "tensor(uint64)": DataType.UINT64,
    "tensor(uint8)": DataType.UINT8,
}
_NOWHERE: Final = "/dev/null/weights-must-lie-in-the-package"
_LOG_FATAL: Final = 4


class OnnxRuntime:
    """Loads ONNX models for the CPU. `threads`: for one run of one model."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._options = self._new_options()

    def _new_options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_FATAL
        # A spinning idle thread would take the core from the thread that opens requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A signed model must not make the enclave read files of the host as external weights.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", _NOWHERE
        )
        return options

    def stop(self) -> None:
        """Have the present load fail; called from another thread."""
        self._options.set_load_cancellation_flag(True)

    def load_model(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> OnnxModel:
        """Build a session of an ONNX file.

        Raises: BundleError when the format is not ONNX, the file does not load, or its inputs and
        outputs are not those of the manifest.
        """
        if manifest.format is not ModelFormat.ONNX:
            msg = f"ONNX Runtime cannot load the format {manifest.format}"
            raise BundleError(msg)
        self._options = self._new_options()
        self._options.enable_cpu_mem_arena = not has_open_shapes(manifest)
        try:
            session = onnxruntime.InferenceSession(
                files[manifest.file], self._options, providers=["CPUExecutionProvider"]
            )
        except _FAILURES as error:
            msg = f"ONNX Runtime does not load {manifest.file}: {error}"
            raise BundleError(msg) from error
        check_specs("input", manifest.inputs, _specs(session.get_inputs()))
        check_specs("output", manifest.outputs, _specs(session.get_outputs()))
        return OnnxModel(session)


class OnnxModel:
    """An ONNX model in memory; its session's inputs and outputs fit the manifest."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._options = onnxruntime.RunOptions()

    def stop(self) -> None:
        """Have the present run fail between two of its steps; called from another thread."""
        self._options.terminate = True

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch and return the named outputs in that order.

        Raises: ModelError when the runtime fails; InvalidInputError for BYTES that are not UTF-8.
        """
        try:
            arguments = {name: _to_str(name, array) for name, array in inputs.items()}
            self._options.terminate = False
            arrays: list[NDArray[Any]] = self._session.run(list(outputs), arguments, self._options)
        except _FAILURES as error:
            msg = f"the model failed: {error}"
            raise ModelError(msg) from error
        return arrays


def _to_str(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return BYTES as `str`: ONNX Runtime would use the repr of `bytes`, without an error."""
    if array.dtype != object:
        return array
    text = np.empty(array.shape, object)
    try:
        text.reshape(-1)[:] = [element.decode() for element in array.reshape(-1).tolist()]
    except UnicodeDecodeError as error:
        msg = f"input {name}: ONNX Runtime takes BYTES only as UTF-8"
        raise InvalidInputError(msg) from error
    return text


def _specs(nodes: Iterable[onnxruntime.NodeArg]) -> list[TensorSpec]:
    specs = []
    for node in nodes:
        datatype = _DATATYPES.get(node.type)
        if datatype is None:
            msg = f"{node.name} is a {node.type}, which no request can hold"
            raise BundleError(msg)
        shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
        specs.append(TensorSpec(name=node.name, datatype=datatype, shape=shape))
    return specs
