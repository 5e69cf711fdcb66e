"""Translate a user's settings of pip into settings of uv, which does not read them.

A company's index, certificate authority or proxy is configured for pip on most machines. A setting
of uv's own (`UV_…`, `SSL_CERT_FILE`) takes precedence over pip's.
"""

from __future__ import annotations

import ast
import os
import re
import ssl
import subprocess
from pathlib import Path

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where Linux distributions keep the system's certificate authorities as one file."""

_UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": ("UV_NO_INDEX",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "proxy": ("ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"),
}
"""pip's options, and for each uv's variable followed by other variables that also set it."""

_LISTS = {"find-links": ",", "extra-index-url": " ", "trusted-host": " "}
"""Options that take several values, and what separates them in uv's variable."""


def system_certificates() -> str | None:
    """Return the file of the system's certificate authorities, or None if there is none."""
    defaults = ssl.get_default_verify_paths()
    candidates = (os.environ.get("SSL_CERT_FILE"), defaults.cafile, *BUNDLES)
    return next((each for each in candidates if each and Path(each).is_file()), None)


def pip_environment() -> dict[str, str]:
    """Return the environment for pip: the user's own, and the system's authorities.

    Older releases of pip know only the authorities that they bring along.
    """
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    bundle = system_certificates()
    if bundle and "PIP_CERT" not in os.environ:
        environment["PIP_CERT"] = bundle
    return environment


def uv_environment(python: Path) -> dict[str, str]:
    """Return the environment for uv: the user's own, and what pip is configured with.

    Args:
        python: An interpreter with pip, which is asked for its settings.
    """
    environment = dict(os.environ)
    for option, value in read_pip_settings(python).items():
        names = _UV_NAMES.get(option, ())
        if names and not any(name in os.environ for name in names):
            environment[names[0]] = value
    # Several indexes count as one, as for pip: a hash says which file is meant, wherever it lies.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    # The system's authorities, unless there are none: then uv's own are better than nothing.
    if system_certificates() and not os.environ.keys() & {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"}:
        environment["UV_SYSTEM_CERTS"] = "true"
    return environment


def read_pip_settings(python: Path) -> dict[str, str]:
    """Return pip's settings by option, from its files and `PIP_…` variables."""
    done = subprocess.run(  # noqa: S603 - an interpreter that the project made or was given
        [str(python), "-m", "pip", "config", "list"],
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
            sections[section][option] = str(ast.literal_eval(written))
    merged = {**sections["global"], **sections["install"], **sections[":env:"]}
    return {option: _joined(option, value) for option, value in merged.items()}


def without_password(text: str) -> str:
    """Return a text with the user names and passwords of its addresses left out."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def _joined(option: str, value: str) -> str:
    if option == "no-index":
        return "true" if value.lower() in {"1", "true", "yes", "on"} else "false"
    separator = _LISTS.get(option)
    if separator is None:
        return value
    return separator.join(each for each in value.split() if _exists(each))


def _exists(address: str) -> bool:
    """Say whether a local index or folder is there; pip ignores one that is not, uv stops at it."""
    return not address.startswith("file:") or Path(address.removeprefix("file://")).is_dir()
