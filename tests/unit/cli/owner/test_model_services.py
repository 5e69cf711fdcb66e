"""`sealflow model` and `sealflow log` where they ask a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.owner.models.owner_key import create_owner_key
from sealflow.wire.domain import TrustDomain
from tests.support.cluster.local_cluster import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.scripted_service import PlayedService
    from tests.unit.cli.conftest import Run


def test_model_list(run: Run, reach: tuple[str, ...], service: PlayedService) -> None:
    """The verified models, for people and for machines."""
    words = run("model", "list", *reach).out.split()
    assert {"m:1", "yes", "BYTES", "(or"} <= set(words)
    [model] = run("model", "list", "--json", *reach).json
    assert (model["name"], model["version"]) == ("m", "1")


def test_publish_without_a_key_broker(
    run: Run, reach: tuple[str, ...], service: PlayedService, tmp_path: Path
) -> None:
    """Publishing to a key broker that does not answer is tried, then said."""
    key = tmp_path / "owner.key"
    create_owner_key(key, TrustDomain.SIMULATED)
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
