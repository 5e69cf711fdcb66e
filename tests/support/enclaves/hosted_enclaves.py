"""A real key broker and real workers, each a process, with a test as the host that carries."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sealflow.attest.evidence import Role
from sealflow.documents.revocation import RevocationOrder, SignedRevocationOrder
from sealflow.openinfer.tensor import DataType, TensorSpec
from sealflow.owner.client.inference import open_answer
from sealflow.owner.client.request import request_parts
from sealflow.owner.models.owner_key import opening_key
from sealflow.owner.models.publish import prepare_publication
from sealflow.owner.trust.session import ServiceSession
from sealflow.package.container import seal_package
from sealflow.seal.keys import SealingKey, parse_suite
from sealflow.wire.envelope import Envelope, RefusalHeader
from sealflow.wire.frames import FrameKind, decode_batch, encode_batch, encode_chunk
from tests.support.attestation.deployments import simulated_deployment
from tests.support.enclaves.enclave_process import EnclaveProcess, keybroker_boot, worker_boot
from tests.support.models import onnx_models
from tests.support.models.served_models import onnx_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealflow.documents.revocation import Revoked
    from sealflow.errors import RefusalCode
    from sealflow.owner import InferResult
    from sealflow.package.manifest import ModelManifest
    from sealflow.seal.exchange import OutgoingCall

NOW_MS = 1_790_000_000_000
LIMIT = 2**24
OUTPUT = TensorSpec(name="y", datatype=DataType.FP32, shape=(-1,))


class HostedWorker:
    """A worker process; what it asks for is carried as long as its host wants."""

    def __init__(self, site: HostedEnclaves, process: EnclaveProcess) -> None:
        """Speak for `process` to the key broker of `site`."""
        self._site = site
        self.process = process
        self.carries = True
        self._slots = 0

    def await_event(self, name: str) -> None:
        """Carry until the worker reports an event."""
        while True:
            kind, payload = self._next()
            if kind is FrameKind.EVENT and json.loads(payload)["event"] == name:
                return

    def await_fatal(self) -> str:
        """Carry until the worker ends itself; gives the reason."""
        while True:
            kind, payload = self._next()
            if kind is FrameKind.FATAL:
                return payload.decode()

    def await_models(self, count: int, *, enrolled: bool = True) -> None:
        """Carry until the worker has loaded so many models, and first until it has enrolled."""
        loaded = 0
        while loaded < count or not enrolled:
            kind, payload = self._next()
            if kind is FrameKind.READY:
                loaded = len(json.loads(payload)["models"])
            elif kind is FrameKind.EVENT:
                enrolled = enrolled or json.loads(payload)["event"] == "enrolled"

    def serve_owner(self, owner: bytes) -> None:
        """Tell it whose models it serves."""
        self.process.send(FrameKind.SERVE, owner)

    def tick(self, at_ms: int | None = None) -> None:
        """Tell it the host's time, or another, and what is published."""
        self.process.tick(self._site.now_ms if at_ms is None else at_ms, self._site.document)

    def serve(self, envelopes: Iterable[bytes], *, at_ms: int | None = None) -> list[bytes]:
        """Give it envelopes in one frame; gives its answers in their order."""
        items = list(enumerate(envelopes, start=self._slots))
        self._slots += len(items)
        now_ms = self._site.now_ms if at_ms is None else at_ms
        self.process.send(FrameKind.BATCH, encode_batch(now_ms, items))
        found: dict[int, bytes] = {}
        while len(found) < len(items):
            kind, payload = self._next()
            if kind is FrameKind.REPLIES:
                found |= {slot: bytes(each) for slot, each in decode_batch(memoryview(payload))[1]}
        return [found[slot] for slot, _ in items]

    def refusals(self, *envelopes: bytes, at_ms: int | None = None) -> list[RefusalCode | None]:
        """Give it envelopes; gives why each was refused in clear, None where it was not."""
        return [read_refusal(each) for each in self.serve(envelopes, at_ms=at_ms)]

    def _next(self) -> tuple[FrameKind, bytes]:
        frame = self.process.receive()
        assert frame is not None, "the worker ended"
        kind, payload = frame
        if kind is FrameKind.CONTROL:
            answer = self._site.ask_raw(payload) if self.carries else b""
            self.process.send(FrameKind.CONTROL, answer)
        elif kind is FrameKind.WANT:
            package = self._site.packages[payload.hex()]
            self.process.send(FrameKind.PACKAGE, encode_chunk(payload, 0, len(package), package))
        return kind, payload


class HostedEnclaves:
    """A key broker process that leads, with the model y = -x; its workers are made by `worker`."""

    def __init__(self, *, settings: dict[str, int] | None = None, **times: int) -> None:
        """Start the key broker. `times`: of the deployment. `settings`: of each worker's BOOT."""
        self.now_ms = NOW_MS
        self._counters = count(NOW_MS)
        self.made = simulated_deployment(NOW_MS, **times)
        self.document = b""
        self.states: list[bytes] = []
        self.state_keys: list[bytes] = []
        self.packages: dict[str, bytes] = {}
        self._settings = settings or {}
        self._stack = ExitStack()
        self._start_key_broker(b"")
        self.session = ServiceSession(self.policy, clock_ms=lambda: self.now_ms)
        self.publish("m")

    @property
    def policy(self) -> Any:
        """The clients' policy."""
        return self.made.deployment.policy(Role.KEY_BROKER)

    def worker(self) -> HostedWorker:
        """Start a worker and carry until it serves all models."""
        found = self.start_worker()
        found.await_models(len(self.packages), enrolled=False)
        return found

    def start_worker(self, command: Sequence[str] | None = None, **settings: Any) -> HostedWorker:
        """Start a worker of the owner's models, with other settings where named.

        `command`: what starts it instead of this Python.
        """
        deployment, platform = self.made.deployment.to_bytes(), self.made.platform.to_bytes()
        boot = worker_boot(deployment, platform, self.now_ms) | self._settings
        boot |= {"serves": self.made.owner.signer, **settings}
        process = self._stack.enter_context(EnclaveProcess("worker", boot, command=command))
        found = HostedWorker(self, process)
        found.tick()
        return found

    def restart_key_broker(self, state: bytes, at_ms: int) -> None:
        """Start another key broker process with a state that was kept."""
        self._start_key_broker(state, at_ms)

    def ask_raw(self, request: bytes) -> bytes:
        """Carry a request to the key broker; what it publishes on the way is taken."""
        self._keybroker.send(FrameKind.CONTROL, request)
        while True:
            kind, payload = self._take()
            if kind is FrameKind.CONTROL:
                return payload

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask the key broker."""
        answer: dict[str, Any] = json.loads(self.ask_raw(json.dumps({"op": op, **fields}).encode()))
        return answer

    def pass_time(self, by_ms: int) -> None:
        """Move the host's clock on and tell the key broker; workers are told by `tick`."""
        self.now_ms += by_ms
        self.tick_key_broker(self.now_ms)

    def tick_key_broker(self, at_ms: int) -> None:
        """Tell the key broker any time, and take what it publishes."""
        self._keybroker.tick(at_ms)
        self.ask("describe")

    def await_directory(self) -> None:
        """Say nothing until the key broker publishes by itself."""
        while self._take()[0] is not FrameKind.DIRECTORY:
            pass

    def publish(self, name: str, version: str = "1", operator: str = "Neg") -> str:
        """Have the owner publish a model y = operator(x); gives its digest."""
        model = onnx_models.elementwise(operator, sizes=(None, 4))
        return self.publish_model(onnx_manifest(name, version=version), model)

    def publish_model(self, manifest: ModelManifest, model: bytes) -> str:
        """Have the owner publish any model; gives its digest."""
        owner, files = self.made.owner, {manifest.file: model}
        package = seal_package(
            manifest, files, signing=owner.signing, sealing=opening_key(owner).public_key
        )
        verified = self.session.verify_directory(self.document).verified
        bound = verified.approval.claims.bound
        key = SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)
        publication = prepare_publication(
            package,
            owner,
            key,
            deployment="test",
            log_id=verified.directory.log_id,
            counter=next(self._counters),
        )
        answer = self.ask("publish", sealed=b64encode(publication.sealed).decode())
        assert answer["digest"] == publication.digest
        self.packages[publication.digest] = package
        return publication.digest

    def revoke(self, revoked: Revoked) -> None:
        """Have the owner revoke something."""
        owner = self.made.owner
        directory = self.session.verify_directory(self.document).verified.directory
        order = RevocationOrder(
            deployment="test",
            log_id=directory.log_id,
            counter=next(self._counters),
            revoked=(revoked,),
            signer=owner.signer,
        )
        domain = self.made.deployment.tee.domain
        assert "error" not in self.ask(
            "revoke", **SignedRevocationOrder.sign(order, owner.signing, domain).to_json()
        )

    def call(self, name: str = "m", *, timeout_s: float = 30.0, rows: int = 1) -> OutgoingCall:
        """Seal a request of ones as a client does, which fetches the directory first."""
        self.session.accept(self.session.verify_directory(self.document))
        model = self.session.model(name)
        tensors = {"x": np.ones((rows, model.inputs[0].shape[1]), np.float32)}
        parts = request_parts(model, image=None, tensors=tensors, top_k=None)
        return self.session.seal_request(model, parts, timeout_s=timeout_s)

    def _start_key_broker(self, state: bytes, at_ms: int | None = None) -> None:
        deployment, platform = self.made.deployment.to_bytes(), self.made.platform.to_bytes()
        now_ms = self.now_ms if at_ms is None else at_ms
        boot = keybroker_boot(deployment, platform, now_ms, self.state_keys)
        self._keybroker = self._stack.enter_context(EnclaveProcess("keybroker", boot))
        self._keybroker.send(FrameKind.LEAD, now_ms.to_bytes(8) + state)
        self.ask("describe")

    def _take(self) -> tuple[FrameKind, bytes]:
        frame = self._keybroker.receive()
        assert frame is not None, "the key broker ended"
        kind, payload = frame
        match kind:
            case FrameKind.DIRECTORY:
                self.document = payload
            case FrameKind.STATE:
                self.states.append(bytes(decode_batch(memoryview(payload))[1][0][1]))
            case FrameKind.KEY:
                self.state_keys.append(payload)
        return kind, payload

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all processes."""
        self._stack.close()


def read_refusal(envelope: bytes) -> RefusalCode | None:
    """Why an answer refuses in clear; None for a sealed one."""
    header = Envelope.from_bytes(envelope, max_body_bytes=LIMIT).header
    return header.code if isinstance(header, RefusalHeader) else None


def read_result(call: OutgoingCall, reply: bytes) -> InferResult:
    """Open a reply as a client does."""
    return open_answer(call, Envelope.from_bytes(reply, max_body_bytes=LIMIT), outputs=(OUTPUT,))
