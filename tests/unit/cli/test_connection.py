"""How every command finds its service, and what it says where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


def test_no_cluster(run: RunCommand, tmp_path: Path) -> None:
    """Without a cluster in the home, each command says how to start one or to name another."""
    for words in (("status",), ("verify",), ("infer", "x.jpg"), ("model", "list")):
        done = run(*words, "--home", tmp_path)
        assert done.code == 2
        assert "start one with `sealflow up`" in done.err
        assert "--url and --policy" in done.err


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"pid": 1}', '{"pid": "x", "url": "y"}'])
def test_damaged_notes_of_a_cluster(run: RunCommand, tmp_path: Path, text: str) -> None:
    """What no running cluster wrote counts as none."""
    (tmp_path / "cluster.json").write_text(text)
    done = run("status", "--home", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no cluster runs in" in done.err


def test_absent_policy(run: RunCommand, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A policy that is not there is named."""
    done = run("verify", *reach[:2], "--policy", tmp_path / "absent.toml")
    assert done.code == 2
    assert "absent.toml" in done.err


def test_nobody_there(run: RunCommand, reach: tuple[str, ...]) -> None:
    """A gateway that is not there: exit code 6, and what to look at."""
    done = run("verify", "--url", "http://127.0.0.1:1", *reach[2:])
    assert done.code == 6
    assert "check that it runs (sealflow status)" in done.err


def test_options_of_the_broker_alone(
    run: RunCommand, reach: tuple[str, ...], tmp_path: Path
) -> None:
    """A password without a broker is no use, and is said to be."""
    done = run("verify", *reach, "--broker-password-file", tmp_path / "x")
    assert done.code == 2
    assert "give --broker-url" in done.err
