"""Core: the measurement of a simulated enclave, a hash of the source files that it runs.

On hardware the processor measures the enclave. Here the enclave hashes the installed package.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sealflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.evidence import Role

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


def simulated_measurement(role: Role) -> bytes:
    """Return the SHA-256 of all source files of this package that an enclave of a role may run.

    Third-party packages are not measured: the files of a simulation are made where others may be
    installed than where it runs.
    """
    package = Path(sealflow.__file__).parent
    digest = hashlib.sha256(b"SIMULATION ONLY measurement\0" + role.value.encode() + b"\0")
    for path in measured_sources(package, role):
        name, content = path.relative_to(package).as_posix().encode(), path.read_bytes()
        digest.update(len(name).to_bytes(4) + name + len(content).to_bytes(8) + content)
    return digest.digest()


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
