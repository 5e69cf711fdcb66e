"""Core: the measurement of a simulated enclave, a hash of the files that it runs.

On hardware the processor measures the enclave. Here the enclave hashes what is installed: this
package, and the third-party packages that its role imports. Python itself, its standard library,
and the bytecode that it keeps in `__pycache__` are not measured.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sealflow
from sealflow.attest.evidence import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CORE: Final = (
    "errors.py",
    "backoff.py",
    "evidence_hints.py",
    "wire",
    "openinfer",
    "attest",
    "seal",
    "package",
    "documents",
)
_BOTH: Final = ("_cffi_backend.*.so", "cryptography", "dcap_qvl")
PACKAGES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.KEY_BROKER: _BOTH,
    Role.WORKER: (
        *_BOTH, "numpy", "numpy.libs", "onnxruntime", "openvino", "pyspng", "simplejpeg",
    ),
}  # fmt: skip
"""The entries of site-packages that a role imports."""
IMAGE_PACKAGES: Final[Mapping[Role, str]] = {
    Role.KEY_BROKER: "94602666c8076b02fcb52087f557f392a8c62bb3812754013378d077bddc3856",
    Role.WORKER: "26b4f21af3d92ef009a55352e0ec2aee6f87883bd150cf35ca5e5bea1dfd6f4c",
}
"""`packages_digest` of the image `enclaves`: Python 3.11 on x86-64, the locked list `trusted`.

A test tells the values after a change of that list.
"""
_NEVER_IMPORTED: Final = frozenset({"__pycache__", "tests"})
"""Folders that images do not have, or whose content Python makes by itself."""


def simulated_measurement(role: Role, packages: bytes | None = None) -> bytes:
    """Return the SHA-256 of all files that an enclave of a role may run.

    `packages`: the `packages_digest` of where the enclave runs; None means this installation.
    """
    package = Path(sealflow.__file__).parent
    digest = hashlib.sha256(b"SIMULATION ONLY measurement\0" + role.value.encode() + b"\0")
    for path in measured_sources(package, role):
        name, content = path.relative_to(package).as_posix().encode(), path.read_bytes()
        digest.update(len(name).to_bytes(4) + name + len(content).to_bytes(8) + content)
    digest.update(packages or packages_digest(role, site_packages(Path(sys.prefix))))
    return digest.digest()


def image_measurement(role: Role) -> bytes:
    """Return the measurement of this release in its image `enclaves`."""
    return simulated_measurement(role, bytes.fromhex(IMAGE_PACKAGES[role]))


def site_packages(environment: Path) -> Path:
    """Return the folder of an environment's packages: for this Python, or else for another one."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    own = environment / "lib" / f"python{version}" / "site-packages"
    others = sorted(environment.glob("lib/python3*/site-packages"))
    return own if own.is_dir() or not others else others[-1]


@cache
def packages_digest(role: Role, folder: Path) -> bytes:
    """Return the SHA-256 of the third-party files that a role imports; read once in a process.

    `folder`: the site-packages. What Python runs there by itself counts, too, as lines of `.pth`
    files that import something do.
    """
    digest = hashlib.sha256(b"SIMULATION ONLY packages\0")
    for path in measured_packages(folder, role):
        name = path.relative_to(folder).as_posix().encode()
        digest.update(len(name).to_bytes(4) + name + _content_digest(path))
    for path in sorted(folder.glob("*.pth")):
        for line in path.read_bytes().splitlines():
            if line.startswith((b"import ", b"import\t")):
                digest.update(b"\0pth\0" + hashlib.sha256(line).digest())
    return digest.digest()


def _content_digest(path: Path) -> bytes:
    if not path.is_file():
        # A link to a folder, or to nothing: its content is not read.
        return hashlib.sha256(b"link\0" + str(path.readlink()).encode()).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def measured_packages(folder: Path, role: Role) -> Iterator[Path]:
    """Yield the third-party files, always in the same order. `folder`: the site-packages."""
    for pattern in (*PACKAGES[role], "sitecustomize*"):
        for entry in sorted(folder.glob(pattern)):
            for path in sorted(entry.rglob("*")) if entry.is_dir() else (entry,):
                inside = path.relative_to(folder).parts[:-1]
                if _NEVER_IMPORTED.isdisjoint(inside) and (path.is_symlink() or path.is_file()):
                    yield path


def measured_sources(package: Path, role: Role) -> Iterator[Path]:
    """Yield the files, always in the same order. `package`: the folder of this package."""
    yield package / "__init__.py"
    roots = [package / name for name in _CORE]
    trusted = package / "trusted"
    roots += [*sorted(trusted.glob("*.py")), trusted / "identity", trusted / role.value]
    for root in roots:
        if root.is_dir():
            yield from sorted(root.rglob("*.py"))
        else:
            yield root
