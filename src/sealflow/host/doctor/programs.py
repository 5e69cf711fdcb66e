"""Host: check what Sealflow depends on: memory, Java, Flink, the broker, Kubernetes."""

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
"""The Java versions that Flink 2.3 supports."""
_VERSION: Final = re.compile(r'version "(\d+)')
_PROGRAM_S: Final = 20.0
_BROKER_S: Final = 5.0
_GIB: Final = 2**30
_QUANTITY: Final = re.compile(r"(\d+)(Ki|Mi|Gi|k|M|G)?")
_UNITS: Final = {None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": _GIB}


def flink(folder: Path | None) -> Iterator[Finding]:
    """Check Flink and its Java. `folder`: Flink's virtual environment; None skips the check."""
    if folder is None:
        return
    try:
        install = FlinkInstall.find(folder)
    except ConfigError as error:
        fix = "run `make flink`, or install the extra `flink` in an environment of its own"
        yield failed("flink", str(error), fix)
        return
    yield passed("flink", str(install.package))
    yield from java(install.java_home / "bin" / "java")


def java(program: Path) -> Iterator[Finding]:
    """Check the version that a Java program reports."""
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
    """Check that the broker answers; for None, that `sealflow up` can start a server."""
    try:
        if address is None:
            yield passed("broker", f"no address given: `sealflow up` starts {find_server()}")
        else:
            wait_ready(address, _BROKER_S)
            yield passed("broker", f"{address.url} answers")
    except SealflowError as error:
        yield failed(
            "broker", str(error), "start Valkey, or Redis 6.2 or newer; or correct its address"
        )


def kubernetes(*, wanted: bool, sgx: bool) -> Iterator[Finding]:
    """Check that the cluster lists its nodes; for SGX, that some have Intel's device plugin.

    `wanted`: False skips the check.
    """
    if not wanted:
        return
    fix = "install kubectl and select a context that may list nodes"
    if shutil.which("kubectl") is None:
        yield failed("kubernetes", "kubectl is not installed", fix)
        return
    try:
        nodes = json.loads(_output("kubectl", "get", "nodes", "-o", "json"))["items"]
    except ConfigError as error:
        yield failed("kubernetes", str(error), fix)
        return
    except (ValueError, KeyError, TypeError):
        yield failed("kubernetes", "kubectl did not print a list of nodes", fix)
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
    """Compare the available memory with 1 GiB for each worker. `meminfo`: text of /proc/meminfo."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    free, wanted = int(found[1]) * 1024 if found else 0, workers * _GIB
    if free >= wanted:
        yield passed("memory", f"{free / _GIB:.3g} GiB free for {workers} workers")
    else:
        yield warned(
            "memory",
            f"{free / _GIB:.3g} GiB free; {workers} workers with small models use up to "
            f"{workers} GiB",
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
        raise ConfigError(f"cannot run {command[0]}: {error}") from error
    printed = done.stdout + done.stderr if done.returncode == 0 else done.stderr
    if done.returncode != 0:
        lines = printed.strip().splitlines() or [f"status {done.returncode}"]
        raise ConfigError(f"{Path(command[0]).name}: {lines[-1][:300]}")
    return printed
