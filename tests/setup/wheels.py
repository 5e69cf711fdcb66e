"""Small wheels that a test makes, and lists that pin them."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    payload: bytes = b"",
) -> Path:
    """Write a wheel with one module, a command of the same name, and what it asks for."""
    module = name.replace("-", "_")
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {each}" for each in extras]
    metadata += [f"Requires-Dist: {each}" for each in requires]
    about = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f"def main():\n    print({version!r})\n".encode(),
        f"{module}.bin": payload,
        f"{about}/METADATA": "\n".join([*metadata, ""]).encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n".encode(),
    }
    files[f"{about}/RECORD"] = "".join(f"{each},,\n" for each in files).encode()
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return path


def pin(path: Path, extras: str = "") -> str:
    """Return the entry of a list for a wheel, such as `name[extras]==1`, and its hash."""
    name, version = path.name.split("-")[:2]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name.replace('_', '-')}{extras}=={version} \\\n    --hash=sha256:{digest}\n"
