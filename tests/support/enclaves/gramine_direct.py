"""Enclaves of a place, started by `gramine-direct`, and what a host may do about it.

`gramine-direct` is Gramine without SGX: the same LibOS, which gives a program the same files,
checks them by the same hashes, takes argv and environment from the same manifest. It lacks the
enclave: nothing is encrypted, measured by a processor or limited in size.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealflow.wire.frames import FRAME_HEAD_LENGTH, FrameKind, decode_head, encode_frame
from tests.support.enclaves.gramine_installation import ROLES, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.enclaves.gramine_installation import EnclaveFolder


def probing_manifest(manifest: Path, code: str) -> Path:
    """Write a manifest that differs in one thing: `code` runs in place of the enclave's module."""
    argv = tomllib.loads(manifest.read_text())["loader"]["argv"]
    given = f'  "-m",\n  "{argv[-1]}",\n'
    text = manifest.read_text()
    assert text.count(given) == 1
    probe = manifest.with_name("probe.manifest")
    probe.write_text(text.replace(given, f'  "-c",\n  {json.dumps(code)},\n'))
    return probe.with_suffix("")


def attesting_manifest(manifest: Path, device: Path) -> Path:
    """Write a manifest that differs in one thing: a folder of the host's is /dev/attestation."""
    text = manifest.read_text()
    for before, more in (
        ("mounts = [\n", f'  {{ path = "/dev/attestation", uri = "file:{device}" }},\n'),
        ("[sgx]\n", f'allowed_files = [ "file:{device}/" ]\n'),
    ):
        assert text.count(before) == 1
        text = text.replace(before, before + more)
    attesting = manifest.with_name("attesting.manifest")
    attesting.write_text(text)
    return attesting.with_suffix("")


def launcher(folder: Path, manifests: Path) -> Path:
    """Make what an engine takes for a Python environment; its `python` starts Gramine instead.

    A process gets no more address space than an enclave of its manifest's size would have.
    """
    cases = []
    for role in ROLES:
        size = tomllib.loads((manifests / f"{role}.manifest").read_text())["sgx"]["enclave_size"]
        cases.append(f"sealflow.trusted.{role}) ulimit -v {int(size.removesuffix('M')) * 1024};;")
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        "#!/bin/sh\n"
        f'case "$4" in\n{chr(10).join(cases)}\n*) exit 1;;\nesac\n'
        f'exec "{program("gramine-direct")}" "{manifests}/${{4##*.}}"\n'
    )
    python.chmod(0o755)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """A trusted process that has ended. `said`: whatever came out of its standard output."""

    code: int
    said: bytes

    @property
    def frames(self) -> list[tuple[FrameKind, bytes]]:
        """The frames that it sent.

        Raises: MalformedError when it said anything else.
        """
        found, rest = [], self.said
        while rest:
            kind, length = decode_head(rest[:FRAME_HEAD_LENGTH])
            end = FRAME_HEAD_LENGTH + length
            found.append((kind, rest[FRAME_HEAD_LENGTH:end]))
            rest = rest[end:]
        return found


def run_in_gramine(
    application: Path,
    boot: Mapping[str, Any] | None = None,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> ProcessResult:
    """Run a manifest, given without suffix, to its end; its input is a BOOT frame, or none."""
    return _finished(
        (str(program("gramine-direct")), str(application), *arguments), boot, environment
    )


def run_without_gramine(
    place: EnclaveFolder, boot: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
) -> ProcessResult:
    """Run the same key broker without Gramine, as it is started in `nonsgx` mode."""
    python = str(place.enclaves / "bin" / "python")
    return _finished((python, "-I", "-B", "-m", "sealflow.trusted.keybroker"), boot, environment)


def _finished(
    command: tuple[str, ...],
    boot: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
) -> ProcessResult:
    done = subprocess.run(
        command,
        input=b"" if boot is None else encode_frame(FrameKind.BOOT, json.dumps(boot).encode()),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        timeout=100,
        check=False,
    )
    return ProcessResult(code=done.returncode, said=done.stdout)


@contextmanager
def replace_file(path: Path, content: bytes | None) -> Iterator[None]:
    """Have a file hold something else for a while; None is no such file."""
    before = path.read_bytes() if path.exists() else None
    mode = path.stat().st_mode if path.exists() else 0o644
    try:
        _put(path, content, mode)
        yield
    finally:
        _put(path, before, mode)


def _put(path: Path, content: bytes | None, mode: int) -> None:
    # A new file each time: a program that runs keeps the old one.
    path.unlink(missing_ok=True)
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
