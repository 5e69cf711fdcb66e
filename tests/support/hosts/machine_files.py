"""Machines described in a few files below a folder, for what reads /proc, /sys and /dev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.host.enclave.sgx import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SGX_FLAGS = "fpu sse4_2 avx avx2 avx512f sgx sgx_lc"
SGX_MACHINE = {
    "proc/cpuinfo": f"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {SGX_FLAGS}\n",
    "proc/sys/kernel/osrelease": "6.1.0-37-amd64\n",
    "proc/meminfo": "MemTotal:       65536000 kB\nMemAvailable:   60000000 kB\n",
    "dev/sgx_enclave": "",
    "dev/sgx_provision": "",
    "dev/sgx/enclave": "",
    "dev/sgx/provision": "",
    "usr/bin/gramine-sgx": "#!/bin/sh\n",
}
"""A machine on which enclaves start."""


def write_machine(root: Path, files: Mapping[str, str | None] = SGX_MACHINE) -> Machine:
    """Write the files of a machine; those whose content is None are left out."""
    for name, content in files.items():
        if content is None:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    return Machine(root)
