"""The extras of the package, the lists in `requirements` and the advice in the code agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from sealflow.extras import EXTRAS

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE: Final = set(PROJECT["dependencies"])
MODULES: Final = {"apache-flink": "pyflink", "pyjwt": "jwt"}
"""Those that Python imports under another name than they are installed by."""


def extra(name: str) -> set[str]:
    """The requirements of one extra, without the versions of Python that they are for."""
    listed = PROJECT["optional-dependencies"][name]
    return {each.partition(";")[0].strip() for each in listed}


def name_of(requirement: str) -> str:
    """The name that a requirement begins with."""
    return re.split(r"[\[<>=~]", requirement)[0]


def pinned(name: str) -> set[str]:
    """The requirements of one list."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_owners() -> None:
    """An owner's list is the extra `client`, with plots and what a verifier needs."""
    assert pinned("owner") == BASE | extra("client") | extra("plot") | extra("verifier")


def test_servers() -> None:
    """Lists of host and enclaves are the extra `server`, where `up` is an owner and a client."""
    up = {"tomli-w>=1.2", "urllib3>=2.8"}
    assert pinned("host") | pinned("trusted") | up == BASE | extra("server")


def test_flink() -> None:
    """Flink's list is the extra `flink`, and neither has what opens sealed messages."""
    assert pinned("flink") == extra("flink")
    assert not {"cryptography", "dcap-qvl"} & {name_of(each) for each in extra("flink") | BASE}


def test_all() -> None:
    """The extra `all` is every other, but for Flink, which needs an environment of its own."""
    assert PROJECT["optional-dependencies"]["all"] == ["sealflow[client,server,plot,verifier]"]
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"all"}


@pytest.mark.parametrize("name", EXTRAS)
def test_advice(name: str) -> None:
    """The modules that make a command name an extra are those that the extra installs."""
    projects = {name_of(each) for each in extra(name)}
    modules = {MODULES.get(each, each.replace("-", "_")) for each in projects}
    assert set(EXTRAS[name]) == modules
