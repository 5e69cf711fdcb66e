"""`sealflow model`: packages by their owner, and models by a service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.owner import TrustDomain, create_owner_key
from sealflow.owner.trust.pin import PinnedDirectory
from tests.support.cluster.local_cluster import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand
    from tests.support.cluster.scripted_service import ScriptedService


@pytest.fixture
def package(run: RunCommand, tmp_path: Path) -> tuple[str, ...]:
    """A packed model, with its owner's key: the package, its signer, its digest."""
    key, path = tmp_path / "owner.key", tmp_path / "tiny.sealed"
    signer = run("keys", "owner", key, "--simulated", "--json").json["signer"]
    packed = run("model", "pack", TINY, "-o", path, "--owner-key", key, "--json").json
    assert packed["bytes"] == path.stat().st_size
    return str(path), signer, packed["digest"]


def test_package(run: RunCommand, package: tuple[str, ...]) -> None:
    """Anybody can see what a package says in clear, and who signed it."""
    path, signer, digest = package
    said = run("model", "inspect", path, "--json").json
    assert (said["signer"], said["digest"], said["signature"]) == (signer, digest, "valid")
    shown = run("model", "inspect", path).out
    assert digest in "".join(shown.split())
    assert "compare it with the owner that you trust" in " ".join(shown.split())
    demanded = run("model", "inspect", path, "--signer", signer)
    assert "as demanded" in " ".join(demanded.out.split())


def test_open_outputs(run: RunCommand, tmp_path: Path) -> None:
    """Whoever packs outputs of open sizes is warned, unless replies have one length."""
    key, folder, package = tmp_path / "owner.key", tmp_path / "m", tmp_path / "m.sealed"
    run("keys", "owner", key, "--simulated")
    shutil.copytree(TINY, folder)
    recipe = (folder / "model.toml").read_text()
    for text, words in (
        (recipe, None),
        (recipe.replace("shape = [-1, 3]", "shape = [-1, -1]"), "the size of probabilities"),
        ("reply_bytes = 500\n" + recipe.replace("shape = [-1, 3]", "shape = [-1, -1]"), None),
    ):
        (folder / "model.toml").write_text(text)
        packed = run("model", "pack", folder, "-o", package, "--owner-key", key)
        assert packed.code == 0
        assert ("warning: " in packed.err) is (words is not None)
        assert (words or "") in packed.err
    shown = " ".join(run("model", "inspect", package).out.split())
    assert "reply bytes 500, always" in shown
    assert "not declared independent" in shown


def test_packages_of_others(run: RunCommand, package: tuple[str, ...], tmp_path: Path) -> None:
    """Another signer than the one demanded, and bytes that are no package, are errors."""
    other = run("model", "inspect", package[0], "--signer", "ab" * 32)
    assert other.code == 5
    assert "Traceback" not in other.err
    (tmp_path / "no.sealed").write_bytes(b"nonsense")
    nonsense = run("model", "inspect", tmp_path / "no.sealed")
    assert nonsense.code != 0
    assert nonsense.err.startswith("error: ")


def test_packing_without_a_key(run: RunCommand, tmp_path: Path) -> None:
    """A missing key says which command makes one."""
    done = run("model", "pack", TINY, "--owner-key", tmp_path / "absent.key")
    assert done.code == 2
    assert "absent.key" in done.err
    assert "sealflow" in done.err


def test_model_list(run: RunCommand, reach: tuple[str, ...], service: ScriptedService) -> None:
    """The verified models, for people and for machines."""
    words = run("model", "list", *reach).out.split()
    assert {"m:1", "yes", "BYTES", "(or"} <= set(words)
    [model] = run("model", "list", "--json", *reach).json
    assert (model["name"], model["version"]) == ("m", "1")


def test_publish_without_a_key_broker(
    run: RunCommand, reach: tuple[str, ...], service: ScriptedService, tmp_path: Path
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


def test_forgetting_an_owner(run: RunCommand, tmp_path: Path) -> None:
    """A pinned owner is forgotten by name, and the command says which one it was."""
    digest, owner = "00" * 32, "ab" * 32
    pin = PinnedDirectory(
        deployment="test",
        manifest_digest=digest,
        log_id=digest,
        version=1,
        digest=digest,
        log_number=0,
        log_digest=digest,
        owners={"m": owner, "n": owner},
    )
    (tmp_path / "client.pin").write_bytes(pin.to_bytes())
    words = ("model", "forget-owner", "m", "--policy", tmp_path / "client.toml")
    assert run(*words, "--json").json == {"name": "m", "owner": owner}
    left = PinnedDirectory.from_bytes((tmp_path / "client.pin").read_bytes())
    assert left.owners == {"n": owner}
    assert "has no owner of m" in run(*words).out
    assert owner in run("model", "forget-owner", "n", "--policy", tmp_path / "client.toml").out
