"""The source of packages: settings that a user made for pip or for uv, for both of them.

A company's index, certificate authority or proxy is configured for pip on most machines, and uv
does not read that. Each program keeps its own settings and gets the other's where it has none.
Settings that have to do with anything else do not reach them: a list is installed as it is written.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tools.setup import authorities

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC = "the public package index"

_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "timeout": ("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT"),
    "retries": ("UV_HTTP_RETRIES",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "keyring-provider": ("UV_KEYRING_PROVIDER",),
}
"""Options of pip, and the variables of uv that mean the same; the first is the one to set."""

_PIP_ALONE = ("cache-dir", "no-cache-dir", "no-index")
_UV_ALONE = re.compile(
    r"UV_(INDEX_\w+|CACHE_DIR|NO_CACHE|LINK_MODE|HTTP_\w+|CONCURRENT_\w+|OFFLINE|SYSTEM_CERTS"
    r"|NATIVE_TLS|CONFIG_FILE|NO_CONFIG|NO_SYSTEM_CONFIG|CREDENTIALS_DIR|LOCK_TIMEOUT)"
)
_OTHERS = re.compile(r"(PIP|UV|PYTHON)_?[A-Z]|VIRTUAL_ENV$|CONDA_PREFIX$")
"""Variables that may change what is installed, or where."""

_PIP_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_UV_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX")
_PROXIES = tuple(
    write(f"{scheme}_proxy")
    for scheme in ("https", "http", "all")
    for write in (str.lower, str.upper)
)
"""Variables that both programs read."""

_RETRIES = "2"
"""Fewer than pip and uv make on their own: without a network they would try for ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach the user's index: environments for pip and uv, and options for uv.

    `pip_index`, `uv_index` and `proxy` are for sentences: without user and password.
    """

    pip: Mapping[str, str]
    uv: Mapping[str, str]
    uv_options: tuple[str, ...]
    pip_index: str
    uv_index: str
    proxy: str


def read_access(python: Path, folder: Path) -> Access:
    """Return how the user reaches an index.

    Args:
        python: An interpreter with pip, which is asked for its settings.
        folder: Where a file of certificate authorities may be written.

    Raises: MissingCertificatesError.
    """
    settings = _read_pip_settings(python)
    shared = {name: value for name, value in os.environ.items() if not _OTHERS.match(name)}
    shared |= _proxies(settings.get("proxy"))
    bundle = authorities.find(settings.get("cert"), folder)
    pip = shared | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_RETRIES": _RETRIES}
    pip |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | ({"PIP_CERT": bundle} if bundle else {})
    uv = shared | {"UV_NO_WRAP": "1", "UV_PREVIEW_FEATURES": "build-dependency-hashes"}
    uv |= {"UV_HTTP_RETRIES": _RETRIES} | ({"SSL_CERT_FILE": bundle} if bundle else {})
    uv |= {name: value for name, value in os.environ.items() if _UV_ALONE.fullmatch(name)}
    for option in _PIP_ALONE:
        if settings.get(option):
            pip[_variable(option)] = settings[option]
    for option, names in _NAMES.items():
        of_pip = settings.get(option, "")
        of_uv = next((os.environ[each] for each in names if os.environ.get(each)), "")
        if of_pip or of_uv:
            pip[_variable(option)] = of_pip or _for_pip(option, of_uv)
            uv[names[0]] = of_uv or _for_uv(option, of_pip)
    if uv.get("UV_INDEX"):
        # They count as one, as for pip: a hash says which file is meant, wherever it lies. With one
        # index alone this would hide why it refused.
        uv.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    no_index = settings.get("no-index", "").lower() in {"1", "true", "yes", "on", "t", "y"}
    return Access(
        pip=pip,
        uv={name: value for name, value in uv.items() if value},
        uv_options=("--no-index",) if no_index else (),
        pip_index=_named(pip, *(("PIP_FIND_LINKS",) if no_index else _PIP_INDEXES)),
        uv_index=_named(uv, *(("UV_FIND_LINKS",) if no_index else _UV_INDEXES)),
        proxy=next((_shown(shared[each]) for each in _PROXIES if shared.get(each)), ""),
    )


def without_password(text: str) -> str:
    """Return a text with the users and passwords of its addresses left out."""
    return re.sub(r"(?<=://)[^/\s]*@|[^\s/@'\"`]+:[^\s/'\"`]*@", "", text)


def _read_pip_settings(python: Path) -> dict[str, str]:
    """Return pip's settings by option, from its files and `PIP_…` variables."""
    done = subprocess.run(  # noqa: S603 - an interpreter that the project made
        # Verbose, because a user's setting `quiet` would silence the answer.
        [str(python), "-I", "-m", "pip", "-vvv", "config", "list"],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # In pip's own order of precedence: a variable before a section `install` before `global`.
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in done.stdout.splitlines():
        key, _, written = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections:
            sections[section][option.removeprefix("default-")] = str(ast.literal_eval(written))
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def _proxies(proxy: str | None) -> dict[str, str]:
    """Return the variables that both programs read for a proxy, from pip's option."""
    if not proxy:
        return {}
    address = proxy if "://" in proxy else f"http://{proxy}"
    return dict.fromkeys(_PROXIES, address)


def _variable(option: str) -> str:
    return f"PIP_{option.replace('-', '_').upper()}"


def _for_uv(option: str, value: str) -> str:
    """Return the value of an option of pip as uv writes it; empty if uv has no such value."""
    if option == "timeout":
        return value.partition(".")[0]
    if option == "keyring-provider":
        return value if value in {"disabled", "subprocess"} else ""
    if option in {"extra-index-url", "find-links"}:
        # pip ignores a folder that is not there, and uv stops at it.
        there = [each for each in value.split() if _exists(each)]
        return ("," if option == "find-links" else " ").join(there)
    return " ".join(value.split())


def _for_pip(option: str, value: str) -> str:
    """Return the value of a variable of uv as pip writes it: without names of indexes."""
    parts = value.split("," if option == "find-links" else None)
    return " ".join(re.sub(r"^[\w.-]+=(?=\S*[:/])", "", each) for each in parts)


def _exists(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).exists()
    return bool(parts.scheme) or Path(address).expanduser().exists()


def _named(environment: Mapping[str, str], index: str, *more: str) -> str:
    """Return the addresses of all indexes for a sentence."""
    addresses = [each for name in more for each in environment.get(name, "").split()]
    return " and ".join(_shown(each) for each in (environment.get(index, PUBLIC), *addresses))


def _shown(address: str) -> str:
    """Return an address for a sentence: no name, user, password or query."""
    return without_password(_for_pip("index-url", address).partition("?")[0])
