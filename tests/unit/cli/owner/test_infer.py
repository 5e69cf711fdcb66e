"""`sealflow infer`: tables, documents, failures of some images, and an end at any time."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import RefusalCode
from tests.support.cluster.local_cluster import sealflow
from tests.support.cluster.scripted_service import (
    ScriptedService,
    failing,
    labelled,
    refusing,
    silent,
)

if TYPE_CHECKING:
    from tests.support.cluster.command_line import RunCommand

SIMULATED = "SIMULATED"


def test_infer(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
) -> None:
    """Each image has its table; a warning on standard error says that it was a simulation."""
    service.script = [labelled("tabby cat", "coffee mug")]
    shown = run("infer", *photos, *reach)
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if line.endswith("(m:1)")] == [
        f"{photo}  (m:1)" for photo in photos
    ]
    assert shown.out.count("tabby cat") == 3
    assert SIMULATED in shown.err


def test_sharing_needs_the_policy(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
) -> None:
    """Without the policy's word nothing that could share a batch is sent; the error says so."""
    refused = run("infer", photos[0], "--share-batch", *reach)
    assert refused.code == 2
    assert "add share_batch = true" in refused.err


def test_infer_as_json(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
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
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
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
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
) -> None:
    """Neither labels nor errors of a model's owner reach the terminal as control sequences."""
    service.script = [labelled("\x1b[2Jcat[bold]")]
    assert "[2Jcat[bold]" in run("infer", photos[0], *reach).out
    service.script = [failing("crash", "bad\x1b[31m\nerror: all is well")]
    shown = run("infer", photos[0], *reach)
    assert "\x1b" not in shown.out + shown.err
    assert shown.err.splitlines()[-2] == "error: bad [31m error: all is well"


@pytest.mark.parametrize(
    ("code", "exit_code"), [(RefusalCode.NOT_OPENED, 4), (RefusalCode.EXPIRED, 6)]
)
def test_refusals(
    run: RunCommand,
    reach: tuple[str, ...],
    service: ScriptedService,
    photos: list[str],
    code: RefusalCode,
    exit_code: int,
) -> None:
    """Refusals have exit codes of their own, and no traceback."""
    service.script = [refusing(code)]
    shown = run("infer", photos[0], *reach)
    assert shown.code == exit_code
    assert shown.err.startswith(f"{photos[0]}: ")


def test_infer_what_is_not_there(run: RunCommand, reach: tuple[str, ...]) -> None:
    """A missing file is named; so is a model that is not served."""
    absent = run("infer", "absent.jpg", *reach)
    assert (absent.code, "image absent.jpg: No such file" in absent.err) == (2, True)
    unknown = run("infer", "-m", "other", "absent.jpg", *reach)
    assert (unknown.code, "which has m:1" in unknown.err) == (5, True)


def test_receipts_that_cannot_be_kept(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
) -> None:
    """A file that cannot be written is said before anything is asked."""
    shown = run("infer", photos[0], "--receipt", "/nowhere/receipts", *reach)
    assert shown.code == 2
    assert "/nowhere/receipts: cannot write the receipts" in shown.err
    assert service.seen == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    reach: tuple[str, ...], service: ScriptedService, photos: list[str], number: int
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
