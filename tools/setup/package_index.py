"""The source of packages: settings that a user made for pip or for uv, for both of them.

On most machines, a company's index, certificate authority or proxy is configured for pip, and uv
does not read pip's settings. Each program keeps its own settings and gets the other's where it has
none. All other settings are kept from both, so that a list is installed exactly as it is written.
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
"""Options of pip, with uv's variables of the same meaning; the first of these is set."""

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
"""Fewer than the defaults of pip and uv, which try for 10 s without a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Settings for reaching the user's index: environment variables for pip and uv, uv's options.

    `pip_index`, `uv_index` and `proxy` are addresses for messages: without user and password.
    """

    pip: Mapping[str, str]
    uv: Mapping[str, str]
    uv_options: tuple[str, ...]
    pip_index: str
    uv_index: str
    proxy: str


def read_access(python: Path, folder: Path) -> Access:
    """Return this user's settings for reaching a package index.

    Args:
        python: An interpreter with pip, to read pip's settings.
        folder: Where a file of certificate authorities may be written.

    Raises: MissingCertificatesError when a setting names a file without certificates.
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
        # All indexes count as one, as for pip: a release's hash is the same in each. With a single
        # index, this strategy would hide the reason for a refusal.
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
    """Return a text without the users and passwords in its addresses."""
    return re.sub(r"(?<=://)[^/\s]*@|[^\s/@'\"`]+:[^\s/'\"`]*@", "", text)


def _read_pip_settings(python: Path) -> dict[str, str]:
    """Return pip's settings by option, from its files and its `PIP_…` variables."""
    done = subprocess.run(  # noqa: S603 - an interpreter that the project made
        # Verbose, because a user's setting `quiet` would suppress the output.
        [str(python), "-I", "-m", "pip", "-vvv", "config", "list"],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # In pip's order of precedence: variables, then the section `install`, then `global`.
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in done.stdout.splitlines():
        key, _, written = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections:
            sections[section][option.removeprefix("default-")] = str(ast.literal_eval(written))
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def _proxies(proxy: str | None) -> dict[str, str]:
    """Return pip's option `proxy` as the variables that both programs read."""
    if not proxy:
        return {}
    address = proxy if "://" in proxy else f"http://{proxy}"
    return dict.fromkeys(_PROXIES, address)


def _variable(option: str) -> str:
    return f"PIP_{option.replace('-', '_').upper()}"


def _for_uv(option: str, value: str) -> str:
    """Return the value of a pip option in uv's form; empty if uv has no such value."""
    if option == "timeout":
        return value.partition(".")[0]
    if option == "keyring-provider":
        return value if value in {"disabled", "subprocess"} else ""
    if option in {"extra-index-url", "find-links"}:
        # pip ignores a folder that does not exist; uv fails.
        there = [each for each in value.split() if _exists(each)]
        return ("," if option == "find-links" else " ").join(there)
    return " ".join(value.split())


def _for_pip(option: str, value: str) -> str:
    """Return the value of a uv variable in pip's form: without names of indexes."""
    parts = value.split("," if option == "find-links" else None)
    return " ".join(re.sub(r"^[\w.-]+=(?=\S*[:/])", "", each) for each in parts)


def _exists(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).exists()
    return bool(parts.scheme) or Path(address).expanduser().exists()


def _named(environment: Mapping[str, str], index: str, *more: str) -> str:
    """Return the addresses of all indexes, for a message."""
    addresses = [each for name in more for each in environment.get(name, "").split()]
    return " and ".join(_shown(each) for each in (environment.get(index, PUBLIC), *addresses))


def _shown(address: str) -> str:
    """Return an address for a message: without name, user, password and query."""
    return without_password(_for_pip("index-url", address).partition("?")[0])
