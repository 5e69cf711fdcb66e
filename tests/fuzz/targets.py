"""What takes a stranger's bytes: parsers, each with good inputs and the vectors to start from.

A target returns, or raises an error of ours. Anything else is a bug.
"""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING

from sealflow.attest.claims import TrustRoot, verify_evidence
from sealflow.attest.evidence import Evidence
from sealflow.errors import SealflowError
from sealflow.openinfer.binary import decode_request, encode_request
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.tensor import DataType
from sealflow.owner import Tensor
from sealflow.owner.passport.acceptance import accept_passport
from sealflow.owner.passport.passport import verify_passport
from sealflow.owner.trust.verified_service import verify_directory
from sealflow.package.container import UnverifiedPackage
from sealflow.wire.envelope import Envelope
from sealflow.wire.strict_json import canonical_json, parse_object
from tests.fuzz import corpus
from tests.support.cluster.published_service import NOW_MS, PublishedService
from tests.support.models.served_models import SIGNER, pack_model, read_example
from tests.support.passports.tokens import (
    ED25519,
    HEADER,
    ear,
    hardware_policy,
    shown_evidence,
    sign,
)
from tests.support.passports.tokens import NOW_MS as TOKEN_MS
from tests.support.sealing.sealed_sessions import start_session

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = PublishedService.create()
ROOT = TrustRoot(insecure_root=SERVICE.site.platform.root_der)
BOTH = start_session()


def envelope(data: bytes) -> None:
    """Parse an envelope, then open it as a worker does."""
    with suppress(SealflowError):
        Envelope.from_bytes(data, max_body_bytes=2**20)
        BOTH.open(data)


def infer_request(data: bytes) -> None:
    """Parse a KServe V2 request: two bytes that say how long its JSON is, JSON, tensors."""
    length = int.from_bytes(data[:2])
    with suppress(SealflowError):
        decode_request(data[2 : 2 + length], data[2 + length :])


def evidence(data: bytes) -> None:
    """Parse evidence as JSON, and verify it."""
    with suppress(SealflowError):
        verify_evidence(Evidence.from_json(parse_object(data, "evidence")), ROOT, NOW_MS)


def quote(data: bytes) -> None:
    """Verify a quote under good claims and collateral."""
    good = SERVICE.evidence()
    with suppress(SealflowError):
        changed = Evidence(tee=good.tee, quote=data, bound=good.bound, collateral=good.collateral)
        verify_evidence(changed, ROOT, NOW_MS)


def bundle(data: bytes) -> None:
    """Read a model package and check its signature."""
    with suppress(SealflowError):
        UnverifiedPackage.from_bytes(data).verify(SIGNER)


def directory(data: bytes) -> None:
    """Examine a published directory as a client does."""
    with suppress(SealflowError):
        verify_directory(data, SERVICE.policy, NOW_MS)


def passport(data: bytes) -> None:
    """Examine a passport whose header and claims, a line each, the verifier signed."""
    header, _, claims = data.partition(b"\n")
    with suppress(SealflowError):
        verifier = ED25519.trusted("v")
        found = verify_passport(sign(claims, ED25519, header), verifier, TOKEN_MS)
        accept_passport(found, shown_evidence(), hardware_policy(), TOKEN_MS)


def token(data: bytes) -> None:
    """Examine a token as it comes."""
    with suppress(SealflowError):
        verify_passport(data.decode(errors="replace"), ED25519.trusted("v"), TOKEN_MS)


def _seeds() -> dict[Callable[[bytes], None], list[bytes]]:
    tensor = Tensor(name="x", datatype=DataType.FP32, shape=(1, 2), data=memoryview(bytes(8)))
    text, parts = encode_request(InferRequest(inputs=(tensor,)))
    good = SERVICE.evidence().to_json()
    return {
        envelope: [BOTH.call(b"{}", b"tensor").envelope, *corpus.envelopes()],
        infer_request: [
            len(text).to_bytes(2) + text + binary
            for text, binary in ((text, b"".join(parts)), *corpus.messages("request"))
            if len(text) < 2**16
        ],
        evidence: [canonical_json(good), *corpus.evidence()],
        quote: [b64decode(str(good["quote"])), *corpus.quotes()],
        bundle: [pack_model(*read_example("tiny")).package, *corpus.packages()],
        directory: [
            SERVICE.document(),
            SERVICE.document(SERVICE.with_model()),
            *corpus.documents(),
        ],
        passport: [b"\n".join(json.dumps(each).encode() for each in (HEADER, ear()))],
        token: [sign(ear()).encode()],
    }


SEEDS = _seeds()
