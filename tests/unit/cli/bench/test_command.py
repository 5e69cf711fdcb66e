"""`sealflow bench`: it checks what it measures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster.scripted_service import ScriptedService, failing, labelled

if TYPE_CHECKING:
    from tests.support.cluster.command_line import RunCommand


def test_bench(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str], queue: Any
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
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, photos: list[str]
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
    run: RunCommand,
    reach: tuple[str, ...],
    service: ScriptedService,
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
