"""Documents of tomorrow that say that today's client must not read them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from sealflow.cli.main import exit_code
from sealflow.errors import NewerFormatError, SealflowError
from sealflow.owner import Client, QueueClient
from tests.compat.tomorrow import critical, newer
from tests.support.cluster.gateway import GatewayProcess
from tests.support.cluster.local_cluster import sealflow
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.compat.tomorrow import Change
    from tests.compat.tomorrow_service import TomorrowService
    from tests.support.queue.server import QueueServer

HINT: Final = "Install a release of Sealflow that is at least as new as the service's."
ROW: Final = np.array([[1, -2, 3, 4]], np.float32)
MALFORMED, NOT_VERIFIED = 1, 3
"""Exit codes: of documents that do not parse, and of evidence and what it signs."""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of `sealflow` in a process of its own."""
    command = sealflow(*map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check_refusal(done: subprocess.CompletedProcess[str], code: str, exits: int) -> None:
    """Check code, exit code and hint of a command with `--json`."""
    said = json.loads(done.stdout)
    assert (said["code"], done.returncode, said["hint"]) == (code, exits, HINT), done
    assert HINT in done.stderr + done.stdout


@pytest.fixture
def queue_client(service: TomorrowService, policy: Path) -> Iterator[QueueClient]:
    """A client of the queue, which shows each directory at once."""
    with QueueClient(service.url, policy=policy) as made:
        yield made


@pytest.mark.parametrize(
    ("level", "change", "code", "exits"),
    [
        ("published_document", newer, "format", MALFORMED),
        ("published_document", critical, "critical", MALFORMED),
        ("signed_directory", critical, "critical", MALFORMED),
        ("directory", newer, "format", NOT_VERIFIED),
        ("directory", critical, "critical", NOT_VERIFIED),
        ("revoked", critical, "critical", NOT_VERIFIED),
        ("evidence", newer, "format", MALFORMED),
        ("evidence", critical, "critical", MALFORMED),
        ("bound_claims", critical, "critical", NOT_VERIFIED),
    ],
)
def test_directories(
    running: TomorrowService,
    policy: Path,
    level: str,
    change: Change,
    code: str,
    exits: int,
) -> None:
    """`sealflow verify` and the client of the queue refuse a directory, by code, with a hint."""
    running.publish(**{level: change})
    answers: Any = {"/v1/directory": (200, {}, running.scripted.text)}
    with WebServer(answers) as server:
        check_refusal(run("verify", server.url, "--policy", policy, "--json"), code, exits)
    with QueueClient(running.url, policy=policy) as queue:
        with pytest.raises(SealflowError) as caught:
            queue.enqueue_many("m", {"one": {"x": ROW}})
        assert (caught.value.code, caught.value.hint) == (code, HINT)
    assert running.scripted.seen == []


def test_protocol(running: TomorrowService, policy: Path) -> None:
    """Bound claims of another protocol are refused as such."""
    running.publish(bound_claims=lambda value: {**value, "protocol": "sealflow/2"})
    with QueueClient(running.url, policy=policy) as queue, pytest.raises(SealflowError) as caught:
        queue.verify()
    assert (caught.value.code, exit_code(caught.value)) == ("bound_claims", NOT_VERIFIED)


@pytest.mark.parametrize("level", ["model", "key", "tensor"])
def test_items(running: TomorrowService, policy: Path, level: str) -> None:
    """Models and keys that today's client must know are left out; the directory stays valid."""
    running.publish(**{level: critical})
    with QueueClient(running.url, policy=policy) as queue:
        report = queue.verify()
    assert (report.models == ()) is (level != "key")
    assert (report.key_ids == ()) is (level == "key")


@pytest.mark.parametrize(
    ("level", "change", "code"),
    [
        ("log_record", critical, "critical"),
        ("log_entry", newer, "format"),
        ("log_entry", critical, "critical"),
    ],
)
def test_logs(
    running: TomorrowService, policy: Path, tmp_path: Path, level: str, change: Change, code: str
) -> None:
    """`sealflow log verify` refuses a log, by code, with a hint."""
    running.publish(**{level: change})
    log = tmp_path / "log"
    log.write_bytes(b"".join(record + b"\n" for record in running.writer.records))
    check_refusal(run("log", "verify", log, "--policy", policy, "--json"), code, NOT_VERIFIED)


@pytest.mark.parametrize(
    ("level", "change", "code"),
    [
        ("reply with a receipt", critical, "critical"),
        ("receipt", newer, "format"),
        ("receipt", critical, "critical"),
    ],
)
def test_receipts(
    service: TomorrowService, queue_client: QueueClient, level: str, change: Change, code: str
) -> None:
    """A client refuses the reply with such a receipt: it could not verify it later."""
    service.writer.changes = {level: change}
    queue_client.enqueue_many("m", {"one": {"x": ROW}}, receipt=True)
    with pytest.raises(NewerFormatError) as caught:
        queue_client.query("one", timeout_s=20)
    assert (caught.value.code, caught.value.hint) == (code, HINT)
    assert exit_code(caught.value) == MALFORMED


def test_reply_headers(service: TomorrowService, queue_client: QueueClient) -> None:
    """A reply whose header today's client must know is no answer; it takes the next one."""
    service.writer.changes = {"reply header": critical}
    queue_client.enqueue_many("m", {"one": {"x": ROW}})
    assert queue_client.query("one", timeout_s=2) is None
    service.writer.changes = {}
    [asked] = service.scripted.seen
    service.scripted.put_in(asked, service.reply(service.scripted, asked))
    result = queue_client.query("one", timeout_s=20)
    assert result is not None
    np.testing.assert_array_equal(result.outputs["y"], -ROW)


def test_reply_headers_by_http(queue: QueueServer, service: TomorrowService) -> None:
    """By HTTP, where no other answer can come, such a reply is refused with a hint."""
    with (
        GatewayProcess(queue, packages_dir=str(queue.folder / "packages")) as gateway,
        Client(gateway.url, policy=service.policy) as client,
    ):
        client.verify()
        service.writer.changes = {"reply header": critical}
        with pytest.raises(NewerFormatError) as caught:
            client.infer("m", tensors={"x": ROW})
    assert (caught.value.code, caught.value.hint) == ("critical", HINT)
    assert exit_code(caught.value) == MALFORMED


@pytest.mark.parametrize(("change", "code"), [(newer, "format"), (critical, "critical")])
@pytest.mark.parametrize("path", [(), ("components", 0)], ids=["cluster", "component"])
def test_status(change: Change, code: str, path: tuple[Any, ...]) -> None:
    """`sealflow status` refuses a status, by code, with a hint."""
    part: dict[str, Any] = {"component": "engine", "since_2": 1}
    queue = {"waiting": 1, "in_work": 2, "capacity": 3}
    whole = {"deployment": "test", "ready": True, "queue": queue, "since_2": 1}
    body = {**whole, "components": [change(part) if path else part]}
    body = body if path else change(body)
    with WebServer({"/v1/status": (200, {}, json.dumps(body).encode())}) as server:
        done = run("status", "--url", server.url, "--policy", "none", "--json")
    check_refusal(done, code, MALFORMED)
