"""The extra `client` alone: the SDK, and what owners of models and data do without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import MakeEnvironment

PUBLIC = (
    "import sealflow.owner\n"
    "for name in sealflow.owner.__all__: getattr(sealflow.owner, name)\n"
    "print(len(sealflow.owner.__all__))"
)


def test_imports(make: MakeEnvironment, place: Path) -> None:
    """Every public name of the SDK imports."""
    done = make("client").python("-c", PUBLIC, cwd=place)
    assert (done.code, done.err) == (0, "")
    assert int(done.out) > 0


def test_a_model_is_packed(make: MakeEnvironment, place: Path) -> None:
    """A model owner makes keys and settings, packs a model and inspects the package, offline."""
    client = make("client")
    assert client.run("example", "tiny", "tiny", cwd=place).code == 0
    assert client.run("init", ".sealflow", cwd=place).code == 0
    packed = client.run("model", "pack", "tiny/model", "-o", "tiny.sealed", cwd=place)
    assert packed.code == 0, packed.err
    (seen,) = client.run("model", "inspect", "tiny.sealed", "--json", cwd=place).json
    assert "tiny" in str(seen)


def test_an_operators_keys(make: MakeEnvironment, place: Path) -> None:
    """The operator's desk makes keys, passwords and certificates for a release."""
    client = make("client")
    names = ("--release", "demo", "--namespace", "serving", "--kubernetes")
    done = client.run("keys", "make", "keys", *names, cwd=place)
    assert done.code == 0, done.err
    assert (place / "keys" / "keys" / "keys.yaml").is_file()


def test_policies_and_nobody_there(make: MakeEnvironment, place: Path) -> None:
    """A policy is checked, and a service that does not run is said in one sentence."""
    client = make("client")
    client.run("init", ".sealflow", cwd=place)
    done = client.run("policy", "check", ".sealflow/client.toml", "--json", cwd=place)
    assert done.code == 0, done.err
    for words in (("verify",), ("status",), ("infer", "cow.jpg"), ("bench", "-i", ".")):
        assert "no cluster runs in .sealflow" in client.run(*words, cwd=place).refusal


def test_a_cluster_is_the_servers_job(make: MakeEnvironment, place: Path) -> None:
    """`sealflow up` starts nothing here, and names the extra that it needs."""
    refusal = make("client").run("up", cwd=place).refusal
    assert refusal.endswith("run pip install 'sealflow[server]'")
    assert not (place / ".sealflow").exists()
