"""Jobs of a worker: requests sealed, opened and prepared, as far as the model's run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sealflow.openinfer.binary import encode_request
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy
from sealflow.seal.content import ContentKind, content_parts, receipt_request_parts
from sealflow.seal.exchange import Session, SessionSecrets, open_request
from sealflow.trusted.worker.serving.batching import Job
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, Envelope
from tests.support.models.served_models import OWNER, finish

if TYPE_CHECKING:
    from sealflow.seal.exchange import OutgoingCall
    from sealflow.trusted.worker.models.loader import ServedModel


def seal_request(
    session: Session,
    model: ServedModel,
    request: InferRequest,
    *,
    deadline_ms: int = 60_000,
    receipt_salt: str | None = None,
) -> OutgoingCall:
    """Seal a request as its owner does; one with a salt asks for a receipt."""
    parts = content_parts(ContentKind.INFER, *encode_request(request))
    if receipt_salt is not None:
        parts = receipt_request_parts(parts, receipt_salt)
    return session.seal_request(model.ref, model.digest, parts, deadline_ms=deadline_ms)


SESSION = Session.start(OWNER.public_key)
_SECRETS = SessionSecrets(1)


def make_job(model: ServedModel, request: InferRequest, slot: int = 0) -> tuple[Job, OutgoingCall]:
    """Seal, open and prepare a request, as far as the models; and what opens its reply."""
    call = seal_request(SESSION, model, request)
    envelope = Envelope.from_bytes(call.envelope, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    incoming = open_request(envelope, OWNER, _SECRETS)
    inputs, rows = finish(model.prepare(request))
    return Job(
        slot=slot, call=incoming, request=request, model=model, inputs=inputs, rows=rows
    ), call


def make_rows_job(
    model: ServedModel, rows: int, width: int = 2, start: float = 0, slot: int = 0
) -> Job:
    """A job of so many rows of different values, at the models already."""
    values = np.arange(start, start + rows * width, dtype=np.float32).reshape(rows, width)
    return make_job(model, InferRequest(inputs=(from_numpy("x", values),)), slot)[0]
