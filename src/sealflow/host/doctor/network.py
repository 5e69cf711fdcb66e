"""Host: whether ports are free, the PCCS answers, and this clock agrees with others."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealflow.errors import ConfigError
from sealflow.host.doctor.finding import Finding, failed, passed, warned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sealflow.host.enclave.sgx import Machine

QCNL: Final = "etc/sgx_default_qcnl.conf"
"""Where Intel's quote library is told of the PCCS."""
GOOD_SKEW_S: Final = 2.0
MAX_SKEW_S: Final = 300.0
"""More than that, and clients take a fresh directory for one from the future."""
_URL: Final = re.compile(r'^\s*"?pccs_url"?\s*[=:]\s*"?([^\s",]+)', re.IGNORECASE | re.MULTILINE)
_ANY_CERTIFICATE: Final = re.compile(
    r'^\s*"?use_secure_cert"?\s*[=:]\s*"?false', re.IGNORECASE | re.MULTILINE
)
_TIMEOUT_S: Final = 5.0
_MAX_BODY_BYTES: Final = 2**20
_OK: Final = 200


def ports(host: str, wanted: Iterable[int]) -> Iterator[Finding]:
    """Try to listen on ports."""
    for port in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.create_server((host, port), family=family):
                yield passed(f"port {port}", f"free on {host}")
        except OSError as error:
            fix = "stop what listens there, or choose another port"
            yield failed(f"port {port}", f"{host}: {error.strerror}", fix)


def pccs(machine: Machine, url: str | None, ca: Path | None = None) -> Iterator[Finding]:
    """Fetch the root's revocation list from the PCCS that was named, or that the machine names.

    `ca`: PEM root of its certificate; None: the roots of the system, or what the machine says.
    """
    text = machine.text(QCNL)
    found = _URL.search(text)
    address = url or (found[1] if found else None)
    if address is None:
        yield failed(
            "pccs",
            f"no PCCS is named, and /{QCNL} names none",
            f"run Intel's PCCS, and write its pccs_url into /{QCNL}; or give --pccs",
        )
        return
    trusting = url is None and ca is None and _ANY_CERTIFICATE.search(text) is not None
    try:
        status, skew_s = _get(address.rstrip("/") + "/rootcacrl", trusting=trusting, ca=ca)
    except ConfigError as error:
        fix = "start it, mend its address, or open the way"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            fix = "give its certificate's root with --pccs-ca, and a name that the certificate has"
        yield failed("pccs", f"{address}: {error}", fix)
        return
    if status == _OK:
        yield passed("pccs", f"{address} answers")
    else:
        fix = "its address ends in /sgx/certification/v4; look at its log for what it lacks"
        yield failed("pccs", f"{address} answers with HTTP {status}", fix)
    yield from _skew("the PCCS", skew_s)


def clock(url: str | None) -> Iterator[Finding]:
    """Compare this clock with a gateway's."""
    if url is None:
        return
    try:
        _, skew_s = _get(url.rstrip("/") + "/v2/health/live", trusting=False)
    except ConfigError as error:
        yield warned("gateway", f"{url}: {error}", "start it, or mend its address")
        return
    yield passed("gateway", f"{url} answers")
    yield from _skew("the gateway", skew_s)


def _skew(whose: str, skew_s: float | None) -> Iterator[Finding]:
    if skew_s is None:
        return
    detail = f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} {whose}"
    fix = "let chrony or systemd-timesyncd keep the time on both machines"
    if abs(skew_s) <= GOOD_SKEW_S:
        yield passed("clock", f"agrees with {whose}")
    elif abs(skew_s) < MAX_SKEW_S:
        yield warned("clock", detail, fix)
    else:
        yield failed("clock", detail, fix)


def _roots(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise ConfigError(f"{ca} holds no certificate") from error


def _get(url: str, *, trusting: bool, ca: Path | None = None) -> tuple[int, float | None]:
    """Get a page; returns its status and by how many seconds the server is ahead of this clock.

    Raises: ConfigError.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("an address is http:// or https:// with a host")
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = _roots(ca)
            if trusting:
                # The machine's own setting; collateral is signed, whoever passes it on.
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_S, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        answer.read(_MAX_BODY_BYTES)
        date = answer.getheader("Date")
        skew_s = None if date is None else parsedate_to_datetime(date).timestamp() - time.time()
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConfigError(str(error) or type(error).__name__) from error
    return answer.status, skew_s
