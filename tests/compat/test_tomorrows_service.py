"""Today's client and a service of tomorrow, whose documents have fields that nobody here knows."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sealflow.errors import ConfigError, ModelError, NewerFormatError, UnavailableError
from sealflow.owner import (
    AuditedLog,
    Client,
    EntryKind,
    InferResult,
    QueueClient,
    ReceiptProof,
    Revoked,
    RevokedKind,
    audit_log,
    load_policy,
    verify_receipt,
)
from tests.compat.tomorrow import GONE, NEW, VALUE, critical
from tests.support.cluster.local_cluster import ROOT, sealflow
from tests.support.cluster.scripted_keybroker import ScriptedKeyBroker
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.compat.tomorrow_service import TomorrowService
    from tests.support.cluster.gateway import GatewayProcess
    from tests.support.queue.server import QueueServer

ROW = np.array([[1, -2, 3, 4]], np.float32)
STATUS: dict[str, Any] = {
    "format": 1,
    "deployment": "test",
    "ready": True,
    "simulated": True,
    "reasons": [],
    "queue": {"waiting": 1, "in_work": 2, "capacity": 3},
    "components": [
        {
            "component": "engine",
            "workers": [{"pid": 8, "models": [{"name": "m", "version": "1", "digest": "ab"}]}],
        },
        {"component": "control", "keybroker": {"pid": 9, "ready": True}},
        {"component": "moon"},
    ],
}

VERSIONS = ROOT / "docs" / "spec" / "versions.md"
PLAYED = {
    "reply header": {"reply header"},
    "refusal header": {"refusal header"},
    "error (content kind 2)": {"error"},
    "reply with a receipt (content kind 3)": {"reply with a receipt"},
    "published document, with its proof": {"published document", "signed directory", "log proof"},
    "directory payload, with its models, tensors, keys, revocations, tree": {
        "directory", "model", "tensor", "key", "revoked", "log tree",
    },
    "evidence": {"evidence"},
    "bound claims": {"bound claims"},
    "receipt": {"receipt"},
    "log record": {"log record"},
    "log entry and its body": {"log entry"},
}  # fmt: skip
"""Levels of `Writer`, by rows of versions.md, section 5."""
GROWN = {
    "pin",
    "kept receipt, one line",
    "answers of the key broker",
    "answers of the gateway that are JSON",
    "status of a process",
}
"""Rows that tests here play by `grown`."""
ELSEWHERE = {
    "request for a receipt (content kind 3)": "tests/vectors/requests.json",
    "passport: the object `sealflow_passport`": "tests/vectors/passport.json",
    "grant": "tests/vectors/grants.json",
    "tenant token": "tests/vectors/tenant-tokens.json",
    "order for a record of use": "tests/vectors/tenant-usage.json",
    "record of use (content kind 4)": "tests/vectors/tenant-usage.json",
}
"""Rows that no service writes for a client, or that need a verifier: the vectors have them."""


def grown(value: Any) -> Any:
    """Return JSON with the new field in each of its objects."""
    if isinstance(value, list):
        return [grown(each) for each in value]
    if isinstance(value, dict):
        return {**{name: grown(each) for name, each in value.items()}, NEW: VALUE}
    return value


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of `sealflow` in a process of its own."""
    command = sealflow(*map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def client(service: TomorrowService, gateway: GatewayProcess, policy: Path) -> Iterator[Client]:
    """Today's client, by HTTP."""
    until = time.monotonic() + 20
    # The gateway may show a directory of the test before for one second.
    while gateway.http.get("/v1/directory").content != service.scripted.text:
        assert time.monotonic() < until
        time.sleep(0.05)
    with Client(gateway.url, policy=policy) as made:
        yield made


def check_service(report: Any) -> None:
    """Check that items of known kinds are there, and those of tomorrow's kinds are not."""
    assert report.simulated
    assert [model.name for model in report.models] == ["m"]
    assert len(report.key_ids) == 2
    assert [each.id for each in report.revoked] == [GONE]


def check_answer(result: InferResult, log: AuditedLog) -> None:
    """Check a reply and its receipt."""
    np.testing.assert_array_equal(result.outputs["y"], -ROW)
    assert result.receipt is not None
    kept = ReceiptProof.from_bytes(result.receipt.to_bytes())
    assert verify_receipt(kept, log).receipt.model.name == "m"


def test_levels(service: TomorrowService, client: Client) -> None:
    """Every open format of the specification is played here, or says where it is tested.

    A new row there fails this test: add the format to `Writer`, and to `PLAYED`.
    """
    service.scripted.script = [service.refused, service.failed]
    with pytest.raises(ModelError):
        client.infer("m", tensors={"x": ROW})
    service.scripted.script = [service.reply]
    client.infer("m", tensors={"x": ROW}, receipt=True)
    assert {level for levels in PLAYED.values() for level in levels} == service.writer.levels
    rows = [line.split(" | ") for line in VERSIONS.read_text().splitlines() if " | " in line]
    rows = [[each.strip("| ") for each in row] for row in rows]
    open_rows = {row[0] for row in rows if row[-1].startswith("open")}
    assert open_rows == {*PLAYED, *GROWN, *ELSEWHERE}


def test_client(client: Client, policy: Path) -> None:
    """The client verifies, infers, and checks receipt and log; unknown entries keep their place."""
    check_service(client.verify())
    log = audit_log(client.fetch_log(), load_policy(policy))
    kinds = [entry.kind for entry in log.entries]
    assert kinds.count(EntryKind.UNKNOWN) == 2
    assert log.entries[1].body["sky"] == "clear"
    check_answer(client.infer("m", tensors={"x": ROW}, receipt=True), log)


def test_queue(service: TomorrowService, policy: Path) -> None:
    """So does the client of the queue."""
    log = audit_log(service.writer.records, load_policy(policy))
    with QueueClient(service.url, policy=policy) as queue:
        check_service(queue.verify())
        queue.enqueue_many("m", {"one": {"x": ROW}}, receipt=True)
        result = queue.query("one", timeout_s=20)
        assert result is not None
        check_answer(result, log)


def test_pins(client: Client, gateway: GatewayProcess, policy: Path, tmp_path: Path) -> None:
    """A pin is kept, with the digest of exactly the bytes that were signed; tomorrow's is read."""
    pin = tmp_path / "client.pin"
    with Client(gateway.url, policy=policy, pin=pin) as pinning:
        pinning.verify()
        log = audit_log(client.fetch_log(), load_policy(policy))
        log.require_pinned(pin)
        kept = json.loads(pin.read_text())
        # The keys of `owners` are owners, not fields.
        pin.write_text(json.dumps({**grown(kept), "owners": kept["owners"]}))
        log.require_pinned(pin)
        pinning.verify()


def test_kept_receipts(client: Client, policy: Path, tmp_path: Path) -> None:
    """A receipt that tomorrow's client kept in a file is verified by today's command."""
    proof = client.infer("m", tensors={"x": ROW}, receipt=True).receipt
    assert proof is not None
    (tmp_path / "log").write_bytes(b"".join(each + b"\n" for each in client.fetch_log()))
    line = grown(json.loads(proof.to_bytes()))
    (tmp_path / "receipts").write_text(json.dumps(line) + "\n")
    options = ("--log", tmp_path / "log", "--policy", policy, "--json")
    done = run("receipt", "verify", tmp_path / "receipts", *options)
    assert json.loads(done.stdout)["verified"], done.stderr


def test_commands(client: Client, gateway: GatewayProcess, policy: Path, tmp_path: Path) -> None:
    """The commands that verify a service and its log read tomorrow's documents."""
    reach = ("--url", gateway.url, "--policy", policy)
    shown = run("verify", *reach)
    assert shown.returncode == 0, shown.stderr
    assert "m:1 (default)" in shown.stdout
    log = tmp_path / "log"
    assert run("log", "fetch", log, *reach).returncode == 0
    said = json.loads(run("log", "verify", log, "--policy", policy, "--json").stdout)
    assert (said["verified"], said["records"]) == (True, 5)
    listed = run("log", "show", log, "--policy", policy)
    assert "unknown" in listed.stdout


def test_status() -> None:
    """`sealflow status` reads a status with new fields at each level, and a new kind of process."""
    body = json.dumps(grown(STATUS)).encode()
    with WebServer({"/v1/status": (200, {}, body)}) as server:
        shown = run("status", "--url", server.url, "--policy", "none")
    assert shown.returncode == 0, shown.stderr
    assert "moon" in shown.stdout
    assert "m:1" in shown.stdout


def test_error_of_a_gateway(policy: Path) -> None:
    """The words of a gateway are shown, whatever is beside them."""
    body = json.dumps(grown({"error": "the moon is in the way", "retry": {"s": 1}})).encode()
    answers: Any = {"/v1/directory": (503, {}, body), "/v1/status": (503, {}, body)}
    with WebServer(answers) as server, Client(server.url, policy=policy) as client:
        with pytest.raises(UnavailableError, match="the moon is in the way"):
            client.verify(timeout_s=2)
        shown = run("status", "--url", server.url, "--policy", policy)
    assert (shown.returncode, "the moon is in the way" in shown.stderr) == (6, True)


@pytest.fixture
def keybroker(queue: QueueServer) -> Iterator[ScriptedKeyBroker]:
    """A key broker that answers as a test says."""
    running = ScriptedKeyBroker(queue)
    yield running
    running.close()


def test_answers_of_a_key_broker(
    service: TomorrowService, client: Client, keybroker: ScriptedKeyBroker
) -> None:
    """Answers and errors of tomorrow's key broker are read; one that must be known is refused."""
    revoked, owner = Revoked(kind=RevokedKind.WORKER, id=GONE), service.writer.published.site.owner
    keybroker.script = lambda _: grown({"version": 1})
    assert client.revoke(revoked, owner) == 1
    keybroker.script = lambda _: grown({"error": {"code": "eclipse", "detail": "by night"}})
    with pytest.raises(ConfigError, match=r"\(eclipse\): by night"):
        client.revoke(revoked, owner)
    keybroker.script = lambda _: critical(grown({"version": 1}))
    with pytest.raises(NewerFormatError) as caught:
        client.revoke(revoked, owner)
    assert caught.value.code == "critical"


def test_unknown_error(service: TomorrowService, client: Client) -> None:
    """A sealed error with a code of tomorrow is the model's failure, with its message."""
    service.scripted.script = [service.failed]
    with pytest.raises(ModelError, match="the moon is before the sun") as caught:
        client.infer("m", tensors={"x": ROW})
    assert caught.value.code == "model_failed"


@pytest.mark.parametrize("changes", [{}, {"refusal header": critical}], ids=["code", "critical"])
def test_unknown_refusal(service: TomorrowService, client: Client, changes: Any) -> None:
    """A refusal with a code of tomorrow is a service that is away: the client asks again."""
    service.writer.changes = changes
    service.scripted.script = [service.refused, service.reply]
    result = client.infer("m", tensors={"x": ROW})
    np.testing.assert_array_equal(result.outputs["y"], -ROW)
    assert len(service.scripted.seen) == 2
