"""Host: check whether SGX enclaves can run on a machine, from processor to signed manifests.

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
"""The device names of drivers before Linux 5.11, which some software still opens."""
_EPC: Final = "sys/devices/system/node/node*/x86/sgx_total_bytes"
_AESM_SOCKETS: Final = (
    "@sgx_aesm_socket_base",
    "/var/run/aesmd/aesm.socket",
    "/run/aesmd/aesm.socket",
)
_BIOS: Final = (
    "in the BIOS enable SGX (Enabled, not Software Controlled) and total memory encryption, and "
    "set the size of PRMRR; in a virtual machine, ask the hypervisor for SGX"
)
_SIZE: Final = re.compile(r"(\d+)([KMG]?)")
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_GIB: Final = 2**30


def processor(machine: Machine) -> Iterator[Finding]:
    """Check for SGX in the processor, in the BIOS settings and in the kernel."""
    flags, vendor = machine.cpu_flags, machine.vendor or "unknown"
    if "sgx" in flags:
        yield passed("cpu", "the processor has SGX, and the BIOS enables it")
    elif vendor == "GenuineIntel":
        yield failed("cpu", "this Intel processor has no SGX, or the BIOS disables it", _BIOS)
    else:
        yield failed("cpu", f"not an Intel processor ({vendor})", "use an Intel Xeon with SGX")
    if "sgx_lc" in flags:
        yield passed("launch control", "flexible: enclaves of any signer can start")
    elif "sgx" in flags:
        yield failed(
            "launch control",
            "SGX Flexible Launch Control is off, so Linux has no SGX devices",
            "in the BIOS enable SGX Launch Control, unlocked",
        )
    if "sgx" in flags and "sgx2" not in flags:
        yield warned(
            "sgx2",
            "no SGX2: enclaves allocate all their memory when they start",
            "none is needed; larger enclaves take longer to start",
        )
    running, least = (".".join(map(str, each)) for each in (machine.kernel, LEAST_KERNEL))
    if machine.kernel >= LEAST_KERNEL:
        yield passed("kernel", f"Linux {running} has the SGX driver")
    else:
        yield failed("kernel", f"Linux {running} has no SGX driver", f"use Linux {least} or newer")


def devices(machine: Machine) -> Iterator[Finding]:
    """Check the SGX devices, and the links at their old names."""
    for name in (ENCLAVE_DEVICE, PROVISION_DEVICE):
        if not machine.path(name).exists():
            fix = "see the lines above; in a container, request the devices (Kubernetes: the chart)"
            yield failed(f"/{name}", "it does not exist", fix)
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
                f"no link at {', '.join(f'/{name}' for name in missing)}, which old software opens",
                "run `sealflow doctor --make-links` as root",
            )
        else:
            yield passed("/dev/sgx", "the old names link to the devices")


def quoting(machine: Machine) -> Iterator[Finding]:
    """Check for the AESM service, which provides quotes, and for Gramine."""
    listening = machine.text("proc/net/unix")
    if any(socket in listening for socket in _AESM_SOCKETS):
        yield passed("aesm", "the service is listening")
    else:
        yield failed(
            "aesm",
            "no AESM service is listening, so enclaves cannot get quotes",
            "install Intel's sgx-aesm-service and libsgx-aesm-quote-ex-plugin, and start aesmd; in "
            "a container, mount the folder /var/run/aesmd",
        )
    if machine.path(GRAMINE).exists():
        yield passed("gramine", f"/{GRAMINE}")
    else:
        yield failed(
            "gramine", f"/{GRAMINE} is not installed", "use the SGX images: see docs/guide/sgx.md"
        )


def memory(machine: Machine, enclaves: Path | None, workers: int) -> Iterator[Finding]:
    """Compare the sizes of the signed enclaves with the protected memory (EPC) of the machine.

    `enclaves`: the folder of the signed manifests; None only reports the memory. `workers`: how
    many are to run beside one key broker.
    """
    sizes = [] if enclaves is None else [*_enclave_sizes(enclaves)]
    if enclaves is not None and len(sizes) < len(_ROLES):
        yield failed(
            "signed enclaves",
            f"{enclaves} does not have a signed worker and a signed key broker",
            "build the image with `sealflow enclave build` and `sign`",
        )
    elif sizes:
        yield passed("signed enclaves", f"worker {_gib(sizes[0])}, key broker {_gib(sizes[1])}")
    epc = sum(int(path.read_text()) for path in sorted(machine.root.glob(_EPC)))
    required = sizes[0] * workers + sizes[1] if len(sizes) == len(_ROLES) else 0
    if not epc:
        yield warned(
            "epc",
            "the kernel does not report the size of the protected memory",
            "use Linux 5.17 or newer, or look for `sgx: EPC section` in the kernel log",
        )
    elif epc < required:
        yield failed(
            "epc",
            f"{_gib(epc)} of protected memory for enclaves of {_gib(required)}",
            "run fewer workers, sign smaller enclaves, or raise PRMRR in the BIOS",
        )
    else:
        yield passed("epc", f"{_gib(epc)} of protected memory")


def make_links(machine: Machine) -> list[str]:
    """Create links at the old names of the existing devices; return the paths of the new links.

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


def _enclave_sizes(enclaves: Path) -> Iterator[int]:
    """Yield the sizes in bytes of worker and key broker, up to the first that is not signed."""
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
