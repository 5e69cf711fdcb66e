"""Make fresh minimal Debian or Ubuntu systems in folders, and run commands in them.

Each command has mount and PID namespaces of its own. The kernel removes its mounts and processes
when it ends, for any reason, so that only the folder remains.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "newcomer"
HOME = f"/home/{USER}"
KEPT_DAYS = 30
"""Days after which a cached system is made again, with the suite's newer packages."""
COMMAND_S = 5400
"""Limit for one command in seconds."""

_INSIDE = """\
set -eu
root=$1; shift
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
code=0
setsid --wait chroot "$@" || code=$?
exit $code
"""
"""Shell script that starts a command. The shell stays, as the first process of a PID namespace must
reap the orphans of the others.

The command leads a process group, as programs expect to find the id of their group.
"""

_UNSHARE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child")
_COMPONENTS = {"noble": "main,universe"}
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USER_PATH = "/usr/local/bin:/usr/bin:/bin"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_INDEXES = ("PIP_INDEX_URL", "PIP_PROXY", "UV_DEFAULT_INDEX")


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """A fresh system; `folder`: its root folder."""

    folder: Path

    def run(self, *command: str, log: Path, directory: str = "") -> int:
        """Run a command in the system and return its exit status.

        Args:
            command: A program and its arguments.
            log: The file to which its output is appended.
            directory: A folder below the user's home, such as `.`, in which the command runs as
                that user. Without one, it runs as root in `/`.

        Raises: TimeoutExpired after `COMMAND_S`.
        """
        user = [f"--userspec={USER}:{USER}"] if directory else []
        variables = _variables(_USER_PATH if directory else _ROOT_PATH)
        variables |= {"HOME": HOME, "USER": USER} if directory else {"HOME": "/"}
        variables |= {} if directory else {"DEBIAN_FRONTEND": "noninteractive"}
        words = [f"{name}={value}" for name, value in variables.items()]
        start = ["sh", "-c", 'cd "$0" && exec "$@"', f"{HOME}/{directory}" if directory else "/"]
        entered = ["sh", "-c", _INSIDE, "sh", str(self.folder), *user, str(self.folder)]
        inner = ["env", "-i", *words, *start, *command]
        with log.open("ab") as output:
            output.write(f"\n$ {' '.join(command)}\n".encode())
            output.flush()
            return subprocess.run(  # noqa: S603 - the commands of README
                [*_UNSHARE, *entered, *inner],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=COMMAND_S,
            ).returncode


def ensure_tar(suite: str, cache: Path) -> Path:
    """Return the tar of a suite's minimal system, made with mmdebstrap at most 30 days ago.

    Raises: CalledProcessError when apt-get or mmdebstrap fails; they print the reason.
    """
    tar = cache / f"{suite}.tar"
    if tar.exists() and time.time() - tar.stat().st_mtime < KEPT_DAYS * 86400:
        return tar
    if shutil.which("mmdebstrap") is None:
        for step in (("update", "-qq"), ("install", "-y", "-qq", "mmdebstrap")):
            subprocess.run(["apt-get", *step], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
    part = cache / f"{suite}.part.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=apt"]
    command += [f"--components={_COMPONENTS.get(suite, 'main')}"]
    # A mirror may be out of date. Its signatures are checked, and the option is not stored in the
    # system.
    command += ['--aptopt=Acquire::Check-Valid-Until "false"', suite, str(part)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
    part.replace(tar)
    return tar


@contextmanager
def unpacked(tar: Path) -> Iterator[FreshRoot]:
    """Unpack a system beside its tar, with a user and this machine's network settings.

    The folder is removed at the end.

    Raises: CalledProcessError when tar or useradd fails.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{tar.stem}-", dir=tar.parent))
    try:
        folder.chmod(0o755)
        subprocess.run(  # noqa: S603 - our own tar
            ("tar", "--extract", "--numeric-owner", "--file", tar, "--directory", folder),  # noqa: S607
            check=True,
        )
        for name in ("resolv.conf", "hosts"):
            (folder / "etc" / name).unlink(missing_ok=True)
            shutil.copyfile(Path("/etc", name), folder / "etc" / name)
        subprocess.run(  # noqa: S603
            ("chroot", folder, "useradd", "--create-home", "--shell", "/bin/sh", USER),  # noqa: S607
            check=True,
        )
        yield FreshRoot(folder)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a system's folder; mounts in it exist only in the namespaces of its commands."""
    subprocess.run(("rm", "-rf", "--one-file-system", folder), check=False)  # noqa: S603, S607


def _variables(path: str) -> dict[str, str]:
    """Return `PATH` and this machine's settings of proxies and package index."""
    names = (*_PROXIES, *(each.upper() for each in _PROXIES), *_INDEXES)
    return {"PATH": path, **{each: os.environ[each] for each in names if each in os.environ}}
