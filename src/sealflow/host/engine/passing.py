"""Host: which requests go on to another worker, because theirs does not have the model.

In a pool whose workers differ, or that is loading a new model, some have what others lack. Spec:
queue.md, 4.11.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, RefusalCode
from sealflow.host.engine.figures import is_refusal
from sealflow.wire.envelope import RefusalHeader, decode
from sealflow.wire.frames import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from sealflow.host.broker.delivery import Delivery

MAX_HOPS: Final = 8
_FIRST_PAUSE_S: Final = 0.02
_MAX_PAUSE_S: Final = 1.0


def published_models(document: bytes) -> frozenset[str]:
    """Read the digests of all models from a published directory, which nobody here can verify."""
    try:
        payload = json.loads(b64decode(json.loads(document)["directory"]["payload"]))
        return frozenset(str(each["digest"]) for each in payload["models"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def pause_s(hops: int) -> float:
    """How long to keep a request before its next pass: those that have the model may be busy."""
    return min(_FIRST_PAUSE_S * 2**hops, _MAX_PAUSE_S) if hops else 0.0


def goes_on(delivery: Delivery, reply: bytes, published: AbstractSet[str]) -> bool:
    """Say whether a worker's answer is only that it does not have a model that others may have.

    A model that is not published is nowhere. An entry that a worker ended with stays where its
    tries are counted.
    """
    if delivery.attempt > 1 or delivery.hops >= MAX_HOPS or not is_refusal(reply):
        return False
    try:
        header = decode(reply, max_body_bytes=0).header
        if not isinstance(header, RefusalHeader) or header.code is not RefusalCode.UNKNOWN_MODEL:
            return False
        asked = decode(delivery.envelope, max_body_bytes=MAX_FRAME_BYTES).request_header
    except MalformedError:
        return False
    return asked.model_digest in published
