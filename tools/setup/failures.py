"""Say in one sentence why an installation failed and what to do, from what pip or uv printed."""

from __future__ import annotations

import re

from tools.setup.package_index import without_password

_CAUSES = {
    r"No space left on device|os error 28|Disk quota exceeded|os error 122": (
        "the disk is full: free some space in {folder} and in uv's cache, then run it again; it "
        "goes on where it stopped"
    ),
    r"UnknownIssuer|CERTIFICATE_VERIFY_FAILED|invalid peer certificate|self.signed certificate": (
        "the certificate of {index} is signed by an authority that this machine does not know: "
        "add your company's authority to the system's (update-ca-certificates), or set "
        "SSL_CERT_FILE or PIP_CERT to its PEM file"
    ),
    r"\b407\b|Proxy Authentication|Cannot connect to proxy|tunnel error|proxy connect": (
        "the proxy refused the connection: check HTTPS_PROXY or PIP_PROXY, its user and password"
    ),
    r"\b(401|403)\b": (
        "{index} refused access (401 or 403): check the user and password in PIP_INDEX_URL or "
        "UV_DEFAULT_INDEX"
    ),
    r"[Hh]ash mismatch|HASHES|do not match the hashes": (
        "{index} served a file that is not the pinned one: do not trust it; ask whoever runs that "
        "index, or set PIP_INDEX_URL to another one"
    ),
    r"dns error|[Nn]ame or service not known|[Nn]ame resolution|Connection refused"
    r"|[Nn]etwork is unreachable|timed out|tcp connect error|Failed to fetch"
    r"|error sending request|Could not connect|Max retries|NewConnectionError"
    r"|network was disabled|[Cc]onnection (error|reset)": (
        "{index} was not reached: check the network, or set PIP_INDEX_URL (or UV_DEFAULT_INDEX) "
        "to an index that you can reach, and HTTPS_PROXY for a proxy"
    ),
    r"was not found in the|No matching distribution|no version of|unsatisfiable"
    r"|Could not find a version": (
        "{index} lacks a pinned release: use an index that holds all of the public one, or unset "
        "PIP_INDEX_URL"
    ),
    r"Permission denied|os error 13|Operation not permitted|Read-only file system|os error 30": (
        "{folder} or uv's cache cannot be written by this user: delete what another user left "
        "there (sudo make clean), or set UV_CACHE_DIR to a folder of your own"
    ),
}
"""What installers print, and what to say about it; the first match counts."""

KEPT_LINES = 8


def sentence(printed: str, *, index: str, folder: str) -> str:
    """Return what went wrong and what to do.

    Args:
        printed: Everything that pip or uv wrote.
        index: The package index that was asked; its password is left out.
        folder: Where it installed to.
    """
    for pattern, advice in _CAUSES.items():
        if re.search(pattern, printed):
            return advice.format(index=without_password(index), folder=folder)
    last = "\n  ".join(without_password(printed).strip().splitlines()[-KEPT_LINES:])
    return f"the installer stopped with:\n  {last}"
