"""Host: detect from the kernel's files whether a machine supports SGX.

All files are read below a root folder, so a test can describe any machine with a few files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENCLAVE_DEVICE: Final = "dev/sgx_enclave"
PROVISION_DEVICE: Final = "dev/sgx_provision"
GRAMINE: Final = "usr/bin/gramine-sgx"
LEAST_KERNEL: Final = (5, 11)
"""The first Linux version with an SGX driver. Source: Linux 5.11 release notes."""

_KERNEL: Final = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, described by the files of /proc, /sys and /dev below `root`."""

    root: Path

    def path(self, name: str) -> Path:
        """Return the path of a file below the root; `name` has no leading slash."""
        return self.root / name

    def text(self, name: str) -> str:
        """Return the text of a file, or an empty string when it cannot be read."""
        try:
            return self.path(name).read_text(errors="replace")
        except OSError:
            return ""

    def usable(self, name: str) -> bool:
        """Return whether this process may read and write a device."""
        return os.access(self.path(name), os.R_OK | os.W_OK)

    @property
    def cpu_flags(self) -> frozenset[str]:
        """The processor flags in /proc/cpuinfo; `sgx` is absent when the BIOS disables it."""
        for line in self.text("proc/cpuinfo").splitlines():
            name, _, words = line.partition(":")
            if name.strip() == "flags":
                return frozenset(words.split())
        return frozenset()

    @property
    def vendor(self) -> str:
        """The vendor id of the processor, such as GenuineIntel; empty when it is unknown."""
        for line in self.text("proc/cpuinfo").splitlines():
            name, _, word = line.partition(":")
            if name.strip() == "vendor_id":
                return word.strip()
        return ""

    @property
    def kernel(self) -> tuple[int, int]:
        """Major and minor version of the running kernel; (0, 0) when it is unknown."""
        found = _KERNEL.match(self.text("proc/sys/kernel/osrelease"))
        return (0, 0) if found is None else (int(found[1]), int(found[2]))


SYSTEM: Final = Machine(Path("/"))


def missing_for_sgx(machine: Machine) -> list[str]:
    """Return why SGX enclaves cannot start on a machine, from hardware up to programs.

    The list is empty when they can start.
    """
    missing = []
    kernel = ".".join(map(str, machine.kernel))
    if "sgx" not in machine.cpu_flags:
        intel = machine.vendor == "GenuineIntel"
        missing.append(
            "the processor has no SGX, or the BIOS or the hypervisor disables it"
            if intel
            else f"this is not an Intel processor ({machine.vendor or 'unknown'}), so it has no SGX"
        )
    elif "sgx_lc" not in machine.cpu_flags:
        missing.append("the BIOS disables SGX Flexible Launch Control")
    if machine.kernel < LEAST_KERNEL:
        missing.append(f"Linux {kernel} has no SGX driver: 5.11 or newer is needed")
    for name in (ENCLAVE_DEVICE, PROVISION_DEVICE):
        if not machine.path(name).exists():
            missing.append(f"/{name} does not exist")
        elif not machine.usable(name):
            missing.append(f"this user may not open /{name}")
    if not os.access(machine.path(GRAMINE), os.X_OK):
        missing.append(f"/{GRAMINE} is not installed")
    return missing
