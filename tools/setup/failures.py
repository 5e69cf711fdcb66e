"""Explain why an installation failed and what to do, from the output of pip or uv."""

from __future__ import annotations

import re

from tools.setup.package_index import without_password

_CAUSES = {
    r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b|File too large": (
        "the disk is full: free some space for {folder}, for uv's cache and for temporary files "
        "(TMPDIR), then run it again; it goes on where it stopped"
    ),
    r"CertExpired|certificate has expired|NotValidForName|[Hh]ostname mismatch"
    r"|certificate not valid for name|certificate expired|certificate is not valid": (
        "the certificate of {index} has expired or was made for another name: check that address "
        "and this machine's clock"
    ),
    r"UnknownIssuer|CERTIFICATE_VERIFY_FAILED|invalid peer certificate": (
        "the certificate of {index} is signed by an authority that this machine does not know: "
        "add your company's authority to the system's (update-ca-certificates), or set "
        "SSL_CERT_FILE or PIP_CERT to its PEM file"
    ),
    r"407 Proxy|Proxy Authentication|Cannot connect to proxy|[Tt]unnel (error|connection)"
    r"|proxy authorization|ProxyError": (
        "the proxy{named} refused the connection: check HTTPS_PROXY or PIP_PROXY, its user and "
        "password"
    ),
    r"\b40[13] (Unauthorized|Forbidden|Client Error|Error)": (
        "{index} refused access (401 or 403): check the user and password in PIP_INDEX_URL or "
        "UV_DEFAULT_INDEX"
    ),
    r"[Hh]ash mismatch|MATCH THE HASHES|Failed to extract|[Nn]ot a zip file|BadZipFile|Bad CRC": (
        "{index} served a file that is damaged or not the pinned one: do not trust it; ask whoever "
        "runs that index, or set PIP_INDEX_URL to another one"
    ),
    r"\b5\d\d (Internal|Server|Bad|Service|Gateway)|too many 5\d\d error|\b429 (Too|Client)": (
        "{index} answers with an error of its own: run it again later, or set PIP_INDEX_URL to "
        "another index"
    ),
    r"not a trusted or secure host": (
        "{index} is asked without TLS, which pip refuses: use an address with https, or set "
        "PIP_TRUSTED_HOST to the name of its host"
    ),
    r"[Nn]etwork connectivity is disabled|network was disabled": (
        "UV_OFFLINE is set, and uv's cache lacks a pinned release: unset it and run this again"
    ),
    r"dns error|Name or service not known|name resolution|Failed to resolve|Connection refused"
    r"|[Nn]etwork is unreachable|No route to host|timed out|tcp connect error|connection error"
    r"|error sending request|error decoding response|Max retries|NewConnectionError"
    r"|Connection (reset|aborted|broken)|IncompleteRead": (
        "{index} was not reached{through}: check the network, or set PIP_INDEX_URL (or "
        "UV_DEFAULT_INDEX) to an index that you can reach, and HTTPS_PROXY for a proxy"
    ),
    r"no wheels with a matching|not a supported wheel": (
        "the pinned releases do not run on this machine: they need Linux with glibc, on x86-64 or "
        "ARM64"
    ),
    r"was not found in|No matching distribution|no version of|Could not find a version": (
        "{index} lacks a pinned release: use an index that holds all of the public one, check its "
        "address, user and password, and that no setting hides new releases (exclude-newer)"
    ),
    r"Permission denied|os error 13\b|not permitted|Read-only file system|os error 30\b": (
        "{folder} or uv's cache cannot be written by this user: delete what another user left "
        "there (sudo make clean), use a checkout of your own, or set UV_CACHE_DIR to a folder of "
        "your own"
    ),
}
"""Patterns of installers' output, and the explanation of each; the first match counts."""

_KEPT_LINES = 8


def sentence(printed: str, *, index: str, folder: str, proxy: str = "") -> str:
    """Return one sentence with the cause and what to do, or the last lines of unknown output.

    Args:
        printed: The whole output of pip or uv.
        index: The name of the package index, for the sentence.
        folder: The folder of the environment.
        proxy: The address of the proxy; empty for none.
    """
    named = f" {proxy}" if proxy else ""
    through = f" through the proxy {proxy}" if proxy else ""
    for pattern, advice in _CAUSES.items():
        if re.search(pattern, printed):
            return advice.format(index=index, folder=folder, named=named, through=through)
    lines = without_password(printed).strip().splitlines()
    told = [each for each in lines if re.match(r"error|ERROR| +cause", each)]
    if not told or told[-1].endswith("Exception:"):
        told = lines  # the last ones give the reason
    return "\n  ".join(["the installer stopped with:", *told[-_KEPT_LINES:]])
