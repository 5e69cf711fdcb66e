"""Trusted: takes from a process outside of Gramine what no trusted code needs.

An attacker who runs code within a decoder or a model runtime finds no sockets, programs, other
processes or new files, no rights of root, and only those files that the runtimes open late
(`READABLE`). Gramine needs none of this: its manifest names all files, and it makes no other
process.

Source: Linux, Documentation/userspace-api/seccomp_filter.rst and landlock.rst; prctl(2),
mlockall(2), seccomp(2), landlock(7), capabilities(7), capset(2);
arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h,
include/uapi/linux/capability.h. Gramine 1.9, libos/src/sys/libos_uname.c.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sealflow
from sealflow.attest.evidence import Tee
from sealflow.trusted.identity.hardware_quotes import FOLDER
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal

if TYPE_CHECKING:
    from ctypes import CDLL

READABLE: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/mounts", "/proc/sys/vm", "/sys",
    "/dev/null", "/dev/urandom",
)  # fmt: skip
"""What may be read besides Python's own folders: libraries, and what runtimes ask about the CPU."""
FIRST_NEW: Final = 424
"""The first system call whose number is the same on all machines.

Programs live without the calls from here on, as older kernels lack them: `clone3`, `openat2`,
`io_uring_setup`, calls on other processes."""

_SELF: Final = Path("/proc/self")
_DUMPABLE: Final = 4
_DROP_BOUND: Final = 24
_NO_NEW_PRIVILEGES: Final = 38
_IPC_LOCK: Final = 14
_CAPABILITIES_3: Final = 0x20080522
_GRAMINE: Final = ("3.10.0", "1")
"""The release and version that Gramine gives; a kernel's version begins with `#`."""
_CURRENT_AND_FUTURE_WHEN_USED: Final = 1 | 2 | 4
_READ_FILE: Final = 1 << 2
_READ: Final = _READ_FILE | 1 << 3
_READ_WRITE_AND_FOLDERS: Final = _READ | 1 << 1 | 1 << 4 | 1 << 7
_ALL_ACCESS: Final = (1 << 13) - 1
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT: Final = 446
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_NOT_PERMITTED: Final = 0x00050001
_NO_SUCH_CALL: Final = 0x00050026
_MAKES: Final = 0o1100
"""The bits of O_CREAT and O_TRUNC."""
_WRITES: Final = 0o3
_THREAD: Final = 0x00010000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The numbers of system calls on a kind of processor, and its number in Linux's audit.

    `opens`: calls that open files, with the place of their flags. `folders`: calls that make and
    remove folders, as quotes of TDX and SEV-SNP need. `refused`: first and last numbers.
    """

    audit: int
    seccomp: int
    clone: int
    tgkill: int
    opens: tuple[tuple[int, int], ...]
    folders: frozenset[int]
    refused: tuple[tuple[int, int], ...]


MACHINES: Final = {
    "x86_64": Machine(
        audit=0xC000003E,
        seccomp=317,
        clone=56,
        tgkill=234,
        opens=((2, 1), (257, 2)),
        folders=frozenset({83, 84, 258, 263}),
        refused=(
            # System V IPC; sockets; fork to execve; kill; System V IPC; names, modes, owners
            (29, 31), (41, 55), (57, 59), (62, 62), (64, 71), (76, 76), (82, 88), (90, 94),
            # ptrace; users, groups; signals; nodes, personality; kernel and root
            (101, 101), (105, 106), (113, 114), (116, 117), (119, 119), (122, 123), (129, 129),
            (132, 133), (135, 136), (153, 156), (161, 161), (163, 163), (165, 177),
            # attributes; signals; asynchronous I/O; times; queues; keys; memory; files by folder
            (188, 190), (197, 200), (206, 210), (235, 235), (240, 246), (248, 250), (256, 256),
            (258, 261), (263, 266), (268, 268), (272, 272), (279, 279),
            # sockets; signals, events; handles; sockets, namespaces; memory of others; programs
            (288, 288), (297, 299), (303, 304), (307, 308), (310, 313), (316, 316), (320, 323),
        ),
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        seccomp=277,
        clone=220,
        tgkill=131,
        opens=((56, 2),),
        folders=frozenset({34, 35}),
        refused=(
            # asynchronous I/O, attributes; names, mounts; modes, owners; kernel and namespaces
            (0, 7), (14, 16), (33, 41), (45, 45), (51, 55), (58, 58), (89, 89), (92, 92), (97, 97),
            # modules; ptrace; signals; users, groups, host name; queues to sockets; keys; programs
            (104, 106), (117, 117), (129, 130), (138, 138), (142, 147), (149, 149), (151, 152),
            (159, 159), (161, 162), (180, 212), (217, 219), (221, 221), (224, 225),
            # memory, signals, events, sockets; handles; namespaces, memory of others; programs
            (238, 243), (264, 265), (268, 273), (276, 276), (280, 282), (294, 294),
        ),
    ),
}  # fmt: skip


def confine(tee: Tee) -> None:
    """Take from this process and all its threads, for good, what trusted code never needs.

    No other process can read its memory, it writes no core, and its memory is never swapped where
    it may lock memory without a limit. Later calls for sockets, programs, processes and files
    are refused, but for reading `READABLE`, and quotes of TDX and SEV-SNP. Nothing is left of the
    rights of root but CAP_IPC_LOCK, where memory is locked by it.

    Raises: FatalError with ISOLATION if the kernel cannot filter system calls, or a thread keeps
    rights of root.
    """
    system = os.uname()
    if tee is Tee.SGX or (system.release, system.version) == _GRAMINE:
        return
    import ctypes  # noqa: PLC0415 - not in Gramine

    machine = MACHINES.get(system.machine)
    if machine is None:
        raise FatalError(Fatal.ISOLATION)
    kernel = ctypes.CDLL(None)
    kernel.prctl(_DUMPABLE, 0, 0, 0, 0)
    kept = _lock_memory(kernel)
    kernel.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _drop_capabilities(kernel, kept)
    _restrict_files(kernel, quotes=tee is not Tee.SIMULATED)
    program = filter_program(machine, os.getpid(), quotes=tee is not Tee.SIMULATED)
    steps = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
    # SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_TSYNC: all threads, or none.
    if kernel.syscall(machine.seccomp, 1, 1, described) != 0:
        raise FatalError(Fatal.ISOLATION)


def _lock_memory(kernel: CDLL) -> int:
    """Lock all memory if any amount may be locked: by the limit, or by CAP_IPC_LOCK.

    Under a limit, later allocations would fail. Return the capabilities that this needs for good.
    """
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    by_right = bool(_held_capabilities(_SELF) >> _IPC_LOCK & 1)
    if by_right:
        # Without a limit, the right is needed no more; root may lift it, others may not.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    by_limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    if by_limit or by_right:
        kernel.mlockall(_CURRENT_AND_FUTURE_WHEN_USED)
    return 0 if by_limit or not by_right else 1 << _IPC_LOCK


def _held_capabilities(process: Path) -> int:
    """Return the capabilities of a process or thread, by its folder in `/proc`."""
    status = (process / "status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("\nCapPrm:")[2].split()[0], 16)


def _drop_capabilities(kernel: CDLL, kept: int) -> None:
    """Drop all capabilities but `kept`; no other thread may have any, as nobody can take them.

    Raises: FatalError with ISOLATION, also when this code cannot be read without them.
    """
    bound = 0
    while kernel.prctl(_DROP_BOUND, bound, 0, 0, 0) == 0:
        bound += 1
    held = kept & _held_capabilities(_SELF)
    halves = struct.pack("=6I", held, held, 0, 0, 0, 0)
    failed = kernel.capset(struct.pack("=Ii", _CAPABILITIES_3, 0), halves)
    others = any(_held_capabilities(each) & ~kept for each in (_SELF / "task").iterdir())
    if failed or others or not os.access(sealflow.__file__, os.R_OK):
        raise FatalError(Fatal.ISOLATION)


def _restrict_files(kernel: CDLL, *, quotes: bool) -> None:
    """Refuse files but those of `READABLE` and of Python, where the kernel has Landlock."""
    rules = kernel.syscall(_CREATE_RULESET, struct.pack("=Q", _ALL_ACCESS), 8, 0)
    if rules < 0:
        return
    allowed = dict.fromkeys((*READABLE, *sys.path, f"{sys.base_prefix}/lib"), _READ)
    if quotes:
        allowed[str(FOLDER)] = _READ_WRITE_AND_FOLDERS
    for path, access in allowed.items():
        # Not every machine has all of them.
        with suppress(OSError):
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
            limited = access if Path(path).is_dir() else _READ_FILE
            kernel.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", limited, found), 0)
            os.close(found)
    failed = kernel.syscall(_RESTRICT, rules, 0)
    os.close(rules)
    if failed:
        raise FatalError(Fatal.ISOLATION)


def filter_program(machine: Machine, pid: int, *, quotes: bool) -> bytes:
    """Return the filter of system calls as a classic BPF program over `struct seccomp_data`.

    `pid`: the only process that may be signalled. `quotes`: whether existing files may be written
    and folders made, as quotes of TDX and SEV-SNP need.
    """
    load, equal, at_least, above, bits, give = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
    refuse, allow = (give, 0, 0, _NOT_PERMITTED), (give, 0, 0, _ALLOW)
    steps = [(load, 0, 0, 4), (equal, 1, 0, machine.audit), (give, 0, 0, _KILL), (load, 0, 0, 0)]
    steps += [(at_least, 0, 1, FIRST_NEW), (give, 0, 0, _NO_SUCH_CALL)]
    for number in sorted(machine.folders) if quotes else ():
        steps += [(equal, 0, 1, number), allow]
    for first, last in machine.refused:
        steps += [(at_least, 0, 2, first), (above, 1, 0, last), refuse]
    # Arguments begin at byte 16 and have 8 bytes each.
    steps += [(equal, 0, 4, machine.clone), (load, 0, 0, 16), (bits, 0, 1, _THREAD), allow, refuse]
    steps += [(equal, 0, 4, machine.tgkill), (load, 0, 0, 16), (equal, 0, 1, pid), allow, refuse]
    for number, place in machine.opens:
        mask = _MAKES if quotes else _MAKES | _WRITES
        steps += [(equal, 0, 4, number), (load, 0, 0, 16 + 8 * place), (bits, 0, 1, mask)]
        steps += [refuse, allow]
    return b"".join(struct.pack("=HBBI", *step) for step in [*steps, allow])
