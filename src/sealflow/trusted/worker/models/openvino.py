"""Worker: runs models with OpenVINO; only this file and `openvino_guard` import it.

Its model converter imports usage statistics and an HTTP client, and reads HOME, which an enclave
does not have. OpenVINO also works if the converter cannot be imported, so its import is blocked.
"""

from __future__ import annotations

import re
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import BundleError, MalformedError, ModelError
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.trusted.worker.models.runtime import check_specs, has_open_shapes

# None makes its import raise ModuleNotFoundError (Python language reference, 5.3.1).
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]

import openvino  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402

from sealflow.trusted.worker.models.openvino_guard import (  # noqa: E402
    OUT_OF_RANGE,
    add_guard,
    check_inputs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sealflow.package.manifest import ModelManifest

_FAILURES: Final = (RuntimeError, TypeError, ValueError)
_IR_START: Final = re.compile(
    rb"""\s{0,9}(<\?xml[^<>]{0,99}>\s{0,9})?<net( name="[^"<]{0,999}")? version="1[01]"[\s/>]"""
)
"""How an IR of a version that OpenVINO reads begins, so that no other parser is asked."""
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
    """Loads OpenVINO IR and ONNX models for the CPU. `threads`: for one run of one model."""

    def __init__(self, threads: int) -> None:
        self._core = openvino.Core()
        self._onnx = FrontEndManager().load_by_framework("onnx")
        self._options = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Pinning would put all workers of a machine on the same cores.
            "ENABLE_CPU_PINNING": False,
            # By default OpenVINO rounds to 16 bits on some processors and not on others.
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def stop(self) -> None:
        """Do nothing: OpenVINO cannot stop a load, so the process ends if it goes on."""

    def load_model(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> OpenVinoModel:
        """Compile a model.

        Raises: BundleError when the file is not of the manifest's format, does not load, or its
        inputs and outputs are not those of the manifest.
        """
        try:
            read = self._read(manifest, files)
            guarded = add_guard(read)
            compiled = self._core.compile_model(read, "CPU", self._options)
        except _FAILURES as error:
            msg = f"OpenVINO does not load {manifest.file}: {error}"
            raise BundleError(msg) from error
        declared = {spec.name for spec in (*manifest.inputs, *manifest.outputs)}
        check_specs("input", manifest.inputs, _specs(compiled.inputs, declared))
        found = compiled.outputs[: len(compiled.outputs) - guarded]
        outputs = _specs(found, declared)
        check_specs("output", manifest.outputs, outputs)
        names = [spec.name for spec in outputs]
        keep_memory = not has_open_shapes(manifest)
        return OpenVinoModel(compiled, names, guarded=guarded, keep_memory=keep_memory)

    def _read(self, manifest: ModelManifest, files: Mapping[str, bytes]) -> openvino.Model:
        """Read a model by the parser of its format alone.

        `read_model` of bytes asks the parsers of all formats that OpenVINO knows, IR's first.
        """
        file = files[manifest.file]
        if manifest.weights is None:
            return self._onnx.convert(self._onnx.load(BytesIO(file)))
        if _IR_START.match(file) is None:
            msg = f"{manifest.file} is not of the format openvino: save it with OpenVINO, as IR 11"
            raise BundleError(msg)
        return self._core.read_model(file, files[manifest.weights])


class OpenVinoModel:
    """A compiled model with one inference request, so that it runs one batch at a time.

    `compiled`: its inputs and outputs fit the manifest. `outputs`: their names, in its order.
    `guarded`: whether one more output is that of `add_guard`. `keep_memory`: whether to keep a
    run's memory for the next one.
    """

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        outputs: Sequence[str],
        *,
        guarded: bool,
        keep_memory: bool,
    ) -> None:
        self._compiled = compiled
        self._guarded = guarded
        self._keep_memory = keep_memory
        self._request = compiled.create_infer_request()
        self._indices = {name: index for index, name in enumerate(outputs)}

    def stop(self) -> None:
        """Have the present run fail between two of its steps; called from another thread."""
        self._request.cancel()

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Run one batch and return the named outputs in that order.

        Raises: ModelError when the runtime fails, or its result would be wrong; InvalidInputError
        for integers beyond 32 bits.
        """
        check_inputs(inputs)
        try:
            # numpy has two types of 64-bit integers on Linux (`long` and `long long`), of which
            # OpenVINO knows one. `dtype.str` names that one.
            # It takes no scalar that is read-only.
            arguments = {
                name: array.view(array.dtype.str) if array.ndim else array.copy()
                for name, array in inputs.items()
            }
            # With one thread, `infer` ignores an error and returns the outputs of the run before,
            # which are another request's (OpenVINO 2026.4); `wait` raises.
            self._request.start_async(arguments, share_inputs=True)
            self._request.wait()
            if self._guarded and self._request.get_output_tensor(len(self._indices)).data.any():
                raise ModelError(OUT_OF_RANGE)
            indices = [self._indices[name] for name in outputs]
            return [self._request.get_output_tensor(index).data.copy() for index in indices]
        except _FAILURES as error:
            msg = f"the model failed: {error}"
            raise ModelError(msg) from error
        finally:
            if not self._keep_memory:
                # The request is deleted first, as memory that it refers to is not released.
                del self._request
                self._compiled.release_memory()
                self._request = self._compiled.create_infer_request()


def _specs(ports: Sequence[openvino.ConstOutput], declared: set[str]) -> list[TensorSpec]:
    """Return the specs of ports. A port with several names gets the one that is in `declared`."""
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
            name = next(iter(names & declared or names), "")
            specs.append(TensorSpec(name=name, datatype=datatype, shape=shape))
        except MalformedError as error:
            msg = f"the model has an input or output that no request can hold: {error}"
            raise BundleError(msg) from error
    return specs
