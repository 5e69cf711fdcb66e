"""Tests: packages, models, calls and a way out, as the worker's pieces meet them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.openinfer.binary import decode_response, encode_request
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.package.manifest import ModelFormat, ModelManifest
from sealflow.seal.content import ContentKind, content_parts, parse_error
from sealflow.seal.exchange import Session, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.worker.models.loader import ModelLoader, ServedModel
from sealflow.trusted.worker.serving.batching import Job
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, Envelope, RefusalHeader
from sealflow.wire.frames import FrameKind, decode_batch
from tests.support.models import onnx_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.errors import RefusalCode
    from sealflow.openinfer.messages import InferResponse
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.port import FramePort
    from sealflow.wire.frame_payloads import RuntimeName

EXAMPLES = Path(__file__).parents[3] / "examples"
SIGNING = Ed25519PrivateKey.generate()
SIGNER = SIGNING.public_key().public_bytes_raw().hex()
OWNER = OpeningKey.generate(Suite.SIMULATED_X25519)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A package and what a grant says about it."""

    package: bytes
    digest: str
    content_key: bytes

    def load(self, loading: ModelLoader) -> ServedModel:
        """Load it as a worker does."""
        package = bytearray(self.package)
        return loading.load_package(
            package, self.digest, SIGNER, self.content_key, TrustDomain.SIMULATED
        )


def packed(manifest: ModelManifest, files: Mapping[str, bytes]) -> Packed:
    """Pack files as their owner does."""
    package = seal_package(manifest, files, signing=SIGNING, sealing=OWNER.sealing)
    verified = UnverifiedPackage.from_bytes(package).verify(SIGNER)
    return Packed(package=package, digest=verified.digest, content_key=verified.unwrap(OWNER))


def loader(
    runtime: RuntimeName | None = None, *, max_batch: int = 0, max_pixels: int = 10_000_000
) -> ModelLoader:
    """Loading as a worker with one thread has it."""
    return ModelLoader(runtime=runtime, threads=1, max_batch=max_batch, max_pixels=max_pixels)


def example(name: str) -> tuple[ModelManifest, dict[str, bytes]]:
    """An example's manifest and files."""
    folder = EXAMPLES / name
    table = tomllib.loads((folder / "model.toml").read_text())
    manifest = ModelManifest.from_json(table)
    return manifest, {path: (folder / path).read_bytes() for path in manifest.files}


def specs(**given: tuple[DataType, list[int]]) -> tuple[TensorSpec, ...]:
    """Specifications by name."""
    return tuple(
        TensorSpec(name=name, datatype=datatype, shape=tuple(shape))
        for name, (datatype, shape) in given.items()
    )


def onnx_manifest(name: str = "m", **changes: Any) -> ModelManifest:
    """The manifest of an ONNX model from FP32 x [-1, 4] to FP32 y [-1, 4], unless changed."""
    settings: dict[str, Any] = {
        "version": "1",
        "format": ModelFormat.ONNX,
        "file": "model.onnx",
        "inputs": specs(x=(DataType.FP32, [-1, 4])),
        "outputs": specs(y=(DataType.FP32, [-1, 4])),
        "max_batch": 8,
    }
    return ModelManifest(name=name, **{**settings, **changes})


def served(
    model: bytes, name: str = "m", *, loading: ModelLoader | None = None, **changes: Any
) -> ServedModel:
    """Pack and load an ONNX model."""
    manifest = onnx_manifest(name, **changes)
    return packed(manifest, {manifest.file: model}).load(loading or loader())


def sealed(
    session: Session, model: ServedModel, request: InferRequest, *, deadline_ms: int = 60_000
) -> OutgoingCall:
    """Seal a request as its owner does."""
    parts = content_parts(ContentKind.INFER, *encode_request(request))
    return session.seal_request(model.ref, model.digest, parts, deadline_ms=deadline_ms)


SESSION = Session.start(OWNER.sealing)
_SECRETS = SessionSecrets(1)


def job(model: ServedModel, request: InferRequest, slot: int = 0) -> tuple[Job, OutgoingCall]:
    """Seal, open and prepare a request, as far as the models; and what opens its reply."""
    call = sealed(SESSION, model, request)
    envelope = Envelope.from_bytes(call.envelope, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    incoming = open_request(envelope, OWNER, _SECRETS)
    inputs, rows = model.prepare(request)
    return Job(
        slot=slot, call=incoming, request=request, model=model, inputs=inputs, rows=rows
    ), call


ANY = specs(x=(DataType.FP32, [-1, -1])), specs(y=(DataType.FP32, [-1, -1]))


@cache
def any_negation(name: str, max_batch: int) -> ServedModel:
    """Gives -x of rows of any length."""
    inputs, outputs = ANY
    model = onnx_models.elementwise("Neg")
    return served(model, name, inputs=inputs, outputs=outputs, max_batch=max_batch)


def rows_job(model: ServedModel, rows: int, width: int = 2, start: float = 0, slot: int = 0) -> Job:
    """A job of so many rows of different values, at the models already."""
    values = np.arange(start, start + rows * width, dtype=np.float32).reshape(rows, width)
    return job(model, InferRequest(inputs=(from_numpy("x", values),)), slot)[0]


@dataclass(slots=True)
class Outside:
    """The host, as the worker's port has it: it keeps what frames it is sent."""

    frames: list[tuple[FrameKind, bytes]] = field(default_factory=list)

    @property
    def port(self) -> FramePort:
        """Itself, for who sends through a port."""
        return cast("FramePort", self)

    def send(self, kind: FrameKind, payload: bytes) -> None:
        """Keep a frame."""
        self.frames.append((kind, bytes(payload)))

    @property
    def replies(self) -> dict[int, bytes]:
        """All envelopes by slot; a slot that was answered twice is an error."""
        found: dict[int, bytes] = {}
        for kind, payload in self.frames:
            assert kind is FrameKind.REPLIES
            for slot, envelope in decode_batch(memoryview(payload))[1]:
                assert slot not in found
                found[slot] = bytes(envelope)
        return found

    def refusal(self, slot: int) -> RefusalCode:
        """Why a slot was refused in clear."""
        header = Envelope.from_bytes(self.replies[slot], max_body_bytes=0).header
        assert isinstance(header, RefusalHeader)
        return header.code

    def response(self, slot: int, call: OutgoingCall) -> InferResponse:
        """Open a slot's reply with the call that it answers."""
        reply = Envelope.from_bytes(self.replies[slot], max_body_bytes=DEFAULT_MAX_BODY_BYTES)
        _, content = call.open_reply(reply)
        assert content.kind is ContentKind.INFER, parse_error(content)
        return decode_response(content.text, content.binary)

    def error(self, slot: int, call: OutgoingCall) -> tuple[str, str]:
        """Open a slot's reply and read code and message of the error inside."""
        reply = Envelope.from_bytes(self.replies[slot], max_body_bytes=DEFAULT_MAX_BODY_BYTES)
        _, content = call.open_reply(reply)
        assert content.kind is ContentKind.ERROR
        return parse_error(content)
