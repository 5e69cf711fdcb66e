"""Host: whether what Sealflow works with is there: memory, Java, Flink, broker, Kubernetes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealflow.errors import ConfigError, SealflowError
from sealflow.host.broker.embedded_server import find_server, wait_ready
from sealflow.host.doctor.finding import Finding, failed, passed, warned
from sealflow.host.engine.flink.settings import FlinkInstall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.streams.address import BrokerAddress

JAVA_VERSIONS: Final = (17, 21)
"""Those that Flink 2.3 starts on."""
_VERSION: Final = re.compile(r'version "(\d+)')
_PROGRAM_S: Final = 20.0
_BROKER_S: Final = 5.0
_GIB: Final = 2**30
_QUANTITY: Final = re.compile(r"(\d+)(Ki|Mi|Gi|k|M|G)?")
_UNITS: Final = {None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": _GIB}


def flink(folder: Path | None) -> Iterator[Finding]:
    """Look for Flink and the Java that starts it; `folder`: its virtual environment, or None."""
    if folder is None:
        return
    try:
        install = FlinkInstall.find(folder)
    except ConfigError as error:
        fix = "`make flink`, or install the extra `flink` into an environment of its own"
        yield failed("flink", str(error), fix)
        return
    yield passed("flink", str(install.package))
    yield from java(install.java_home / "bin" / "java")


def java(program: Path) -> Iterator[Finding]:
    """Ask a Java for its version."""
    fix = "set JAVA_HOME to a Java 17 or 21, or unset it to use Flink's own"
    try:
        printed = _output(str(program), "-version")
    except ConfigError as error:
        yield failed("java", str(error), fix)
        return
    found = _VERSION.search(printed)
    version = int(found[1]) if found else 0
    if version in JAVA_VERSIONS:
        yield passed("java", f"{version} at {program}")
    else:
        yield failed("java", f"{program} is Java {version or 'unknown'}", fix)


def broker(address: BrokerAddress | None) -> Iterator[Finding]:
    """Reach the broker, or find the server that `sealflow up` starts."""
    try:
        if address is None:
            yield passed("broker", f"none given: `sealflow up` starts {find_server()}")
        else:
            wait_ready(address, _BROKER_S)
            yield passed("broker", f"{address.url} answers")
    except SealflowError as error:
        yield failed("broker", str(error), "start Redis 6.2, Valkey or newer, or mend the address")


def kubernetes(*, wanted: bool, sgx: bool) -> Iterator[Finding]:
    """Ask a cluster for its nodes and, for SGX, for the resources of Intel's device plugin."""
    if not wanted:
        return
    fix = "install kubectl and give it a context with the right to list nodes"
    if shutil.which("kubectl") is None:
        yield failed("kubernetes", "kubectl is not installed", fix)
        return
    try:
        nodes = json.loads(_output("kubectl", "get", "nodes", "-o", "json"))["items"]
    except ConfigError as error:
        yield failed("kubernetes", str(error), fix)
        return
    except (ValueError, KeyError, TypeError):
        yield failed("kubernetes", "kubectl gave no list of nodes", fix)
        return
    yield passed("kubernetes", f"{len(nodes)} nodes")
    if sgx:
        yield _sgx_nodes(nodes)


def _sgx_nodes(nodes: list[dict[str, Any]]) -> Finding:
    names = ("sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision")
    offers = [node.get("status", {}).get("allocatable", {}) for node in nodes]
    fitting = [offer for offer in offers if all(_quantity(offer.get(name)) for name in names)]
    if not fitting:
        lacking = [name for name in names if not any(_quantity(each.get(name)) for each in offers)]
        return failed(
            "sgx.intel.com",
            f"no node offers {', '.join(lacking) or 'all three resources at once'}",
            "install Intel's device plugins operator with an SgxDevicePlugin, and node feature "
            "discovery for the EPC",
        )
    epc = max(_quantity(offer[names[0]]) for offer in fitting)
    return passed("sgx.intel.com", f"{len(fitting)} nodes, up to {epc / _GIB:.3g} GiB of EPC each")


def memory(meminfo: str, workers: int) -> Iterator[Finding]:
    """Compare the memory that is free with what workers take; `meminfo`: as in /proc."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    free, wanted = int(found[1]) * 1024 if found else 0, workers * _GIB
    if free >= wanted:
        yield passed("memory", f"{free / _GIB:.3g} GiB free for {workers} workers")
    else:
        yield warned(
            "memory",
            f"{free / _GIB:.3g} GiB free; {workers} workers with small models take up to {workers}",
            "run fewer workers, or free memory",
        )


def _quantity(text: object) -> float:
    found = _QUANTITY.fullmatch(str(text))
    return 0 if found is None else int(found[1]) * _UNITS[found[2]]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - programs that the operator named
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROGRAM_S,
            env={**os.environ, "LANG": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{command[0]} does not run: {error}") from error
    printed = done.stdout + done.stderr if done.returncode == 0 else done.stderr
    if done.returncode != 0:
        lines = printed.strip().splitlines() or [f"status {done.returncode}"]
        raise ConfigError(f"{Path(command[0]).name}: {lines[-1][:300]}")
    return printed
