"""Models that would reach the parser of another format: row 146 of docs/threat-model.md."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sealflow.errors import BundleError
from sealflow.package.manifest import ModelFormat
from sealflow.trusted.worker.models.openvino import OpenVino
from tests.support.models.served_models import onnx_manifest

IR = b'<?xml version="1.0"?>\n<net name="m" version="11"><layers></layers><edges></edges></net>'
OTHERS = {
    "paddle": b"\x0a\x02\x08\0" + bytes(50),
    "tensorflow": b"\x0a\x04\x0a\x01a\x12" + bytes(20),
    "tensorflow lite": b"\x18\0\0\0TFL3" + bytes(200),
    "gguf": b"GGUF\3\0\0\0" + bytes(200),
    "pytorch": b"PK\3\4" + bytes(40),
    "nothing": b"",
}
BENT = (IR[:-20], IR[:60] + bytes(9), b'<net version="11"/>', b'<net version="10"', IR + IR)
XML = {
    "other": b"<abc></abc>",
    "cut": b"<net",
    "version 1": b'<net name="m" version="1"></net>',
    "version 110": b'<net name="m" version="110"></net>',
    "no version": b'<net name="m"></net>',
    "two names": b'<net name="m" name="n" version="11"></net>',
    "a declaration more": b"<!DOCTYPE net>" + IR,
    "comment": b"<!-- -->" + IR,
    "UTF-8 mark": b"\xef\xbb\xbf" + IR,
    "UTF-16": IR.decode().encode("utf-16-le"),
    "long name": b'<net name="' + b"m" * 1000 + b'" version="11"></net>',
}
SCRIPT = """
import json, sys
from sealflow.errors import BundleError
from sealflow.trusted.worker.models.openvino import OpenVino
from tests.attacks.test_model_formats import BENT, IR, OTHERS, XML, load

runtime = OpenVino(1)
for file in (*OTHERS.values(), *XML.values(), IR, b"\\xef\\xbb\\xbf" + IR):
    load(runtime, "onnx", file)
for file in (*OTHERS.values(), *XML.values(), IR, *BENT):
    load(runtime, "openvino", file)
with open("/proc/self/maps") as maps:
    names = {line.split("/")[-1].split(".so")[0] for line in maps if "frontend" in line}
print(json.dumps(sorted(names)))
"""


def load(runtime: OpenVino, kind: str, file: bytes) -> str:
    """Load a file as a model of a format; gives why it does not load."""
    manifest = onnx_manifest()
    files = {"model.onnx": file}
    if kind == "openvino":
        manifest = replace(manifest, format=ModelFormat.OPENVINO, file="model.xml")
        files = {"model.xml": file, "model.bin": b""}
    try:
        runtime.load_model(manifest, files)
    except BundleError as error:
        return str(error)
    return ""


def test_146_other_parsers() -> None:
    """Bytes reach the parser of the manifest's format, and the libraries of no other are loaded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == ["libopenvino_ir_frontend", "libopenvino_onnx_frontend"]


@pytest.mark.parametrize("file", [*OTHERS.values(), *XML.values(), IR], ids=[*OTHERS, *XML, "IR"])
def test_146_onnx(file: bytes) -> None:
    """What is no ONNX model does not load as one."""
    found = load(OpenVino(1), "onnx", file)
    assert ("inputs are []" if file == b"" else "OpenVINO does not load model.onnx") in found


@pytest.mark.parametrize("file", [*OTHERS.values(), *XML.values()], ids=[*OTHERS, *XML])
def test_146_ir(file: bytes) -> None:
    """What does not begin as an IR is not read at all."""
    assert "model.xml is not of the format openvino" in load(OpenVino(1), "openvino", file)
