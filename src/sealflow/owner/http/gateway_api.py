"""Owner: requests to the gateway's paths for log, control requests and status."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, NewerFormatError, UnavailableError
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Sleep, Steps, send, with_deadline
from sealflow.owner.http.transport import HttpTransport
from sealflow.streams.keys import LOG_ENTRIES
from sealflow.wire.fields import OpenFields
from sealflow.wire.printable import as_line
from sealflow.wire.status import ClusterStatus
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from pathlib import Path


DIRECTORY_TIMEOUT_S: Final = 15.0
LOG_TIMEOUT_S: Final = 120.0
MAX_LOG_RECORDS: Final = 2 * LOG_ENTRIES
CONTROL_TIMEOUT_S: Final = 30.0
_BUSY: Final = 429
_MAX_DETAIL: Final = 500


def fetch_status(url: str, ca: Path | None) -> ClusterStatus:
    """Return the status of the cluster, as the gateway reports it. Nothing proves it.

    `ca`: PEM file with root certificates; None for the system's.

    Raises: UnavailableError when there is no response within 10 s, or it is not a status;
        NewerFormatError when only a newer release can read it.
    """
    transport = HttpTransport(url, ca=ca, connections=1)
    try:
        response = transport.run_steps(
            send(HttpRequest(method="GET", path="/v1/status", timeout_s=10.0))
        )
    finally:
        transport.close()
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise UnavailableError(f"{url} is not a gateway (HTTP {response.status})") from error
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        raise UnavailableError(f"gateway {url}: {value['error'][:500]}")
    try:
        return ClusterStatus.from_json(value)
    except NewerFormatError:
        raise
    except MalformedError as error:
        raise UnavailableError(
            f"{url}: the format of its status is unknown: use the version of Sealflow that the "
            "gateway has"
        ) from error


def fetch_records(after: int) -> Steps[list[bytes]]:
    """Return some log records from number `after` + 1 on; none if the gateway has no such record.

    Raises: UnavailableError.
    """
    path = f"/v1/log/{after + 1}"
    response = yield from send(HttpRequest(method="GET", path=path, timeout_s=DIRECTORY_TIMEOUT_S))
    if response.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the log is not available", response)
    return response.body.splitlines()


def fetch_log(first: int) -> Steps[list[bytes]]:
    """Return all log records that the gateway has, from number `first` on.

    Raises: UnavailableError, also when there are more than `MAX_LOG_RECORDS`; DeadlineError after
        `LOG_TIMEOUT_S`.
    """
    return with_deadline(LOG_TIMEOUT_S, _fetch_log(first))


def _fetch_log(first: int) -> Steps[list[bytes]]:
    records: list[bytes] = []
    while found := (yield from fetch_records(first + len(records) - 1)):
        records += found
        if len(records) > MAX_LOG_RECORDS:
            raise UnavailableError(
                f"the gateway's log has no end (over {MAX_LOG_RECORDS} records): use another "
                "gateway"
            )
    return records


def unavailable(what: str, response: HttpResponse) -> UnavailableError:
    """Return an error with the gateway's own words about a response that is not usable.

    `what`: the beginning of the message.
    """
    try:
        value = json.loads(response.body)
        detail = as_line(value["error"], _MAX_DETAIL)
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = "see the gateway's log"
    msg = f"{what} (HTTP {response.status}): {detail}"
    return UnavailableError(msg, retry_after_s=retry_after_s(response))


def retry_after_s(response: HttpResponse) -> float:
    """Return the seconds in the header `Retry-After`, at most 60; 1 if there is no number."""
    text = response.headers.get("retry-after", "")
    return min(float(text), 60.0) if text.isdigit() and len(text) < 6 else 1.0  # noqa: PLR2004


def send_control_request(operation: dict[str, object]) -> Steps[dict[str, object]]:
    """Send a control request to the key broker and return its answer, also when that is an error.

    While the key broker is busy, it is sent again, for up to `CONTROL_TIMEOUT_S`. The answer is
    untrusted: the gateway or the host can change it.

    Raises: UnavailableError when there is no answer, MalformedError when it is not a JSON object,
        NewerFormatError when only a newer release can read it.
    """
    request = HttpRequest(
        method="POST",
        path="/v1/control",
        body=canonical_json(operation),
        headers={"content-type": "application/json"},
        timeout_s=CONTROL_TIMEOUT_S,
    )
    until = time.monotonic() + CONTROL_TIMEOUT_S
    response = yield from send(request)
    while response.status == _BUSY and time.monotonic() < until:
        # Spread at random, so that this request finds a place among many.
        yield Sleep(random.uniform(0.1, retry_after_s(response)))  # noqa: S311 - no secret
        response = yield from send(request)
    if response.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the key broker did not answer", response)
    what = "answer of the key broker"
    answer = parse_object(response.body, what)
    OpenFields(answer, what, ())  # refuses a critical field
    return answer
