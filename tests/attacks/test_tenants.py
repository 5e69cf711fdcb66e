"""Attacks of clients on the tenants of a deployment: rows 126 to 128 of docs/threat-model.md."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.documents.tenant_token import MAX_TOKEN_CHARACTERS
from sealflow.errors import ConfigError, QuotaExceededError, RefusalCode
from sealflow.owner import OwnerKey
from sealflow.owner.trust.tenant_file import read_tenant_token
from sealflow.seal.content import ContentKind, parse_error
from sealflow.trusted.worker.serving import tenants
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import Envelope
from tests.support.trusted.tenants import AUTHORITY, make_token, seal_for_tenant
from tests.support.trusted.worker import (
    NOW_MS,
    Worker,
    negation_model,
    read_values,
    worker_identity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sealflow.seal.exchange import OutgoingCall
    from tests.support.trusted.recorded_port import RecordedPort


def serve(calls: Sequence[OutgoingCall], **worker: Any) -> RecordedPort:
    """Have a worker that serves tenants answer requests that arrive at once."""
    running = Worker(**{"tenants": AUTHORITY.signer, **worker}).serve(negation_model())
    return running.send(*(call.envelope for call in calls)).finish()


def codes(outside: RecordedPort, calls: Sequence[OutgoingCall]) -> list[str]:
    """The code of each answer's error; `ok` for a response."""
    found = []
    for slot, call in enumerate(calls):
        reply = Envelope.from_bytes(outside.replies[slot], max_body_bytes=2**20)
        _, content = call.open_reply(reply)
        found.append("ok" if content.kind is ContentKind.INFER else parse_error(content)[0])
    return found


def answer(token: Any, **worker: Any) -> str:
    """The code of the answer to one request with a token."""
    calls = [seal_for_tenant(negation_model(), token)]
    return codes(serve(calls, **worker), calls)[0]


def flip(token: str, at: int) -> str:
    """The token with one bit of its bytes flipped, in the same spelling."""
    parts = [urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in token.split(".")]
    text = bytearray(b"".join(parts))
    text[at] ^= 1
    cut = len(parts[0])
    return ".".join(
        urlsafe_b64encode(part).decode().rstrip("=") for part in (text[:cut], text[cut:])
    )


OTHER = OwnerKey.generate(TrustDomain.SIMULATED)
HARDWARE = OwnerKey(
    domain=TrustDomain.HARDWARE,
    signing_seed=AUTHORITY.signing_seed,
    sealing_seed=AUTHORITY.sealing_seed,
)
GOOD = make_token()
BAD = {
    "none": None,
    "empty": "",
    "number": 5,
    "no signature": GOOD.partition(".")[0],
    "another key": make_token(key=OTHER),
    "another trust domain": make_token(key=HARDWARE),
    "another deployment": make_token(deployment="shop"),
    "over": make_token(expires_ms=NOW_MS),
    "early": make_token(not_before_ms=NOW_MS + 1),
    "flipped in the payload": flip(GOOD, 30),
    "flipped in the signature": flip(GOOD, -1),
    "short signature": GOOD[:-4],
    "padded": GOOD + "=",
    "not base64": "ü.ü",
    "long": GOOD + "A" * 2048,
    "quota of 0": make_token(rows=0),
    "weight of 101": make_token(weight=101),
    "name that is none": make_token(tenant="a/b"),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_126_tokens(token: Any) -> None:
    """Without a valid token of this deployment's authority nothing is prepared or run."""
    assert answer(GOOD) == "ok"
    assert answer(token) == "tenant_refused"


def test_126_signed_for_another_purpose() -> None:
    """What the authority's key signs elsewhere is not a token."""
    text = urlsafe_b64decode(GOOD.partition(".")[0] + "==")
    signature = AUTHORITY.signing.sign(AUTHORITY.domain.label("receipt") + text)
    forged = GOOD.partition(".")[0] + "." + urlsafe_b64encode(signature).decode().rstrip("=")
    assert answer(forged) == "tenant_refused"


def test_126_hidden_from_the_host() -> None:
    """A host that has the envelope has no token, and sending the envelope again gets it nothing."""
    call = seal_for_tenant(negation_model(), GOOD)
    for part in (GOOD, GOOD[:40], GOOD[-40:]):
        assert part.encode() not in call.envelope
    outside = serve([call, call])
    assert read_values(outside.response(0, call)) == [[-1, -2, -3, -4]]
    assert outside.refusal(1) is RefusalCode.REPLAYED


@pytest.mark.parametrize(("quota", "served"), [({"requests": 3}, 3), ({"bytes": 1}, 1)])
def test_127_quotas(quota: dict[str, Any], served: int) -> None:
    """A tenant past its quota is refused, whatever token it has, and another one is served."""
    model = negation_model()
    calls = [seal_for_tenant(model, make_token(id=f"{n:032x}", **quota)) for n in range(9)]
    calls.append(seal_for_tenant(model, make_token("bob")))
    found = codes(serve(calls), calls)
    assert found == ["ok"] * served + ["quota_exceeded"] * (9 - served) + ["ok"]


def test_127_rows_and_time() -> None:
    """Rows and CPU time count once a request was run."""
    model = negation_model()
    quotas: list[dict[str, Any]] = [{"rows": 5}, {"cpu_ms": 1}]
    for quota in quotas:
        calls = [seal_for_tenant(model, make_token(**quota), 1000) for _ in range(200)]
        running = Worker(tenants=AUTHORITY.signer, max_jobs=1).serve(model)
        outside = running.send(*(call.envelope for call in calls)).finish(threads=1)
        found = codes(outside, calls)
        assert found[0] == "ok"
        assert found[-1] == "quota_exceeded"


FILES = {
    "empty": "",
    "blank": "  \n",
    "two words": "a b",
    "two lines": "a\nb",
    "tab": "a\tb",
    "not ASCII": "\u00e9",
    "long": "A" * (MAX_TOKEN_CHARACTERS + 1),
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_126_files(text: str, tmp_path: Path) -> None:
    """A file without one token on one line is refused before anything is sent."""
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="one line with a token"):
        read_tenant_token(path)
    path.write_text(f"{GOOD}\n")
    assert read_tenant_token(path) == GOOD


def test_127_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker counts a bounded number of tenants; those that it counts are served."""
    monkeypatch.setattr(tenants, "MAX_TENANTS", 1)
    deployment = replace(worker_identity().deployment, tenants=AUTHORITY.signer)
    ledger = TenantLedger(deployment, 10, NOW_MS)
    alice, bob = ({"tenant_token": make_token(name)} for name in ("alice", "bob"))
    assert ledger.admit(alice, 1, NOW_MS) is not None
    with pytest.raises(QuotaExceededError, match="its limit"):
        ledger.admit(bob, 1, NOW_MS)
    assert ledger.admit(alice, 1, NOW_MS) is not None


def test_127_period() -> None:
    """Quotas begin anew with each period of the worker's clock."""
    deployment = worker_identity().deployment
    ledger = TenantLedger(replace(deployment, tenants=AUTHORITY.signer), 10, NOW_MS)
    token = {"tenant_token": make_token(requests=1, period_s=1)}
    assert ledger.admit(token, 1, NOW_MS) is not None
    with pytest.raises(QuotaExceededError):
        ledger.admit(token, 1, NOW_MS + 999)
    assert ledger.admit(token, 1, NOW_MS + 1000) is not None
    assert answer(None, tenants=None) == "ok"


def test_128_shares() -> None:
    """A tenant that floods keeps its share of the worker, and another one is answered at once."""
    model = negation_model()
    flood = [seal_for_tenant(model, make_token()) for _ in range(40)]
    bob = [seal_for_tenant(model, make_token("bob")) for _ in range(4)]
    calls = [*flood[:4], bob[0], *flood[4:20], *bob[1:], *flood[20:]]
    outside = serve(calls, max_jobs=16)
    found = dict(zip(map(id, calls), codes(outside, calls), strict=True))
    assert [found[id(call)] for call in bob] == ["ok"] * 4
    of_flood = [found[id(call)] for call in flood]
    assert of_flood.count("ok") == 8
    assert of_flood.count("quota_exceeded") == 32


def test_128_one_tenant_alone() -> None:
    """A tenant that is alone has the whole worker."""
    model = negation_model()
    calls = [seal_for_tenant(model, make_token()) for _ in range(16)]
    assert codes(serve(calls, max_jobs=16), calls) == ["ok"] * 16
