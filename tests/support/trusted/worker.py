"""The worker's parts and models for them, from envelopes to replies."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import Role
from sealflow.openinfer.messages import InferRequest, RequestedOutput
from sealflow.openinfer.ndarray import from_numpy, to_numpy
from sealflow.openinfer.tensor import DataType
from sealflow.seal.exchange import OutgoingCall, Session
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.identity.identity import EnclaveIdentity, create_identity
from sealflow.trusted.worker.serving.arrivals import (
    ArrivalQueue,
    EnvelopeBatch,
    ServingUpdate,
)
from sealflow.trusted.worker.serving.batching import BatchQueue
from sealflow.trusted.worker.serving.keyring import EpochPrivateKey, LeaseUse
from sealflow.trusted.worker.serving.opener import RequestOpener
from sealflow.trusted.worker.serving.runner import BatchRunner, ReplySender
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.trusted.worker.threads import SingleThreadLoop
from sealflow.wire.fields import MAX_TIME_MS
from sealflow.wire.ids import RequestId
from tests.support.attestation.deployments import simulated_deployment
from tests.support.models import onnx_models
from tests.support.models.served_models import load_model, tensor_specs
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.lease_host import no_collateral
from tests.support.trusted.recorded_port import RecordedPort
from tests.support.trusted.told_clock import told_clock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from sealflow.openinfer.messages import InferResponse
    from sealflow.trusted.clock import EnclaveClock
    from sealflow.trusted.worker.models.loader import ServedModel

KEY = OpeningKey.generate(Suite.SIMULATED_X25519)
OTHER_KEY = OpeningKey.generate(Suite.SIMULATED_X25519)
SESSION = Session.start(KEY.public_key)
INSTANCE = RequestId("1" * 32)
NOW_MS = 10_000
DEADLINE_MS = 60_000
LEASE_MS = 10_000_000


@cache
def worker_identity() -> EnclaveIdentity:
    """A simulated worker by the name of `INSTANCE`."""
    made = simulated_deployment(1_750_000_000_000)
    signing = Ed25519PrivateKey.generate()
    identity = create_identity(
        Role.WORKER, made.deployment, made.platform.to_bytes(), signing, no_collateral
    )
    return dataclasses.replace(identity, instance=INSTANCE)


@dataclass(slots=True, kw_only=True)
class Worker:
    """What a worker does with everything that has arrived."""

    max_body_bytes: int = 2**20
    max_ahead_ms: int = MAX_TIME_MS
    replay_capacity: int = 1000
    max_jobs: int = 1000
    tenants: str | None = None
    clock: EnclaveClock = field(default_factory=lambda: told_clock(NOW_MS))
    arrivals: ArrivalQueue = field(
        default_factory=lambda: ArrivalQueue(max_items=10_000, max_bytes=2**30)
    )
    outside: RecordedPort = field(default_factory=RecordedPort)
    slots: int = 0

    def serve(
        self,
        *models: ServedModel,
        keys: Iterable[OpeningKey] = (KEY,),
        destroy_ms: int = LEASE_MS,
        lease_ms: int = LEASE_MS,
        use: LeaseUse | None = None,
        revoked_tokens: Collection[str] = (),
    ) -> Worker:
        """Grant keys and models."""
        epoch = [EpochPrivateKey(private_key=key, destroy_ms=destroy_ms) for key in keys]
        granted = {model.ref: model for model in models}
        update = ServingUpdate(
            keys=epoch,
            lease_ms=lease_ms,
            models=granted,
            use=use or LeaseUse(),
            revoked_tokens=revoked_tokens,
        )
        self.arrivals.put(update)
        return self

    def send(self, *envelopes: bytes) -> Worker:
        """Let envelopes arrive in one frame, in slots counted from 0."""
        items = [(slot, memoryview(data)) for slot, data in enumerate(envelopes, start=self.slots)]
        self.slots += len(items)
        assert self.arrivals.offer(EnvelopeBatch(items=items))
        return self

    def finish(self, *, threads: int = 0) -> RecordedPort:
        """Work until all is answered; every slot has one answer then.

        `threads`: 1 as for a runtime with one thread, 2 as for one with more, 0 on this thread: all
        is opened before the first model runs.
        """
        identity = worker_identity()
        deployment = dataclasses.replace(identity.deployment, tenants=self.tenants)
        tenants = TenantLedger(deployment, self.max_jobs, self.clock.now_ms)
        replies = ReplySender(self.outside.port, self.clock, identity)
        jobs = BatchQueue(max_jobs=self.max_jobs, max_bytes=2**30, max_wait_ms=0)
        answering = BatchRunner(jobs, replies, max_body_bytes=self.max_body_bytes, tenants=tenants)
        opening = RequestOpener(
            self.arrivals,
            jobs,
            replies,
            self.clock,
            max_body_bytes=self.max_body_bytes,
            replay_capacity=self.replay_capacity,
            max_ahead_ms=self.max_ahead_ms,
            tenants=tenants,
            make_room=answering.answer_next if threads == 1 else None,
        )
        self.arrivals.put(None)
        loops = [opening.open_requests, answering.run_batches]
        if threads == 1:
            loops = [SingleThreadLoop(self.arrivals, opening, jobs, answering).run]
        if threads:
            running = [threading.Thread(target=loop) for loop in loops]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join(60)
        else:
            opening.open_requests()
            answering.run_batches()
        assert sorted(self.outside.replies) == list(range(self.slots))
        return self.outside


@cache
def negation_model(name: str = "negation", **changes: Any) -> ServedModel:
    """A model y = -x of FP32 [-1, 4]."""
    return load_model(onnx_models.elementwise("Neg", sizes=(None, 4)), name, **changes)


@cache
def failing_model() -> ServedModel:
    """Gives 10, 20, 30, 40 for 0 to 3 and fails for anything else."""
    return load_model(
        onnx_models.picky(),
        "weak",
        inputs=tensor_specs(x=(DataType.INT64, [-1, 1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 1])),
    )


@cache
def open_sized_model(operator: str, max_batch: int = 8) -> ServedModel:
    """A model y = operator(x) of FP32 of any two sizes."""
    return load_model(
        onnx_models.elementwise(operator),
        operator.lower(),
        inputs=tensor_specs(x=(DataType.FP32, [-1, -1])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, -1])),
        max_batch=max_batch,
    )


def make_request(values: Any, *, top: int | None = None, id_: str | None = None) -> InferRequest:
    """A request of one input x, for all outputs or the top classes of y."""
    parameters = {} if top is None else {"classification": top}
    outputs = () if top is None else (RequestedOutput(name="y", parameters=parameters),)
    return InferRequest(id=id_, inputs=(from_numpy("x", np.array(values)),), outputs=outputs)


def floats(values: Any) -> NDArray[np.float32]:
    """Values as FP32."""
    return np.array(values, np.float32)


def seal_call(
    model: ServedModel, values: Any = None, *, deadline_ms: int = DEADLINE_MS
) -> OutgoingCall:
    """A sealed request, of 1, 2, 3, 4 unless said otherwise."""
    request = make_request(floats([[1, 2, 3, 4]] if values is None else values))
    return seal_request(SESSION, model, request, deadline_ms=deadline_ms)


def read_values(response: InferResponse) -> list[Any]:
    """The values of a response's y."""
    tensor = response.output("y")
    assert tensor is not None
    values: list[Any] = to_numpy(tensor).tolist()
    return values
