"""Install this machine's additional certificate authorities in a fresh system."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tools.setup import authorities
from tools.setup.installer import TOOLS

if TYPE_CHECKING:
    from tools.newcomer.fresh_root import FreshRoot

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def install(root: FreshRoot, log: Path) -> None:
    """Add authorities that the system lacks, with `update-ca-certificates`.

    A company's TLS proxy is then trusted there too.

    Raises: SubprocessError when `update-ca-certificates` fails; MissingCertificatesError when a
    setting of this machine names a file without certificates.
    """
    ours, theirs = authorities.find(None, TOOLS), root.folder / _BUNDLE
    if ours is None or not theirs.exists():
        return
    extra = lacking(Path(ours).read_text(encoding="utf-8"), theirs.read_text(encoding="utf-8"))
    folder = root.folder / "usr/local/share/ca-certificates"
    folder.mkdir(parents=True, exist_ok=True)
    for number, certificate in enumerate(extra):
        (folder / f"host-{number}.crt").write_text(f"{certificate}\n", encoding="utf-8")
    if extra and root.run("update-ca-certificates", log=log):
        raise subprocess.SubprocessError("update-ca-certificates failed")


def lacking(ours: str, theirs: str) -> list[str]:
    """Return the certificates in the bundle `ours` that are not in `theirs`, as PEM."""
    known = {_body(each) for each in _PEM.findall(theirs)}
    return [each for each in _PEM.findall(ours) if _body(each) not in known]


def _body(certificate: str) -> str:
    return "".join(certificate.split())
