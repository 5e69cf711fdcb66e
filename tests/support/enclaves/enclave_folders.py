"""Places that hold what an enclave is made of."""

from __future__ import annotations

import re
import shutil
import struct
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / "deploy" / "gramine"
CONTAINERFILE = ROOT / "deploy" / "images" / "enclaves.Containerfile"


def core() -> set[str]:
    """Return what images of enclaves hold of our package: names of its files and folders."""
    copies = re.findall(r"^COPY (src/.+) \S+$", CONTAINERFILE.read_text(), re.MULTILINE)
    return {Path(source).name for line in copies for source in line.split()}


def make_enclaves(folder: Path) -> Path:
    """Make an environment with what a key broker needs, taken from the one that runs this."""
    venv.create(folder, symlinks=True, with_pip=False)
    packages = next((folder / "lib").glob("python*/site-packages"))
    site = next(Path(each) for each in sys.path if each.endswith("site-packages"))
    for pattern in ("cryptography", "dcap_qvl", "dcap_qvl-*.dist-info", "_cffi_backend.*.so"):
        for entry in site.glob(pattern):
            if entry.is_dir():
                shutil.copytree(entry, packages / entry.name)
            else:
                shutil.copy2(entry, packages)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "sealflow", packages / "sealflow", ignore=ignored)
    return folder


def make_gramine(folder: Path) -> Path:
    """Make a folder laid out like Gramine's."""
    runtime = folder / "runtime" / "glibc"
    runtime.mkdir(parents=True)
    for name in ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"):
        (runtime / name).write_bytes(name.encode())
    (folder / "libsysdb.so").write_bytes(b"libsysdb")
    return folder


def sigstruct(
    key: rsa.RSAPrivateKey,
    *,
    measurement: bytes = bytes(range(32)),
    product_id: int = 2,
    svn: int = 7,
    attributes: int = 0x04,
    mask: int = 0xFFFFFFFFFFFFFFFB,
) -> bytes:
    """Sign a SIGSTRUCT as Intel's manual has it."""
    head = bytes.fromhex("06000000e10000000000010000000000") + bytes(8)
    head += bytes.fromhex("01010000600000006000000001000000") + bytes(88)
    body = struct.pack("<II20xQQQQ", 0, 0xFFFFFFFF, attributes, 3, mask, 0xFFFFFFFFFFFFFFE4)
    body += measurement + bytes(32) + struct.pack("<HH", product_id, svn)
    signature = key.sign(head + body, PKCS1v15(), SHA256())
    numbers = key.public_key().public_numbers()
    return b"".join(
        (
            head,
            numbers.n.to_bytes(384, "little"),
            numbers.e.to_bytes(4, "little"),
            int.from_bytes(signature).to_bytes(384, "little"),
            body,
            bytes(12 + 2 * 384),
        )
    )
