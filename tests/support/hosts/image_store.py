"""A place of container images apart from the machine's own: buildah and podman over one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BASE = "localhost/debian:bookworm"
"""A base of Debian's own packages, made here in place of the one that the Containerfiles pin."""
PACKAGES = ("buildah", "mmdebstrap", "podman", "runc")
"""Debian packages that are needed."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CONTAINERS = """\
[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
ISOLATION = ("--isolation=chroot", "--network=host", "--pull-never")


@dataclass(frozen=True, slots=True)
class ImageStore:
    """A place of images of our own, apart from whatever else this machine has."""

    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path) -> ImageStore:
        """Make a place in a folder, with a base image."""
        folder.mkdir(exist_ok=True)
        settings, containers = folder / "storage.conf", folder / "containers.conf"
        places = f'graphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        settings.write_text(f'[storage]\ndriver = "overlay"\n{places}')
        containers.write_text(CONTAINERS)
        store = cls(
            {
                **os.environ,
                "CONTAINERS_STORAGE_CONF": str(settings),
                "CONTAINERS_CONF": str(containers),
                "TMPDIR": str(folder),
            }
        )
        if not store.run("podman", "images", "--quiet", BASE):
            make_base(store, folder)
        return store

    def attempt(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of containers without input."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=1500,
        )

    def run(self, *command: str | Path) -> str:
        """Run a program of containers; gives what it printed.

        Raises: AssertionError with the program's last words.
        """
        done = self.attempt(*command)
        assert done.returncode == 0, f"{command}: {(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def build(self, *arguments: str) -> None:
        """Build images the way `make images` does."""
        self.run(
            sys.executable,
            "-m",
            "tools.images",
            f"--base={BASE}",
            *arguments,
            *(f"--buildah={each}" for each in ISOLATION),
        )

    def inspect(self, image: str) -> dict[str, Any]:
        """Give an image's settings."""
        told = json.loads(self.run("podman", "image", "inspect", image))
        config: dict[str, Any] = told[0]["Config"]
        return config

    def inside(self, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """Run a command as Kubernetes would under `restricted`: nothing can be written."""
        confined = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
        return self.run(
            "podman", "run", "--rm", "--network=none", *confined, *options, image, *command
        )

    def mount(self, image: str) -> Path:
        """Give an image's files as a folder, until the tests end."""
        return Path(self.run("podman", "image", "mount", image).strip())


def make_base(store: ImageStore, cache: Path) -> None:
    """Import a minimal Debian, with this machine's authorities."""
    tar, pip = cache / "base.tar", cache / "pip.conf"
    pip.write_text(f"[global]\ncert = {CERTIFICATES}\n")
    suite = ("--variant=minbase", "--include=ca-certificates", "bookworm")
    uploads = (
        f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}",
        f"--customize-hook=upload {pip} /etc/pip.conf",
    )
    store.run("mmdebstrap", *suite, *uploads, tar)
    store.run("podman", "import", "--quiet", tar, BASE)
    tar.unlink()
