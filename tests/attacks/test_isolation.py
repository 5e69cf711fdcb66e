"""Attacks on what trusted processes load, and on what they may do: rows 129 to 132.

Modules that lie where a process is started, and whoever takes over code inside of one.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.host.enclave.command import EnclaveConfig, enclave_command
from sealflow.host.enclave.relay import Relay
from sealflow.wire.frames import FrameKind
from tests.support.attestation.deployments import simulated_deployment
from tests.support.cluster.local_cluster import TINY, LocalCluster
from tests.support.enclaves.enclave_process import (
    EnclaveProcess,
    keybroker_boot,
    now_ms,
    worker_boot,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("worker", "keybroker")
SHADOWED = ("cv2", "hmac", "sitecustomize", "usercustomize", "numpy", "threading", "sealflow")
LANDLOCK = 444


@pytest.fixture(autouse=True)
def processes() -> None:
    """The tests of this file start processes, so `make mutate` leaves them out."""


def hostile_folder(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of modules that say that they ran, and where they say it."""
    folder, said = tmp_path / "hostile", tmp_path / "said"
    site = folder / ".local/lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    site.mkdir(parents=True)
    code = f"open({str(said)!r}, 'a').write(__name__ + '\\n')\nraise ImportError('hostile')\n"
    for name in SHADOWED:
        (folder / f"{name}.py").write_text(code)
        (site / f"{name}.py").write_text(code)
    line = f"import sys; open({str(said)!r}, 'a').write('pth\\n')\n"
    (site / "hostile.pth").write_text(line)
    return folder, said


def boot(role: str) -> dict[str, Any]:
    """The BOOT frame of a simulated deployment."""
    made = simulated_deployment(now_ms())
    make = worker_boot if role == "worker" else keybroker_boot
    return make(made.deployment.to_bytes(), made.platform.to_bytes(), now_ms())


@pytest.mark.parametrize("role", ROLES)
def test_129_environment(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither folder nor environment of a host process add modules to what it starts."""
    folder, said = hostile_folder(tmp_path)
    monkeypatch.chdir(folder)
    for name, value in {
        "HOME": str(folder),
        "LD_LIBRARY_PATH": str(folder),
        "PYTHONHOME": str(folder),
        "PYTHONPATH": str(folder),
        "PYTHONSTARTUP": str(folder / "hmac.py"),
        "PYTHONUSERBASE": str(folder / ".local"),
        "PYTHONINSPECT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    deployment, platform = folder / "deployment.json", folder / "platform.json"
    made = simulated_deployment(now_ms())
    deployment.write_bytes(made.deployment.to_bytes())
    platform.write_bytes(made.platform.to_bytes())
    config = EnclaveConfig(
        broker_url="unix:///nowhere",
        deployment_file=str(deployment),
        simulated_platform_file=str(platform),
    )
    relay = Relay(enclave_command(config, "worker" if role == "worker" else "keybroker"), None)
    try:
        relay.send(FrameKind.BOOT, json.dumps(boot(role)).encode())
        first = relay.receive()
        assert first is not None
        # A worker asks for the key broker's evidence first, a key broker is ready.
        assert first[0] is (FrameKind.CONTROL if role == "worker" else FrameKind.READY)
        assert Path(f"/proc/{relay.pid}/cwd").readlink() == Path("/")
    finally:
        relay.wait(10)
        relay.release()
    assert not said.exists()


def added_folder(tmp_path: Path) -> list[str]:
    """An environment of Python with a .pth file that adds a folder."""
    folder, _ = hostile_folder(tmp_path)
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(Path(sys.executable).resolve())
    home = Path(sys.executable).resolve().parent
    (environment / "pyvenv.cfg").write_text(f"home = {home}\n")
    site = environment / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "sealflow.py").unlink()
    lines = [*(each for each in sys.path if each.endswith("site-packages")), str(ROOT / "src")]
    (site / "more.pth").write_text("\n".join([*lines, str(folder)]))
    return [str(environment / "bin/python"), "-I", "-B"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "python",
    [
        lambda _: [sys.executable, "-B"],
        lambda _: [sys.executable, "-E", "-s", "-B"],
        lambda _: [sys.executable, "-P", "-B"],
        added_folder,
    ],
    ids=["as it is", "without -P", "without -E", "a .pth file"],
)
def test_129_refuses(role: str, python: Callable[[Path], list[str]], tmp_path: Path) -> None:
    """A trusted process that others could add modules to ends before it has a key."""
    command = [*python(tmp_path), "-m", f"sealflow.trusted.{role}"]
    with EnclaveProcess(role, boot(role), command=command) as process:
        assert process.expect(FrameKind.FATAL) == b"isolation"


def test_129_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that is started in a folder of hostile modules serves, and runs none of them."""
    folder, said = hostile_folder(tmp_path)
    monkeypatch.chdir(folder)
    running = LocalCluster(TINY, options=("--workers", "1"))
    try:
        with running.client() as client:
            client.infer("tiny", tensors={"x": [[1.0, 2.0, 3.0, 4.0]]})
        for pid in running.all_pids():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"-m" in words:
                assert words[1] in ((b"-I") if b"trusted" in words[-2] else (b"-P")), words
    finally:
        running.stop()
    assert not said.exists()


STARTED = re.compile(r"""["' ,\[](-m)["', ]+f?["']?sealflow\.(trusted|host)""")
SCRIPTED = ("host/settings.py",)


def test_129_commands() -> None:
    """Every command in source, images and chart that starts a process of ours isolates it."""
    found = 0
    for folder in ("src", "deploy"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".py", ".yaml", ".tpl", ".toml", ".Containerfile"):
                continue
            for line in path.read_text().splitlines():
                match = STARTED.search(line)
                if match is None or "`" in line or "python -m {program}" in line:
                    continue
                before = line[: match.start(1)]
                wanted = r"-I\b.*-B\b" if match[2] == "trusted" else r"-P\b"
                assert re.search(wanted, before), f"{path}: {line}"
                found += 1
    assert found >= 8


INSIDE = """
import ctypes, errno, importlib, json, os, socket, struct, subprocess, sys, threading
from pathlib import Path
from sealflow.trusted.process import run_enclave

entry, told, old, place = sys.argv[1:5]
said = open(told, "w")
libc = ctypes.CDLL(None, use_errno=True)
entered = importlib.import_module(entry)
real = entered.confine
go, done, earlier = threading.Event(), threading.Event(), []
ready = threading.Event()


def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "")


def fork():
    if os.fork() == 0:
        os._exit(0)


x86 = os.uname().machine == "x86_64"
ATTEMPTS = {
    "write a new file": lambda: open(place + "/new", "w"),
    "append to a file": lambda: open(old, "a"),
    "empty a file": lambda: os.open(old, os.O_RDONLY | os.O_TRUNC),
    "unnamed file": lambda: os.open(place, os.O_TMPFILE | os.O_RDWR),
    "read a file of the host": lambda: open(old).read(),
    "list a folder of the host": lambda: os.listdir(place),
    "read another's memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
    "read another's environment": lambda: open(f"/proc/{os.getppid()}/environ", "rb"),
    "remove": lambda: os.unlink(old),
    "rename": lambda: os.rename(old, old + "2"),
    "link": lambda: os.link(old, old + "3"),
    "symlink": lambda: os.symlink(old, old + "4"),
    "folder": lambda: os.mkdir(place + "/folder"),
    "pipe with a name": lambda: os.mkfifo(place + "/fifo"),
    "mode": lambda: os.chmod(old, 0o777),
    "owner": lambda: os.chown(old, os.getuid(), os.getgid()),
    "attribute": lambda: os.setxattr(old, "user.a", b"b"),
    "IP socket": lambda: socket.socket(socket.AF_INET),
    "IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "pair of sockets": lambda: socket.socketpair(),
    "another process": fork,
    "a program": lambda: subprocess.run(["/bin/true"]),
    "in its own place": lambda: os.execv("/bin/true", ["/bin/true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["/bin/true"], {}),
    "signal": lambda: os.kill(os.getppid(), 0),
    "signal to a thread": lambda: call(234 if x86 else 131, os.getppid(), os.getppid(), 0),
    "ptrace": lambda: call(101 if x86 else 117, 16, os.getppid(), 0, 0),
    "write another's memory": lambda: call(311 if x86 else 271, os.getppid(), 0, 0, 0, 0, 0),
    "io_uring": lambda: call(425, 8, 0),
    "clone3": lambda: call(435, 0, 0),
    "openat2": lambda: call(437, -100, b"/", 0, 0),
    "pidfd": lambda: call(434, os.getppid(), 0),
    "BPF": lambda: call(321 if x86 else 280, 0, 0, 0),
    "performance events": lambda: call(298 if x86 else 241, 0, 0, 0, 0, 0),
    "namespaces": lambda: call(272 if x86 else 97, 0x10000000),
    "mount": lambda: call(165 if x86 else 40, b"a", b"/", b"tmpfs", 0, 0),
    "keys of the kernel": lambda: call(250 if x86 else 219, 0, 0, 0, 0, 0),
    "shared memory": lambda: call(29 if x86 else 194, 0, 4096, 0o1600),
    "handles of files": lambda: call(304 if x86 else 265, 0, 0, 0),
    "legacy numbers": lambda: call(0x40000000 + 41, 2, 1, 0),
}
ALLOWED = {
    "a thread": lambda: threading.Thread(target=lambda: None).start(),
    "a module": lambda: __import__("sealflow.attest.amd.verify"),
    "the processor": lambda: open("/proc/cpuinfo").read(),
    "its own state": lambda: open("/proc/self/status").read(),
    "random bytes": lambda: os.urandom(32),
    "a pipe": lambda: os.pipe(),
}


def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def before():
    libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
    ready.set()
    go.wait()
    earlier.append(outcome(ATTEMPTS["IP socket"]))
    done.set()


def confine_then_try(tee):
    threading.Thread(target=before).start()
    ready.wait()
    real(tee)
    go.set()
    done.wait()
    found = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    allowed = {name: outcome(attempt) for name, attempt in ALLOWED.items()}
    later = []
    thread = threading.Thread(target=lambda: later.append(outcome(ATTEMPTS["IP socket"])))
    thread.start()
    thread.join()
    whole = {"refused": found, "allowed": allowed, "threads": earlier + later}
    whole |= {"dumpable": libc.prctl(3, 0, 0, 0, 0), "status": open("/proc/self/status").read()}
    json.dump(whole, said)
    said.close()


entered.confine = confine_then_try
run_enclave(entered.serve)
"""
"""A trusted process in which, once it is confined, somebody else's code runs."""
SERVING = {
    "worker": "sealflow.trusted.worker.threads",
    "keybroker": "sealflow.trusted.keybroker.__main__",
}
REFUSED = {"EPERM", "EACCES", "ENOSYS"}


def attempts(role: str, tmp_path: Path) -> dict[str, Any]:
    """What became of each attempt in a process that then goes on."""
    old, told = tmp_path / "old", tmp_path / "told"
    old.write_text("of the host")
    command = [sys.executable, "-I", "-B", "-c", INSIDE]
    command += [SERVING[role], str(told), str(old), str(tmp_path)]
    with EnclaveProcess(role, boot(role), command=command) as process:
        process.expect(FrameKind.CONTROL if role == "worker" else FrameKind.READY)
        found: dict[str, Any] = json.loads(told.read_text())
    assert old.read_text() == "of the host"
    assert {path.name for path in tmp_path.iterdir()} == {"old", "told"}
    return found


@pytest.mark.parametrize("role", ROLES)
def test_130_forbidden_calls(role: str, tmp_path: Path) -> None:
    """Code inside of a trusted process gets no file, socket, program or process."""
    found = attempts(role, tmp_path)
    assert {name: word for name, word in found["refused"].items() if word not in REFUSED} == {}
    assert set(found["allowed"].values()) == {"done"}
    assert found["threads"] == ["EPERM", "EPERM"]
    assert "NoNewPrivs:\t1" in found["status"]
    assert "Seccomp:\t2" in found["status"]


WITHOUT_RIGHTS = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 126}.get(__import__("os").uname().machine, 91)
assert libc.syscall(number, struct.pack("Ii", 0x20080522, 0), bytes(24)) == 0
attached = libc.ptrace(16, int(sys.argv[1]), 0, 0) == 0
try:
    open(f"/proc/{sys.argv[1]}/mem", "rb").close()
    read = True
except OSError:
    read = False
print(attached, read)
"""
"""A process of the same user, without the rights of root, that attaches to another."""


@pytest.mark.parametrize("role", ROLES)
def test_131_another_process(role: str, tmp_path: Path) -> None:
    """A process of the same user can neither trace a trusted one nor read its memory."""
    assert attempts(role, tmp_path)["dumpable"] == 0
    with EnclaveProcess(role, boot(role)) as process:
        process.expect(FrameKind.CONTROL if role == "worker" else FrameKind.READY)
        command = [sys.executable, "-I", "-c", WITHOUT_RIGHTS, str(process.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False", "False"]


def may_lock() -> bool:
    """Whether this user may lock any amount of memory: by CAP_IPC_LOCK, or by the limit."""
    rights = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    infinite = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    return infinite or bool(int(rights, 16) >> 14 & 1)


def test_132_swap(tmp_path: Path) -> None:
    """Where the limit allows it, all memory is locked, so that no key is swapped to a disk."""
    found = re.search(r"VmLck:\s+(\d+)", attempts("keybroker", tmp_path)["status"])
    assert found is not None
    assert (int(found[1]) > 10_000) is may_lock()
