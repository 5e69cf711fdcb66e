"""Worker: OpenVINO. The only file that imports it.

Importing it pulls in a model converter, which pulls in usage statistics, an HTTP client and a look
at HOME, which an enclave does not have. It does without when the converter cannot be imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import BundleError, MalformedError, ModelError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.package.manifest import ModelFormat
from sealflow.trusted.worker.models.runtime import check_specs, has_open_shapes

# None says that it cannot be imported (Python language reference, 5.3.1).
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]

import openvino  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.package.manifest import ModelManifest

_FAILURES: Final = (RuntimeError, TypeError, ValueError)
_DATATYPES: Final = {
    "boolean": DataType.BOOL,
    "f16": DataType.FP16,
    "f32": DataType.FP32,
    "f64": DataType.FP64,
    "i16": DataType.INT16,
    "i32": DataType.INT32,
    "i64": DataType.INT64,
    "i8": DataType.INT8,
    "u16": DataType.UINT16,
    "u32": DataType.UINT32,
    "u64": DataType.UINT64,
    "u8": DataType.UINT8,
}


class OpenVino:
    """Loads OpenVINO IR and ONNX models for the CPU."""

    def __init__(self, threads: int) -> None:
        """Use so many threads for one run of one model."""
        self._core = openvino.Core()
        self._options = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Workers side by side would all be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
            # Some processors would round to 16 bits unasked, and others would not.
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def load_model(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> OpenVinoModel:
        """Compile a model.

        Raises: BundleError.
        """
        weights = b"" if manifest.weights is None else files[manifest.weights]
        starts_as_xml = files[manifest.file][:64].lstrip()[:1] == b"<"
        if starts_as_xml is not (manifest.format is ModelFormat.OPENVINO):
            msg = f"{manifest.file} is not of the format {manifest.format}"
            raise BundleError(msg)
        try:
            read = self._core.read_model(files[manifest.file], weights)
            compiled = self._core.compile_model(read, "CPU", self._options)
        except _FAILURES as error:
            msg = f"OpenVINO does not load {manifest.file}: {error}"
            raise BundleError(msg) from error
        promised = {spec.name for spec in (*manifest.inputs, *manifest.outputs)}
        check_specs("input", manifest.inputs, _specs(compiled.inputs, promised))
        outputs = _specs(compiled.outputs, promised)
        check_specs("output", manifest.outputs, outputs)
        names = [spec.name for spec in outputs]
        return OpenVinoModel(compiled, names, keeping=not has_open_shapes(manifest))


class OpenVinoModel:
    """One compiled model with its one request."""

    def __init__(
        self, compiled: openvino.CompiledModel, outputs: Sequence[str], *, keeping: bool
    ) -> None:
        """Take a model whose inputs and outputs were checked, and its outputs in their order.

        `keeping`: the memory of a run, for the next one.
        """
        self._compiled = compiled
        self._keeping = keeping
        self._request = compiled.create_infer_request()
        self._places = {name: place for place, name in enumerate(outputs)}

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch.

        Raises: ModelError.
        """
        try:
            # numpy has two 64-bit integers on Linux, and OpenVINO knows only the one so called.
            given = {name: array.view(array.dtype.str) for name, array in inputs.items()}
            # With one thread, `infer` swallows what goes wrong and gives the last answer again,
            # which is somebody else's (2026.4); `wait` raises.
            self._request.start_async(given, share_inputs=True)
            self._request.wait()
            places = [self._places[name] for name in outputs]
            return [self._request.get_output_tensor(place).data.copy() for place in places]
        except _FAILURES as error:
            msg = f"the model failed: {error}"
            raise ModelError(msg) from error
        finally:
            if not self._keeping:
                # In this order: what a request refers to is not released.
                del self._request
                self._compiled.release_memory()
                self._request = self._compiled.create_infer_request()


def _specs(ports: Sequence[openvino.ConstOutput], promised: set[str]) -> list[TensorSpec]:
    """Describe ports; of a port's several names, the one that the manifest uses counts."""
    specs = []
    for port in ports:
        kind = port.element_type.get_type_name()
        names = port.get_names()
        datatype = _DATATYPES.get(kind)
        if datatype is None or port.partial_shape.rank.is_dynamic:
            msg = f"{sorted(names)} is {kind} {port.partial_shape}, which no request can hold"
            raise BundleError(msg)
        shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.partial_shape)
        try:
            name = next(iter(names & promised or names), "")
            specs.append(TensorSpec(name=name, datatype=datatype, shape=shape))
        except MalformedError as error:
            msg = f"OpenVINO has an input or output that no request can hold: {error}"
            raise BundleError(msg) from error
    return specs
