"""Host: whether SGX enclaves can run on a machine, from its processor up to the signed manifests.

Source: Linux, Documentation/arch/x86/sgx.rst and Documentation/ABI/stable/sysfs-devices-node.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from sealflow.host.doctor.finding import Finding, failed, passed, warned
from sealflow.host.enclave.sgx import ENCLAVE_DEVICE, GRAMINE, LEAST_KERNEL, PROVISION_DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealflow.host.enclave.sgx import Machine

OLD_LINKS: Final = {"dev/sgx/enclave": ENCLAVE_DEVICE, "dev/sgx/provision": PROVISION_DEVICE}
"""Where drivers before Linux 5.11 had their devices, and much software still looks."""
_EPC: Final = "sys/devices/system/node/node*/x86/sgx_total_bytes"
_AESM_SOCKETS: Final = (
    "@sgx_aesm_socket_base",
    "/var/run/aesmd/aesm.socket",
    "/run/aesmd/aesm.socket",
)
_BIOS: Final = (
    "in the BIOS switch on SGX (Enabled, not Software Controlled) and total memory encryption, and "
    "set the size of PRMRR; in a virtual machine, ask the hypervisor for SGX"
)
_SIZE: Final = re.compile(r"(\d+)([KMG]?)")
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_GIB: Final = 2**30


def processor(machine: Machine) -> Iterator[Finding]:
    """Look at the processor, what the BIOS made of it, and the kernel."""
    flags, vendor = machine.cpu_flags, machine.vendor or "unknown"
    if "sgx" in flags:
        yield passed("cpu", "the processor has SGX, and the BIOS has it on")
    elif vendor == "GenuineIntel":
        yield failed("cpu", "an Intel processor that shows no SGX", _BIOS)
    else:
        yield failed("cpu", f"no Intel processor ({vendor})", "use an Intel Xeon with SGX")
    if "sgx_lc" in flags:
        yield passed("launch control", "flexible: any signer's enclaves start")
    elif "sgx" in flags:
        yield failed(
            "launch control",
            "SGX Flexible Launch Control is off, so that Linux offers no device",
            "in the BIOS switch on SGX Launch Control, unlocked",
        )
    if "sgx" in flags and "sgx2" not in flags:
        yield warned(
            "sgx2",
            "no SGX2: enclaves take all their memory at once",
            "nothing to do; start-up takes longer with larger enclaves",
        )
    running, least = (".".join(map(str, each)) for each in (machine.kernel, LEAST_KERNEL))
    if machine.kernel >= LEAST_KERNEL:
        yield passed("kernel", f"Linux {running} has the SGX driver")
    else:
        yield failed("kernel", f"Linux {running} has no SGX driver", f"use Linux {least} or newer")


def devices(machine: Machine) -> Iterator[Finding]:
    """Look at the devices, and at the names that they once had."""
    for name in (ENCLAVE_DEVICE, PROVISION_DEVICE):
        if not machine.path(name).exists():
            fix = "see the lines above; in a container, ask for the devices (Kubernetes: the chart)"
            yield failed(f"/{name}", "it is not here", fix)
        elif not machine.usable(name):
            fix = "add this user to the group that owns it (sgx, or sgx_prv for provisioning)"
            yield failed(f"/{name}", "this user may not open it", fix)
        else:
            yield passed(f"/{name}", "it can be opened")
    if machine.path(ENCLAVE_DEVICE).exists():
        missing = [name for name in OLD_LINKS if not machine.path(name).exists()]
        if missing:
            yield warned(
                "/dev/sgx",
                f"no link at {', '.join(f'/{name}' for name in missing)}, where old software looks",
                "`sealflow doctor --make-links` makes them, as root",
            )
        else:
            yield passed("/dev/sgx", "the old names lead to the devices")


def quoting(machine: Machine) -> Iterator[Finding]:
    """Look for the service that signs quotes, and for Gramine."""
    listening = machine.text("proc/net/unix")
    if any(socket in listening for socket in _AESM_SOCKETS):
        yield passed("aesm", "it listens")
    else:
        yield failed(
            "aesm",
            "no AESM service listens, so that no enclave gets a quote",
            "install Intel's sgx-aesm-service and libsgx-aesm-quote-ex-plugin, start aesmd; in a "
            "container, mount the folder /var/run/aesmd",
        )
    if machine.path(GRAMINE).exists():
        yield passed("gramine", f"/{GRAMINE}")
    else:
        yield failed(
            "gramine", f"/{GRAMINE} is not installed", "use the SGX images: see docs/guide/sgx.md"
        )


def memory(machine: Machine, enclaves: Path | None, workers: int) -> Iterator[Finding]:
    """Compare the enclaves' sizes with the machine's protected memory."""
    sizes = [] if enclaves is None else [*_sizes(enclaves)]
    if enclaves is not None and len(sizes) < len(_ROLES):
        yield failed(
            "signed enclaves",
            f"{enclaves} lacks a signed worker or key broker",
            "build the image with `sealflow enclave build` and `sign`",
        )
    elif sizes:
        yield passed("signed enclaves", f"worker {_gib(sizes[0])}, key broker {_gib(sizes[1])}")
    epc = sum(int(path.read_text()) for path in sorted(machine.root.glob(_EPC)))
    wanted = sizes[0] * workers + sizes[1] if len(sizes) == len(_ROLES) else 0
    if not epc:
        yield warned(
            "epc",
            "the kernel does not say how much protected memory there is",
            "Linux 5.17 or newer says it; else look for `sgx: EPC section` in its log",
        )
    elif epc < wanted:
        yield failed(
            "epc",
            f"{_gib(epc)} of protected memory for enclaves of {_gib(wanted)}",
            "run fewer workers, sign smaller enclaves, or raise PRMRR in the BIOS",
        )
    else:
        yield passed("epc", f"{_gib(epc)} of protected memory")


def make_links(machine: Machine) -> list[str]:
    """Make the old names of the devices that are here; returns what was made.

    Raises: OSError.
    """
    made = []
    for name, device in OLD_LINKS.items():
        link = machine.path(name)
        if machine.path(device).exists() and not link.exists():
            link.parent.mkdir(mode=0o755, exist_ok=True)
            link.symlink_to(f"../{device.removeprefix('dev/')}")
            made.append(f"/{name}")
    return made


_ROLES: Final = ("worker", "keybroker")


def _sizes(enclaves: Path) -> Iterator[int]:
    for role in _ROLES:
        path = enclaves / f"{role}.manifest.sgx"
        try:
            text = str(tomllib.loads(path.read_text())["sgx"]["enclave_size"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        found = _SIZE.fullmatch(text)
        if found is None or not (enclaves / f"{role}.sig").is_file():
            return
        yield int(found[1]) * _UNITS[found[2]]


def _gib(size: int) -> str:
    return f"{size / _GIB:.3g} GiB"
