"""Host: check that ports are free, the PCCS answers, and the clock agrees with other machines."""

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
"""The settings file of Intel's quote library, which names the PCCS."""
GOOD_SKEW_S: Final = 2.0
"""Up to this clock skew, clocks count as equal."""
MAX_SKEW_S: Final = 300.0
"""From this clock skew on, clients refuse a fresh directory as one from the future."""
_URL: Final = re.compile(r'^\s*"?pccs_url"?\s*[=:]\s*"?([^\s",]+)', re.IGNORECASE | re.MULTILINE)
_ANY_CERTIFICATE: Final = re.compile(
    r'^\s*"?use_secure_cert"?\s*[=:]\s*"?false', re.IGNORECASE | re.MULTILINE
)
_TIMEOUT_S: Final = 5.0
_MAX_BODY_BYTES: Final = 2**20
_OK: Final = 200


def ports(host: str, wanted: Iterable[int]) -> Iterator[Finding]:
    """Check that each port can be listened on at `host`."""
    for port in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.create_server((host, port), family=family):
                yield passed(f"port {port}", f"free on {host}")
        except OSError as error:
            fix = "stop what listens there, or choose another port"
            yield failed(f"port {port}", f"{host}: {error.strerror}", fix)


def pccs(machine: Machine, url: str | None, ca: Path | None = None) -> Iterator[Finding]:
    """Check that the PCCS answers, by fetching the revocation list of the root CA.

    `url`: the address with its path; None uses the one in the settings of Intel's quote library.
    `ca`: PEM file of the root of its certificate; None uses the system's roots, or no check at all
    if those settings turn it off.
    """
    text = machine.text(QCNL)
    found = _URL.search(text)
    address = url or (found[1] if found else None)
    if address is None:
        yield failed(
            "pccs",
            f"no PCCS is given, and /{QCNL} does not name one",
            f"run Intel's PCCS, and set pccs_url in /{QCNL}; or give its address with --pccs",
        )
        return
    skip_verify = url is None and ca is None and _ANY_CERTIFICATE.search(text) is not None
    try:
        status, skew_s = _get(address.rstrip("/") + "/rootcacrl", skip_verify=skip_verify, ca=ca)
    except ConfigError as error:
        fix = "start it, correct its address, or open the network path to it"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            fix = "give the root of its certificate with --pccs-ca; use a host name that is in it"
        yield failed("pccs", f"{address}: {error}", fix)
        return
    if status == _OK:
        yield passed("pccs", f"{address} answers")
    else:
        fix = "check that its address ends in /sgx/certification/v4, and read its log"
        yield failed("pccs", f"{address} answers with HTTP {status}", fix)
    yield from _skew("the PCCS", skew_s)


def clock(url: str | None) -> Iterator[Finding]:
    """Check that a gateway answers, and compare its clock with this machine's; skip if None."""
    if url is None:
        return
    try:
        _, skew_s = _get(url.rstrip("/") + "/v2/health/live", skip_verify=False)
    except ConfigError as error:
        yield warned("gateway", f"{url}: {error}", "start it, or correct its address")
        return
    yield passed("gateway", f"{url} answers")
    yield from _skew("the gateway", skew_s)


def _skew(whose: str, skew_s: float | None) -> Iterator[Finding]:
    if skew_s is None:
        return
    detail = f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} {whose}"
    fix = "synchronise both machines with chrony or systemd-timesyncd"
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
        raise ConfigError(f"{ca} does not contain a certificate") from error


def _get(url: str, *, skip_verify: bool, ca: Path | None = None) -> tuple[int, float | None]:
    """Send a GET request; return the status and by how many seconds the server's clock is ahead.

    The second value is None when the response has no Date. `skip_verify`: skip the check of the
    server's certificate.

    Raises: ConfigError when the URL is not valid or the server does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("the address must begin with http:// or https:// and a host")
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = _roots(ca)
            if skip_verify:
                # The machine's own setting asks for this; collateral is signed, so it stays safe.
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
