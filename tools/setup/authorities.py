"""Find the certificate authorities that this machine and its user trust, for pip and for uv.

Both have lists of their own, which lack a company's authority. A setting for one of them is applied
to both, together with the system's authorities. That is safe, as every file's hash is checked.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Paths of the system's authorities as one file, on different Linux distributions."""

VARIABLES = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
"""Variables that name authorities for Python, OpenSSL, pip, uv and curl."""

_BUNDLE = "authorities.pem"
_MARK = b"-----BEGIN CERTIFICATE-----"


class MissingCertificatesError(Exception):
    """A setting names a file without certificates; the message names both."""


def find(of_pip: str | None, folder: Path) -> str | None:
    """Return the path of a PEM file with all authorities, or None if there are none.

    Args:
        of_pip: The value of pip's option `cert`.
        folder: Where to write the file if the authorities come from several files.

    Raises: MissingCertificatesError when a setting names a file without certificates.
    """
    named = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    named |= {"pip's setting cert": of_pip} if of_pip and "PIP_CERT" not in named else {}
    paths: dict[Path, None] = {}
    for name, value in named.items():
        # SSL_CERT_DIR may hold several folders, separated by colons, as for OpenSSL.
        for each in value.split(":") if name == "SSL_CERT_DIR" else [value]:
            files = _files(Path(each))
            if not files and name != "SSL_CERT_DIR":
                raise MissingCertificatesError(
                    f"{name} names {each}, which holds no certificate in PEM form: correct or "
                    "unset it"
                )
            paths |= dict.fromkeys(files)
    system = next(
        (
            each
            for each in (*SYSTEM, ssl.get_default_verify_paths().openssl_cafile)
            if Path(each).is_file()
        ),
        None,
    )
    paths |= {Path(system).resolve(): None} if system else {}
    if not paths:
        return None
    if len(paths) == 1:
        return str(next(iter(paths)))
    bundle = folder / _BUNDLE
    bundle.write_bytes(b"\n".join(dict.fromkeys(path.read_bytes() for path in paths)))
    return str(bundle)


def _files(path: Path) -> list[Path]:
    """Return the files with certificates: `path` itself, or the files of that folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    whole = dict.fromkeys(each.resolve() for each in files if each.is_file())
    return [each for each in whole if _MARK in each.read_bytes()]
