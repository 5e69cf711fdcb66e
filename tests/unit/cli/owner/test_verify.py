"""`sealflow verify`: what it proves of a service, and how loudly it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.published_service import PublishedService
from tests.support.cluster.scripted_service import ScriptedService, now_ms

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


def test_verify(run: RunCommand, reach: tuple[str, ...], service: ScriptedService) -> None:
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


def test_verify_by_address(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService
) -> None:
    """The gateway can be named without an option, too."""
    assert run("verify", reach[1], *reach[2:], "--json").json["url"] == reach[1]


def test_verify_refuses(run: RunCommand, reach: tuple[str, ...], tmp_path: Path) -> None:
    """A service of another policy: exit code 3, what not to do, and the reason as JSON."""
    policy = tmp_path / "other.toml"
    write_policy(policy, PublishedService.create(now_ms()).policy)
    shown = run("verify", *reach[:2], "--policy", policy)
    assert shown.code == 3
    assert "NOT VERIFIED" in shown.out
    assert "Do not send anything there" in shown.out
    said = run("verify", "--json", *reach[:2], "--policy", policy)
    assert said.code == 3
    assert said.json["verified"] is False
    assert said.json["error"]
