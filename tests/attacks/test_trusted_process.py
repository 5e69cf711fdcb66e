"""Attacks on what a trusted process is made of and what it keeps: rows 151 to 153.

Other bytes in a package that it imports, the rights of root, a kernel that filters nothing.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sealflow
from sealflow.attest.evidence import Role
from sealflow.attest.simulated.measurement import PACKAGES
from sealflow.wire.frames import FrameKind
from tests.support.attestation.deployments import simulated_deployment
from tests.support.enclaves.enclave_process import (
    EnclaveProcess,
    keybroker_boot,
    now_ms,
    worker_boot,
)
from tests.support.enclaves.hosted_enclaves import HostedEnclaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLES = ("worker", "keybroker")
SITE = Path(sysconfig.get_path("platlib"))


@pytest.fixture(autouse=True)
def processes() -> None:
    """The tests of this file start processes, so `make mutate` leaves them out."""


@pytest.fixture(scope="module")
def site() -> Iterator[HostedEnclaves]:
    """A key broker that accepts this installation."""
    with HostedEnclaves() as made:
        yield made


def link(source: str | Path, place: str | Path) -> None:
    """Give a file another name, or copy it to another file system."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def environment(folder: Path, copied: str) -> list[str]:
    """A Python with the packages of this one, of which one is a copy; gives its command."""
    packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    home = Path(sys.executable).resolve().parent
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    ignored = shutil.ignore_patterns("__pycache__")
    own = Path(sealflow.__file__).parent
    shutil.copytree(own, packages / "sealflow", ignore=ignored)
    for path in SITE.glob("*.pth"):
        lines = [line for line in path.read_text().splitlines() if line.startswith("import ")]
        (packages / path.name).write_text("\n".join(lines))
    for pattern in (*PACKAGES[Role.WORKER], "dcap_qvl-*.dist-info"):
        for entry in SITE.glob(pattern):
            copy = shutil.copy2 if entry.name == copied else link
            if entry.is_dir():
                shutil.copytree(entry, packages / entry.name, ignore=ignored, copy_function=copy)
            else:
                copy(entry, packages / entry.name)
    return [str(folder / "bin" / "python"), "-I", "-B", "-m", "sealflow.trusted.worker"]


def packages_of(folder: Path) -> Path:
    """The site-packages of an environment."""
    return next(folder.glob("lib/python3*/site-packages"))


def change(path: Path) -> None:
    """Change the last byte of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def add_line(path: Path) -> None:
    """Add a line that does nothing to a module."""
    path.write_bytes(path.read_bytes() + b"# more\n")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte of a library": lambda packages: change(next((packages / "simplejpeg").glob("*.so"))),
    "a line of code": lambda packages: add_line(packages / "simplejpeg/__init__.py"),
    "a file more": lambda packages: (packages / "simplejpeg/more.py").write_text(""),
    "a file less": lambda packages: (packages / "simplejpeg/_jpeg.pyi").unlink(),
    "a link to a folder": lambda packages: (packages / "simplejpeg/more").symlink_to("/usr"),
    "bytecode without source": lambda packages: (packages / "simplejpeg/more.pyc").write_bytes(b""),
    "a line of a .pth file": lambda packages: (packages / "more.pth").write_text("import os"),
    "code that Python runs first": lambda packages: (packages / "sitecustomize.py").write_text(""),
}


def test_151_same_packages(site: HostedEnclaves, tmp_path: Path) -> None:
    """A worker in another folder with the same packages is approved."""
    site.start_worker(environment(tmp_path, "simplejpeg")).await_models(1)


@pytest.mark.parametrize("name", CHANGES)
def test_151_changed_package(site: HostedEnclaves, tmp_path: Path, name: str) -> None:
    """A worker gets no key where a package that it imports is not what the settings accept."""
    command = environment(tmp_path, "simplejpeg")
    CHANGES[name](packages_of(tmp_path))
    assert site.start_worker(command).await_fatal() == "not_approved"


def boot(role: str) -> dict[str, Any]:
    """The BOOT frame of a simulated deployment."""
    made = simulated_deployment(now_ms())
    make = worker_boot if role == "worker" else keybroker_boot
    return make(made.deployment.to_bytes(), made.platform.to_bytes(), now_ms())


def started(role: str) -> FrameKind:
    """What a process says first once it is confined."""
    return FrameKind.CONTROL if role == "worker" else FrameKind.READY


@pytest.mark.parametrize("role", ROLES)
def test_152_rights_of_root(role: str) -> None:
    """No thread of a trusted process keeps a right of root but that to lock its memory."""
    rights = int(Path("/proc/self/status").read_text().partition("CapPrm:")[2].split()[0], 16)
    limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY
    # With CAP_SYS_RESOURCE, the limit is lifted instead.
    kept = rights & 1 << 14 if limited and not rights >> 24 & 1 else 0
    with EnclaveProcess(role, boot(role)) as process:
        process.expect(started(role))
        for path in Path(f"/proc/{process.process.pid}/task").iterdir():
            held = dict(re.findall(r"Cap(\w+):\t(\w+)", (path / "status").read_text()))
            assert {int(held[each], 16) for each in ("Prm", "Eff")} == {kept}
            assert {int(held[each], 16) for each in ("Inh", "Amb")} == {0}
            assert os.geteuid() != 0 or int(held["Bnd"], 16) == 0


EARLIER_THREAD = """
import importlib, sys, threading
from sealflow.trusted.process import run_enclave
threading.Thread(target=threading.Event().wait, daemon=True).start()
run_enclave(importlib.import_module(sys.argv[1]).serve)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights that a thread could keep")
@pytest.mark.parametrize(
    ("role", "module"),
    [("worker", "worker.threads"), ("keybroker", "keybroker.__main__")],
)
def test_152_another_thread(role: str, module: str) -> None:
    """A process ends where a thread that it started before would keep rights of root."""
    command = [sys.executable, "-I", "-B", "-c", EARLIER_THREAD, f"sealflow.trusted.{module}"]
    with EnclaveProcess(role, boot(role), command=command) as process:
        assert process.expect(FrameKind.FATAL) == b"isolation"


WITHOUT_SECCOMP = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
said = "".join(line for line in open("/proc/self/status") if not line.startswith("Seccomp"))
user = 0 if os.geteuid() == 0 else 0x10000000
if libc.unshare(0x20000 | user) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
with open(sys.argv[1], "w") as file:
    file.write(said)
if libc.mount(sys.argv[1].encode(), f"/proc/{os.getpid()}/status".encode(), None, 4096, None):
    sys.exit(77)
number = 317 if os.uname().machine == "x86_64" else 277
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in steps))
described = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, described):
    sys.exit(77)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a program on what looks like a kernel without seccomp: its file in /proc has no line of
it, and the call is unknown. Ends with 77 where this user may not do so."""


@pytest.mark.parametrize("role", ROLES)
def test_153_kernel_without_seccomp(role: str, tmp_path: Path) -> None:
    """A kernel without seccomp is not taken for Gramine: a process ends before it asks for keys."""
    command = [sys.executable, "-I", "-c", WITHOUT_SECCOMP, str(tmp_path / "status")]
    command += [sys.executable, "-I", "-B", "-m", f"sealflow.trusted.{role}"]
    with EnclaveProcess(role, boot(role), command=command) as process:
        frame = process.receive()
        if frame is None and process.process.wait(30) == 77:
            pytest.skip("this user may not make a namespace of mounts")
        assert frame is not None
        while frame[0] is FrameKind.EVENT:
            frame = process.receive() or frame
        assert frame == (FrameKind.FATAL, b"isolation")
