"""What a host may do to files, arguments and environment of an enclave: refused or without effect.

The key broker stands for both: it starts in a second. Each attack works where Gramine is not.
"""

from __future__ import annotations

import json
import marshal
import tomllib
from contextlib import ExitStack
from importlib.util import cache_from_source
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.wire.frames import FrameKind
from tests.support.attestation.deployments import simulated_deployment
from tests.support.enclaves.enclave_process import keybroker_boot, now_ms, worker_boot
from tests.support.enclaves.gramine_direct import (
    probing_manifest,
    replace_file,
    run_in_gramine,
    run_without_gramine,
)
from tests.support.enclaves.gramine_installation import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.enclaves.gramine_builds import SignedEnclaves
    from tests.support.enclaves.gramine_direct import ProcessResult
    from tests.support.enclaves.gramine_installation import EnclaveFolder

TAKEN_OVER = 77
ATTACK = f"import os; os._exit({TAKEN_OVER})\n"
"""Code of the host's; where it runs, the process ends with its exit code."""
HOSTILE = {
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=170",
    "HOME": "/root",
    "LD_LIBRARY_PATH": "/nowhere",
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libutil.so.1",
    "PYTHONDEVMODE": "1",
    "PYTHONINSPECT": "1",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONVERBOSE": "2",
    "SEALFLOW_TEE": "simulated",
    "SSL_CERT_FILE": "/nowhere",
}


@pytest.fixture(scope="module")
def boot() -> dict[str, Any]:
    """The first frame of a key broker of a simulated deployment."""
    made = simulated_deployment(now_ms())
    return keybroker_boot(made.deployment.to_bytes(), made.platform.to_bytes(), now_ms())


@pytest.fixture(scope="module")
def application(site: SignedEnclaves) -> Path:
    """The key broker with the simulation left in."""
    return site.simulated / "keybroker"


def unharmed(ended: ProcessResult) -> bool:
    """Whether a key broker came up, said nothing but that, and ended with its input."""
    return ended.code == 0 and [kind for kind, _ in ended.frames] == [FrameKind.READY]


def refused(ended: ProcessResult) -> bool:
    """Whether it ended by itself before it was up, without the host's code having run."""
    came_up = ended.said.startswith(b"SF") and FrameKind.READY in [k for k, _ in ended.frames]
    return ended.code not in (0, TAKEN_OVER) and not came_up


def test_unharmed(site: SignedEnclaves, application: Path, boot: dict[str, Any]) -> None:
    """Without an attack it comes up and ends in good order, with Gramine and without."""
    assert unharmed(run_in_gramine(application, boot))
    assert unharmed(run_without_gramine(site.place, boot))


def port(place: EnclaveFolder) -> Path:
    """A module of ours that every enclave imports."""
    return place.packages / "sealflow" / "trusted" / "port.py"


def bytecode(source: Path) -> Path:
    """Where the bytecode of a module lies."""
    return source.with_name("__pycache__") / cache_from_source(source.name).rpartition("/")[2]


TRUSTED: dict[str, Callable[[EnclaveFolder], Path]] = {
    "our source": port,
    "a native library": lambda place: next(
        place.packages.glob("cryptography/hazmat/bindings/_rust*.so")
    ),
    "the interpreter": lambda place: next((place.python / "bin").glob("python3*")),
    "the settings of the environment": lambda place: place.enclaves / "pyvenv.cfg",
}


@pytest.mark.parametrize("file", TRUSTED)
def test_a_changed_byte(
    site: SignedEnclaves, application: Path, boot: dict[str, Any], file: str
) -> None:
    """With one byte of a trusted file changed, or its last one gone, the enclave does not start.

    A simulated key broker hashes its own source, so that it opens that too.
    """
    path = TRUSTED[file](site.place)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    for bent in (bytes(content), path.read_bytes()[:-1]):
        with replace_file(path, bent):
            assert refused(run_in_gramine(application, boot)), file


REPLACED: dict[str, Callable[[EnclaveFolder], dict[Path, bytes | None]]] = {
    "a module": lambda place: {port(place): ATTACK.encode(), bytecode(port(place)): None},
    "a module that shadows": lambda place: {
        place.stdlib / "cryptography" / "__init__.py": ATTACK.encode()
    },
    "one of Python's": lambda place: {
        place.stdlib / "threading.py": ATTACK.encode(),
        bytecode(place.stdlib / "threading.py"): None,
    },
}


@pytest.mark.parametrize("attack", REPLACED)
def test_replaced_modules(
    site: SignedEnclaves, application: Path, boot: dict[str, Any], attack: str
) -> None:
    """Code of the host's in the place of ours runs without Gramine, and never within it."""
    with ExitStack() as stack:
        for path, content in REPLACED[attack](site.place).items():
            stack.enter_context(replace_file(path, content))
        assert run_without_gramine(site.place, boot).code == TAKEN_OVER
        assert refused(run_in_gramine(application, boot))


@pytest.mark.parametrize("content", [b"", ATTACK.encode()], ids=["damaged", "replaced"])
def test_bytecode(
    site: SignedEnclaves, application: Path, boot: dict[str, Any], content: bytes
) -> None:
    """Bytecode that is not the trusted one is passed over: the trusted source runs in its place."""
    path = bytecode(port(site.place))
    code = marshal.dumps(compile(content, "port.py", "exec"))
    with replace_file(path, path.read_bytes()[:16] + code):
        assert not unharmed(run_without_gramine(site.place, boot))
        assert unharmed(run_in_gramine(application, boot))


def test_a_swapped_library(site: SignedEnclaves, application: Path, boot: dict[str, Any]) -> None:
    """A library that is trusted under another name is not taken for the one that is asked for."""
    library = TRUSTED["a native library"](site.place)
    other = next(site.place.packages.glob("_cffi_backend*.so"))
    with replace_file(library, other.read_bytes()):
        assert refused(run_in_gramine(application, boot))


def test_a_library_in_the_place_of_a_module(
    site: SignedEnclaves, application: Path, boot: dict[str, Any]
) -> None:
    """A native library beside a module of ours goes before it, and cannot be opened."""
    suffix = next(site.place.packages.glob("_cffi_backend*.so")).name.partition(".")[2]
    with replace_file(port(site.place).with_name(f"port.{suffix}"), b"\x7fELF"):
        assert refused(run_in_gramine(application, boot))


def test_added_files_without_effect(
    site: SignedEnclaves, application: Path, boot: dict[str, Any]
) -> None:
    """What Python runs at its start, if it finds it, it does not find in an enclave."""
    added = site.place.packages / "added.pth"
    with replace_file(added, ATTACK.encode()):
        assert run_without_gramine(site.place, boot).code == TAKEN_OVER
        assert unharmed(run_in_gramine(application, boot))


def test_a_hidden_file(site: SignedEnclaves, application: Path, boot: dict[str, Any]) -> None:
    """A trusted file that the host hides is missed; Python's own spare one is trusted as well."""
    with replace_file(port(site.place), None), replace_file(bytecode(port(site.place)), None):
        assert refused(run_in_gramine(application, boot))
    with replace_file(next(site.place.stdlib.glob("lib-dynload/_hashlib.*.so")), None):
        assert unharmed(run_in_gramine(application, boot))


def hostile(tmp_path: Path) -> dict[str, str]:
    """An environment that changes what a plain Python process does."""
    package = tmp_path / "sealflow"
    package.mkdir()
    (package / "__init__.py").write_text(ATTACK)
    return {**HOSTILE, "PYTHONPATH": str(tmp_path)}


def test_environment_and_arguments(
    site: SignedEnclaves, application: Path, boot: dict[str, Any], tmp_path: Path
) -> None:
    """Neither environment nor arguments of the host's do anything, whatever they would do."""
    environment = hostile(tmp_path)
    assert unharmed(run_without_gramine(site.place, boot, environment=environment))
    assert unharmed(run_in_gramine(application, boot, "-c", ATTACK, environment=environment))


PROBE = """
import errno, json, os, resource, sys
def refusal(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
print(json.dumps({
    "argv": sys.argv,
    "environment": dict(os.environ),
    "root": os.listdir("/"),
    "opened": [refusal(open, *each) for each in OPENED],
    "fork": refusal(os.fork),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "ids": [os.getuid(), os.getgid()],
}))
"""


def test_what_an_enclave_sees(site: SignedEnclaves, tmp_path: Path) -> None:
    """Of its host an enclave has what its manifest says: nothing of its settings, no other file.

    The manifest is the one that is shipped, but for the code that looks around.
    """
    manifest = site.shipped / "keybroker.manifest"
    told = tomllib.loads(manifest.read_text())
    added = site.place.packages / "added.txt"
    trusted = bytecode(port(site.place))
    places = {
        ("/etc/passwd", "rb"): "ENOENT",
        (str(manifest), "rb"): "ENOENT",
        ("/dev/attestation/attestation_type", "rb"): "ENOENT",
        (str(added), "rb"): "EACCES",
        ("/usr/lib/x86_64-linux-gnu/libutil.so.1", "rb"): "EACCES",
        (str(trusted), "ab"): "EACCES",
        (str(site.place.packages / "new"), "wb"): "EACCES",
        (str(trusted), "rb"): None,
        ("/tmp/new", "wb"): None,  # noqa: S108 - inside the enclave
    }
    probe = probing_manifest(manifest, PROBE.replace("OPENED", repr(list(places))))
    with replace_file(added, b"of the host"):
        ended = run_in_gramine(probe, None, "argument", environment=hostile(tmp_path))
    assert ended.code == 0
    seen = json.loads(ended.said)
    assert seen["argv"] == ["-c"]
    assert seen["environment"] == told["loader"]["env"]
    assert dict(zip(places, seen["opened"], strict=True)) == places
    mounted = {mount["path"].split("/")[1] for mount in told["fs"]["mounts"]}
    assert set(seen["root"]) <= mounted | {"dev", "etc", "proc", "sys"}
    assert seen["fork"] == "EAGAIN"
    assert seen["core"] == [0, 0]
    assert seen["ids"] == [1000, 1000]


@pytest.mark.parametrize("role", ROLES)
def test_shipped_enclaves_hold_no_simulation(
    site: SignedEnclaves, role: str, boot: dict[str, Any]
) -> None:
    """As shipped, an enclave that is told to be simulated says `tee`.

    First the host has put the simulation where it would have to lie; then nobody has, as in images.
    """
    made = simulated_deployment(now_ms())
    first = {"worker": worker_boot, "keybroker": keybroker_boot}[role]
    settings = first(made.deployment.to_bytes(), made.platform.to_bytes(), now_ms())
    refusal = [(FrameKind.FATAL, b"tee")]
    ended = run_in_gramine(site.shipped / role, settings)
    assert (ended.code, ended.frames) == (1, refusal)
    ours = site.place.packages / "sealflow"
    inside = [
        *(ours / "attest" / "simulated").glob("*.py"),
        ours / "trusted/identity/simulated_quotes.py",
    ]
    assert len(inside) > 3
    with ExitStack() as stack:
        for source in inside:
            for path in (source, bytecode(source)):
                stack.enter_context(replace_file(path, None))
        ended = run_in_gramine(site.shipped / role, settings)
    assert (ended.code, ended.frames) == (1, refusal)
