"""Commands that ask a service: what they print, in which form, and how they fail."""

from __future__ import annotations

import json
import signal
import socketserver
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.owner.ownerkey import create_owner_key
from sealflow.owner.policy_file import write_policy
from sealflow.wire.refusal import RefusalCode
from sealflow.wire.world import World
from tests.sim.cluster import sealflow
from tests.sim.published import Published
from tests.sim.service import failing, labelled, now_ms, refusing, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sim.gateway import RunningGateway
    from tests.sim.service import PlayedService
    from tests.unit.cli.conftest import Run

SIMULATED = "SIMULATED"


@pytest.fixture(scope="module")
def played(queue: Any) -> Iterator[PlayedService]:
    """A service with the model m, which takes images."""
    from tests.sim.service import PlayedService

    running = PlayedService(queue)
    running.publish(running.published.with_image_model())
    yield running
    running.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Some files; what is in them is the worker's affair."""
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    """Make HTTP servers that answer everything with a status and bytes; gives their URLs."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                return

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_verify(run: Run, reach: tuple[str, ...], service: PlayedService) -> None:
    """The report says loudly that this is a simulation; as JSON it is one document."""
    shown = run("verify", *reach)
    assert shown.code == 0
    assert "SIMULATION ONLY" in shown.out
    assert "m:1 (default)" in shown.out
    assert "\x1b" not in shown.out
    said = run("verify", "--json", *reach)
    assert said.json["verified"]
    assert said.json["simulated"]
    assert said.err == ""


def test_verify_by_address(run: Run, reach: tuple[str, ...], service: PlayedService) -> None:
    """The gateway can be named without an option, too."""
    assert run("verify", reach[1], *reach[2:], "--json").json["url"] == reach[1]


def test_verify_refuses(run: Run, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A service of another policy: exit code 3, what not to do, and the reason as JSON."""
    policy = tmp_path / "other.toml"
    write_policy(policy, Published.create(now_ms()).policy)
    shown = run("verify", *reach[:2], "--policy", policy)
    assert shown.code == 3
    assert "NOT VERIFIED" in shown.out
    assert "Do not send anything there" in shown.out
    said = run("verify", "--json", *reach[:2], "--policy", policy)
    assert said.code == 3
    assert said.json["verified"] is False
    assert said.json["error"]


def test_infer(run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]) -> None:
    """Each image has its table; a warning on standard error says that it was a simulation."""
    service.script = [labelled("tabby cat", "coffee mug")]
    shown = run("infer", *photos, *reach)
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if line.endswith("(m:1)")] == [
        f"{photo}  (m:1)" for photo in photos
    ]
    assert shown.out.count("tabby cat") == 3
    assert SIMULATED in shown.err


def test_infer_as_json(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]
) -> None:
    """One document for one image, a line for each of several, and nothing on standard error."""
    service.script = [labelled("tabby cat")]
    one = run("infer", photos[0], "--json", *reach)
    assert one.json == {
        "image": photos[0],
        "model": "m:1",
        "simulated": True,
        "top": [{"index": 0, "label": "tabby cat", "score": 1.0}],
    }
    several = run("infer", *photos, "--json", *reach)
    assert [json.loads(line)["image"] for line in several.out.splitlines()] == photos
    assert one.err == several.err == ""


def test_infer_with_a_failure(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]
) -> None:
    """One image that fails does not hide the others; the exit code is that of its error."""
    service.script = [failing("invalid_input", "no picture"), labelled("tabby cat")]
    shown = run("infer", *photos, "--json", *reach)
    assert shown.code == 5
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert sum("error" in line for line in lines) == 1
    assert "error: no picture" in shown.err
    service.script = [failing("invalid_input", "no picture")]
    assert f"{photos[0]}: no picture" in run("infer", photos[0], *reach).err


def test_what_a_model_says_steers_no_terminal(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]
) -> None:
    """Neither labels nor errors of a model's owner reach the terminal as control sequences."""
    service.script = [labelled("\x1b[2Jcat[bold]")]
    assert "[2Jcat[bold]" in run("infer", photos[0], *reach).out
    service.script = [failing("crash", "bad\x1b[31m\nerror: all is well")]
    shown = run("infer", photos[0], *reach)
    assert "\x1b" not in shown.out + shown.err
    assert shown.err.splitlines()[-1] == "error: bad[31m error: all is well"


@pytest.mark.parametrize(
    ("code", "exit_code"), [(RefusalCode.NOT_OPENED, 4), (RefusalCode.EXPIRED, 6)]
)
def test_refusals(
    run: Run,
    reach: tuple[str, ...],
    service: PlayedService,
    photos: list[str],
    code: RefusalCode,
    exit_code: int,
) -> None:
    """Refusals have exit codes of their own, and no traceback."""
    service.script = [refusing(code)]
    shown = run("infer", photos[0], *reach)
    assert shown.code == exit_code
    assert shown.err.startswith(f"{photos[0]}: ")


def test_infer_what_is_not_there(run: Run, reach: tuple[str, ...]) -> None:
    """A missing file is named; so is a model that is not served."""
    absent = run("infer", "absent.jpg", *reach)
    assert (absent.code, "image absent.jpg: No such file" in absent.err) == (2, True)
    unknown = run("infer", "-m", "other", "absent.jpg", *reach)
    assert (unknown.code, "it has m:1" in unknown.err) == (5, True)


def test_receipts_that_cannot_be_kept(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]
) -> None:
    """A file that cannot be written is said before anything is asked."""
    shown = run("infer", photos[0], "--receipt", "/nowhere/receipts", *reach)
    assert shown.code == 2
    assert "/nowhere/receipts: cannot write the receipts" in shown.err
    assert service.seen == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    reach: tuple[str, ...], service: PlayedService, photos: list[str], number: int
) -> None:
    """Ctrl-C and SIGTERM end a command at once, though its requests would wait for minutes."""
    service.script = [silent]
    command = subprocess.Popen(
        sealflow("infer", *photos, "--timeout", "300", *reach),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 30
    while len(service.seen) < len(photos):
        assert time.monotonic() < until
        time.sleep(0.02)
    command.send_signal(number)
    out, err = command.communicate(timeout=20)
    assert command.returncode != 0
    assert out == ""
    assert "Traceback" not in err


def test_status(run: Run, reach: tuple[str, ...], gateway: RunningGateway) -> None:
    """A table for people, with what is missing; one document for machines."""
    shown = run("status", *reach)
    assert "not ready: no worker is ready" in " ".join(shown.out.split())
    assert str(gateway.process.pid) in shown.out
    assert run("status", "--json", *reach).json["deployment"] == "test"


GOOD: dict[str, Any] = {
    "deployment": "test",
    "ready": True,
    "reasons": [],
    "queue": {"waiting": 1, "in_work": 2, "capacity": 3},
    "components": [
        {
            "component": "engine",
            "pid": 7,
            "workers": [
                {
                    "pid": 8,
                    "ready": True,
                    "restarts": 4,
                    "cpu_s": 1.25,
                    "rss_bytes": 2**21,
                    "served": 99,
                    "in_flight": 5,
                    "models": [{"name": "m", "version": "1", "digest": "ab"}],
                }
            ],
        },
        {"component": "control", "keybroker": {"pid": 9, "ready": False}},
    ],
}


def test_status_of_a_whole_cluster(
    run: Run, tmp_path: Path, answering: Callable[[int, bytes], str]
) -> None:
    """Every process has a row: what it is, how it does, what it serves."""
    url = answering(200, json.dumps(GOOD).encode())
    shown = run("status", "--url", url, "--policy", tmp_path / "none").out
    assert "test: ready   queue: 1 waiting, 2 in work, capacity 3" in " ".join(
        shown.split(" ")
    ).replace("\n", " ")
    words = shown.split()
    for word in ("engine", "worker", "broker", "restarts", "99", "1.2", "2", "MiB", "m:1"):
        assert word in words, shown
    assert "starting" in words


def changed(**changes: Any) -> bytes:
    """A status with something else in it."""
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>hello</html>", "is no gateway (HTTP 200)"),
        (404, b"", "is no gateway (HTTP 404)"),
        (200, b"[" * 200_000, "is no gateway (HTTP 200)"),
        (
            503,
            b'{"ready":false,"error":"the broker does not answer"}',
            "the broker does not answer",
        ),
        (200, b"[]", "no status that this version knows"),
        (200, b"{}", "no status that this version knows"),
        (200, changed(components=7), "no status"),
        (200, changed(components=[7]), "no status"),
        (200, changed(components=[{"workers": [1]}]), "no status"),
        (200, changed(components=[{"workers": {"a": 1}}]), "no status"),
        (200, changed(components=[{"cpu_s": "much"}]), "no status"),
        (200, changed(components=[{"pid": "../../etc"}]), "no status"),
        (200, changed(components=[{"models": [{"name": "m"}]}]), "no status"),
        (200, changed(components=[{"keybroker": 1}]), "no status"),
        (200, changed(queue=None), "no status"),
        (200, changed(queue={"waiting": True}), "no status"),
        (200, changed(reasons=[1]), "no status"),
        (200, changed(deployment=None), "no status"),
    ],
)
def test_status_of_what_is_none(
    run: Run,
    tmp_path: Path,
    answering: Callable[[int, bytes], str],
    status: int,
    body: bytes,
    says: str,
) -> None:
    """Whatever a host answers, the command ends with one line and exit code 6."""
    done = run("status", "--url", answering(status, body), "--policy", tmp_path / "none")
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert says in done.err


def test_hostile_status(run: Run, tmp_path: Path, answering: Callable[[int, bytes], str]) -> None:
    """What a host says of itself cannot steer the terminal of who looks."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    body = changed(deployment=evil, components=[{"component": evil, "instance": evil}])
    shown = run("status", "--url", answering(200, body), "--policy", tmp_path / "none").out
    assert "\x1b" not in shown
    refused = answering(503, json.dumps({"error": evil}).encode())
    assert "\x1b" not in run("status", "--url", refused, "--policy", tmp_path / "none").err


def test_model_list(run: Run, reach: tuple[str, ...], service: PlayedService) -> None:
    """The verified models, for people and for machines."""
    words = run("model", "list", *reach).out.split()
    assert {"m:1", "yes", "BYTES", "(or"} <= set(words)
    [model] = run("model", "list", "--json", *reach).json
    assert (model["name"], model["version"]) == ("m", "1")


def test_no_cluster(run: Run, tmp_path: Path) -> None:
    """Without a cluster in the home, each command says how to start one or to name another."""
    for words in (("status",), ("verify",), ("infer", "x.jpg"), ("model", "list")):
        done = run(*words, "--home", tmp_path)
        assert done.code == 2
        assert "start one with `sealflow up`" in done.err
        assert "--url and --policy" in done.err


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 1}', '{"pid": "x", "url": "y"}'])
def test_damaged_notes_of_a_cluster(run: Run, tmp_path: Path, text: str) -> None:
    """What no running cluster wrote counts as none."""
    (tmp_path / "cluster.json").write_text(text)
    done = run("status", "--home", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no cluster runs in" in done.err


def test_absent_policy(run: Run, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A policy that is not there is named."""
    done = run("verify", *reach[:2], "--policy", tmp_path / "absent.toml")
    assert done.code == 2
    assert "absent.toml" in done.err


def test_nobody_there(run: Run, reach: tuple[str, ...]) -> None:
    """A gateway that is not there: exit code 6, and what to look at."""
    done = run("verify", "--url", "http://127.0.0.1:1", *reach[2:])
    assert done.code == 6
    assert "check that it runs (sealflow status)" in done.err


def test_options_of_the_broker_alone(run: Run, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A password without a broker is no use, and is said to be."""
    done = run("verify", *reach, "--broker-password-file", tmp_path / "x")
    assert done.code == 2
    assert "give --broker-url" in done.err


def test_bench(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str], queue: Any
) -> None:
    """The benchmark checks all answers, by either way, and ends with the headline or a document."""
    service.script = [labelled("cat")]
    shown = run("bench", "-n", 7, "-i", photos[0], *reach)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[0].startswith("Served 7 images in ")
    assert "latency by gateway: p50 " in shown.out
    for way in (("--via", "queue"), ("--via", "gateway", "--rate", "100")):
        said = run(
            "bench", "-n", 5, "-i", photos[0], "--json", *way, "--broker-url", queue.url, *reach
        )
        assert (said.json["via"], said.json["served"]) == (way[1], 5)
        assert said.err == ""


def test_bench_that_finds_wrong_answers(
    run: Run, reach: tuple[str, ...], service: PlayedService, photos: list[str]
) -> None:
    """Wrong and failed answers are shown, and the exit code is 5."""
    service.script = [
        labelled("cat"),
        labelled("cat"),
        failing("crash", "it fell"),
        labelled("cat"),
    ]
    done = run("bench", "-n", 4, "-i", photos[0], "-c", 1, *reach)
    assert done.code == 5
    assert "request 1: it fell" in done.err
    assert "1 wrong answers, 0 missing, of 4" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-n", "1"), "give -i with images or a folder of them, or --tensor"),
        (("-n", "1", "--tensor"), "--tensor needs -m with one of: m"),
        (("-n", "1", "-i", "{empty}"), "no images in"),
        (("-n", "1", "-i", "{photo}", "--via", "queue"), "give --broker-url"),
    ],
)
def test_bench_without_work(
    run: Run,
    reach: tuple[str, ...],
    service: PlayedService,
    photos: list[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    """A benchmark that was not told enough says what to add."""
    service.script = [labelled("cat")]
    empty = Path(photos[0]).parent / "empty"
    empty.mkdir()
    given = [each.format(empty=empty, photo=photos[0]) for each in arguments]
    done = run("bench", *given, *reach)
    assert done.code == 2
    assert says in done.err


def test_publish_without_a_key_broker(
    run: Run, reach: tuple[str, ...], service: PlayedService, tmp_path: Path
) -> None:
    """Publishing to a key broker that does not answer is tried, then said."""
    from tests.sim.cluster import TINY

    key = tmp_path / "owner.key"
    create_owner_key(key, World.SIMULATED)
    absent = run("model", "publish", TINY, "--owner-key", tmp_path / "absent.key", *reach)
    assert (absent.code, "absent.key" in absent.err) == (2, True)
    folder = tmp_path / "folder"
    folder.mkdir()
    empty = run("model", "publish", folder, "--owner-key", key, *reach)
    assert (empty.code, "model.toml" in empty.err) == (2, True)


def test_log_that_cannot_be_written(
    run: Run, reach: tuple[str, ...], service: PlayedService, tmp_path: Path
) -> None:
    """A log file in a folder that is not there is named, without a traceback."""
    done = run("log", "fetch", tmp_path / "absent" / "log", *reach)
    assert done.code in (2, 3)
    assert done.err.startswith("error: ")
