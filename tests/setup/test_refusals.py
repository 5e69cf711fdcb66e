"""A set-up that cannot get its packages says why and what to do, in one sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.setup.certificates import make_certificates
from tests.setup.loopback import closed_port, index, proxy
from tests.setup.wheels import make_wheel, pin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.setup.stages import Stages

LOGIN = "joe:s3cret"


def check_refusal(stages: Stages, stage: str, sentence: str, **variables: str) -> None:
    """Run a set-up that must fail with one sentence, and without a password."""
    checkout = stages.new(stage)
    done = checkout.run("audit", **{"PIP_RETRIES": "0", **variables})
    assert done.returncode != 0
    assert done.stdout == ".venv-audit: pip-audit … \n"
    assert re.fullmatch(rf"error: [^\n]*{sentence}[^\n]*\n", done.stderr), done.stderr
    assert "s3cret" not in done.stdout + done.stderr


ALL = pytest.mark.parametrize("stage", ["pip", "pip 23.2.1", "uv"])
"""They ask the same index, and word its refusals in their own ways."""


@ALL
def test_unreachable(stage: str, stages: Stages) -> None:
    """Without a network it says which index was not reached."""
    address = closed_port()
    sentence = f"{address} was not reached: check the network"
    check_refusal(stages, stage, sentence, PIP_INDEX_URL=address)


def test_unknown_host(stages: Stages) -> None:
    """So it does for a name that nobody knows."""
    address = "https://index.invalid/simple"
    check_refusal(stages, "uv", f"{address} was not reached", PIP_INDEX_URL=address)


@pytest.mark.parametrize(
    ("stage", "status"), [("pip", 401), ("pip 23.2.1", 403), ("uv", 401), ("uv", 403)]
)
def test_refused(stage: str, status: int, stages: Stages) -> None:
    """An index that refuses the user is named without the password."""
    with index(stages.wheels, statuses={"": status}) as served:
        sentence = f"{served.address} refused access .* check the user and password"
        check_refusal(stages, stage, sentence, PIP_INDEX_URL=served.with_login(LOGIN))


@pytest.mark.parametrize(
    ("stage", "status"), [("pip", 500), ("pip 23.2.1", 500), ("uv", 503), ("uv", 429)]
)
def test_broken(stage: str, status: int, stages: Stages) -> None:
    """An index that fails itself is said to."""
    with index(stages.wheels, statuses={"": status}) as served:
        sentence = f"{served.address} answers with an error of its own"
        check_refusal(stages, stage, sentence, PIP_INDEX_URL=served.address)


@ALL
def test_lacking(stage: str, stages: Stages) -> None:
    """An index that lacks a release is said to."""
    with index(stages.wheels, statuses={"uv": 404, "lx-beta": 404}) as served:
        sentence = f"{served.address} lacks a pinned release"
        check_refusal(stages, stage, sentence, PIP_INDEX_URL=served.address)


@ALL
def test_another_file(stage: str, stages: Stages, tmp_path: Path) -> None:
    """A file that is not the pinned one is not installed."""
    make_wheel(tmp_path, "lx-alpha", "1.0", payload=b"evil")
    (uv,) = stages.wheels.glob("uv-*")
    make_wheel(tmp_path, "uv", uv.name.split("-")[1]).replace(tmp_path / uv.name)
    (beta,) = stages.wheels.glob("lx_beta-*")
    (tmp_path / beta.name).hardlink_to(beta)
    with index(tmp_path) as served:
        sentence = f"{served.address} served a file that is damaged or not the pinned one"
        check_refusal(stages, stage, sentence, PIP_INDEX_URL=served.address)


def test_a_damaged_file(stages: Stages, tmp_path: Path) -> None:
    """Nor is one that arrived damaged."""
    for path in stages.wheels.glob("lx_*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-9])
    with index(tmp_path) as served:
        sentence = f"{served.address} served a file that is damaged or not the pinned one"
        check_refusal(stages, "uv", sentence, PIP_INDEX_URL=served.address)


@ALL
def test_unknown_authority(stage: str, stages: Stages, tmp_path: Path) -> None:
    """It says where to name an authority that the machine does not know."""
    _, server = make_certificates(tmp_path)
    with index(stages.wheels, certificate=server) as served:
        sentence = f"{served.address} is signed by an authority .* SSL_CERT_FILE or PIP_CERT"
        check_refusal(stages, stage, sentence, PIP_INDEX_URL=served.address)


@ALL
def test_expired_certificate(stage: str, stages: Stages, tmp_path: Path) -> None:
    """An expired certificate is not taken for one of an unknown authority."""
    authority, server = make_certificates(tmp_path, age_days=1)
    with index(stages.wheels, certificate=server) as served:
        known = {"PIP_INDEX_URL": served.address, "SSL_CERT_FILE": str(authority)}
        check_refusal(stages, stage, f"{served.address} has expired", **known)


@pytest.mark.parametrize(
    ("stage", "scheme"), [("pip", "https"), ("pip 23.2.1", "http"), ("uv", "http"), ("uv", "https")]
)
def test_proxy_wants_a_login(stage: str, scheme: str, stages: Stages, tmp_path: Path) -> None:
    """A proxy that refuses is named, and its password is not."""
    authority, server = make_certificates(tmp_path)
    certificate = server if scheme == "https" else None
    with index(stages.wheels, certificate=certificate) as served, proxy(login="joe:x") as between:
        asked = {"PIP_INDEX_URL": served.address, "SSL_CERT_FILE": str(authority)}
        asked["PIP_PROXY"] = between.address.replace("://", f"://{LOGIN}@")
        sentence = f"the proxy {between.address} refused the connection"
        check_refusal(stages, stage, sentence, **asked)


@pytest.mark.parametrize(
    ("stage", "scheme"), [("pip", "https"), ("pip 23.2.1", "http"), ("uv", "http"), ("uv", "https")]
)
def test_no_proxy_there(stage: str, scheme: str, stages: Stages) -> None:
    """A proxy that is not there is named."""
    address = closed_port().removesuffix("/simple")
    asked = {"PIP_INDEX_URL": f"{scheme}://127.0.0.1:9/simple", "PIP_PROXY": address}
    check_refusal(stages, stage, f"the proxy {address}", **asked)


@pytest.mark.parametrize("name", ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_no_authorities(name: str, stages: Stages, tmp_path: Path) -> None:
    """A setting that names a file without certificates is named."""
    path = tmp_path / "missing.pem"
    if name == "PIP_CERT":
        path.touch()
    check_refusal(stages, "uv", f"{name} names {path}", **{name: str(path)})


def test_without_tls(stages: Stages) -> None:
    """An index without TLS on another machine is refused as pip refuses it."""
    address = "http://index.invalid/simple"
    check_refusal(stages, "pip", f"{address} is asked without TLS", PIP_INDEX_URL=address)


def test_offline(stages: Stages) -> None:
    """A setting that forbids uv the network is named."""
    check_refusal(stages, "uv", "UV_OFFLINE is set", UV_OFFLINE="1")


def test_other_machine(stages: Stages, tmp_path: Path) -> None:
    """Releases for another kind of machine are not looked for in vain."""
    wheel = make_wheel(tmp_path, "lx-alpha", "1.0")
    other = wheel.replace(tmp_path / "lx_alpha-1.0-cp311-cp311-win32.whl")
    checkout = stages.new("uv", pin(other))
    with index(tmp_path) as served:
        done = checkout.run("audit", PIP_INDEX_URL=served.address)
    assert done.returncode != 0
    assert re.fullmatch(r"error: the pinned releases do not run on this machine.*\n", done.stderr)


def test_unknown_failure(stages: Stages) -> None:
    """A failure without a sentence of its own is told in the installer's words."""
    checkout = stages.new("uv", "lx-alpha==1.0\n")
    done = checkout.run("audit")
    assert done.returncode != 0
    assert re.match(r"error: the installer stopped with:\n  .*--require-hashes", done.stderr)
    assert "Traceback" not in done.stderr
