"""A company's index, authority or proxy, set for pip or for uv, serves the whole set-up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.setup.certificates import make_certificates
from tests.setup.checkout import Checkout, installed
from tests.setup.loopback import closed_port, index, proxy
from tests.setup.wheels import make_wheel

if TYPE_CHECKING:
    from tests.setup.stages import Stages

LISTED = {"lx-alpha": "1.0", "lx-beta": "1.0"}
UNSHARED = ("unshare", "--user", "--map-root-user", "--mount")
SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


def check_success(checkout: Checkout, **variables: str) -> None:
    """Run a set-up that must install the list and print its step alone."""
    done = checkout.run("audit", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(".venv-audit: pip-audit … done in ")
    assert done.stdout.count("\n") == 1
    assert installed(checkout.root / ".venv-audit") == LISTED


def configure_pip(folder: Path, **options: str) -> str:
    """Write a pip.conf; what this machine's own one says is set back."""
    options = {"extra-index-url": "", "find-links": "", "proxy": "", **options}
    path = folder / "pip.conf"
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in options.items()]
    path.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
    return str(path)


def test_login(stages: Stages) -> None:
    """A user and a password in the address of an index are used."""
    with index(stages.wheels, login="joe:s3cret") as served:
        check_success(stages.new("pip"), PIP_INDEX_URL=served.with_login("joe:s3cret"))


def test_pip_conf(stages: Stages, tmp_path: Path) -> None:
    """What pip's own file says counts: index, authority and proxy."""
    authority, server = make_certificates(tmp_path)
    with index(stages.wheels, certificate=server) as served, proxy() as between:
        path = configure_pip(
            tmp_path, index_url=served.address, cert=str(authority), proxy=between.address
        )
        check_success(stages.new("pip"), PIP_CONFIG_FILE=path)
        assert set(between.asked) == {served.address.split("/")[2]}


@pytest.mark.parametrize("name", ["PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"])
def test_authority(name: str, stages: Stages, tmp_path: Path) -> None:
    """An authority that is named for one program is known to all."""
    authority, server = make_certificates(tmp_path)
    server = server.rename(stages.new("start").home / server.name)
    value = tmp_path if name == "SSL_CERT_DIR" else authority
    with index(stages.wheels, certificate=server) as served:
        check_success(stages.new("pip"), PIP_INDEX_URL=served.address, **{name: str(value)})


def test_two_authorities(stages: Stages, tmp_path: Path) -> None:
    """One that is named does not hide another one that is named, too."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for each in folders:
        each.mkdir()
    (first, server), (second, _) = map(make_certificates, folders)
    named = {"PIP_CERT": str(first), "SSL_CERT_FILE": str(second)}
    with index(stages.wheels, certificate=server) as served:
        check_success(stages.new("uv"), PIP_INDEX_URL=served.address, **named)


def test_system_authority(stages: Stages, tmp_path: Path) -> None:
    """An authority that was added to the system's is known without any setting."""
    if not Path(SYSTEM).exists() or subprocess.run([*UNSHARED, "true"], check=False).returncode:
        pytest.skip("no system authorities, or no mounts of its own for a process")
    authority, server = make_certificates(tmp_path)
    checkout = stages.new("pip")
    with index(stages.wheels, certificate=server) as served:
        script = f"mount --bind {authority} {SYSTEM} && exec {' '.join(checkout.command('audit'))}"
        done = subprocess.run(
            [*UNSHARED, "sh", "-c", script],
            cwd=checkout.root,
            env=checkout.environment(PIP_INDEX_URL=served.address),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert installed(checkout.root / ".venv-audit") == LISTED


def test_proxy(stages: Stages) -> None:
    """A proxy with a login is asked for everything; its scheme may be left out, as for pip."""
    with index(stages.wheels) as served, proxy(login="joe:s3cret") as between:
        value = f"joe:s3cret@{between.address.removeprefix('http://')}"
        check_success(stages.new("pip"), PIP_INDEX_URL=served.address, PIP_PROXY=value)
        assert set(between.asked) >= set(map(f"{served.address}/{{}}/".format, LISTED))


def test_proxy_of_the_environment(stages: Stages, tmp_path: Path) -> None:
    """So is one that is set for all programs, but for hosts that it is not meant for."""
    authority, server = make_certificates(tmp_path)
    with index(stages.wheels, certificate=server) as served, proxy() as between:
        asked = {"PIP_INDEX_URL": served.address, "SSL_CERT_FILE": str(authority)}
        asked["HTTPS_PROXY"] = between.address
        check_success(stages.new("uv"), **asked)
        assert between.asked
        between.asked.clear()
        check_success(stages.new("uv"), NO_PROXY="127.0.0.1,localhost", **asked)
        assert between.asked == []


def test_uv_index_alone(stages: Stages) -> None:
    """An index that is set for uv serves the step of pip, too; its name is none of pip's."""
    with index(stages.wheels) as served:
        check_success(stages.new("pip"), UV_DEFAULT_INDEX=f"own={served.address}")


def test_uv_index_first(stages: Stages) -> None:
    """Uv's own setting counts before pip's for uv."""
    with index(stages.wheels) as served:
        own = {"UV_DEFAULT_INDEX": served.address, "PIP_INDEX_URL": closed_port()}
        check_success(stages.new("uv"), **own)


@pytest.mark.parametrize("name", ["PIP_EXTRA_INDEX_URL", "UV_INDEX"])
def test_second_index(name: str, stages: Stages, tmp_path: Path) -> None:
    """A release may lie on any of several indexes, where others lack it or have a newer one."""
    make_wheel(tmp_path, "lx-beta", "2.0")
    with index(tmp_path) as first, index(stages.wheels) as second:
        asked = {"PIP_INDEX_URL": second.address, name: first.address}
        check_success(stages.new("uv"), **asked)
        asked = {"PIP_INDEX_URL": first.address, name: second.address}
        check_success(stages.new("pip"), **asked)


def test_folder(stages: Stages, tmp_path: Path) -> None:
    """A folder of files serves in place of an index; one that is not there is passed over."""
    folders = f"{tmp_path / 'missing'} file://{tmp_path}/none {stages.wheels}"
    check_success(stages.new("pip"), PIP_NO_INDEX="1", PIP_FIND_LINKS=folders)


def test_file_index(stages: Stages, tmp_path: Path) -> None:
    """An index may be a folder of pages."""
    for path in stages.wheels.glob("*.whl"):
        folder = tmp_path / path.name.split("-")[0].replace("_", "-")
        folder.mkdir()
        shutil.copyfile(path, folder / path.name)
        page = f'<!DOCTYPE html><a href="{path.name}">{path.name}</a>'
        (folder / "index.html").write_text(page, encoding="utf-8")
    check_success(stages.new("pip"), PIP_INDEX_URL=tmp_path.as_uri())


def test_other_settings(stages: Stages, tmp_path: Path) -> None:
    """Settings that are about something else do not change what is installed, nor where."""
    pinned = tmp_path / "constraints.txt"
    pinned.write_text("uv<0.1\nlx-alpha==0.1\n", encoding="utf-8")
    (tmp_path / "uv-0.13.9.dist-info").mkdir()
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')\n", encoding="utf-8")
    target = str(tmp_path / "target")
    path = configure_pip(
        tmp_path, user="yes", constraint=str(pinned), no_binary=":all:", quiet="2", timeout="9.5"
    )
    with index(stages.wheels) as served:
        check_success(
            stages.new("pip"),
            PIP_INDEX_URL=served.address,
            PIP_CONFIG_FILE=path,
            PIP_TARGET=target,
            PIP_DRY_RUN="1",
            PIP_ONLY_BINARY="none",
            PYTHONPATH=str(tmp_path),
            VIRTUAL_ENV=target,
            UV_CONSTRAINT=str(pinned),
            UV_EXCLUDE_NEWER="2001-01-01",
            UV_NO_BINARY="1",
            UV_PYTHON="3.8",
            UV_SYSTEM_PYTHON="1",
        )
