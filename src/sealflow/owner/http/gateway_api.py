"""Owner: the gateway's paths: directory, log, control requests, status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.owner.http.steps import HttpRequest, HttpResponse, Steps, send, with_deadline
from sealflow.owner.http.transport import HttpTransport
from sealflow.streams.keys import LOG_ENTRIES
from sealflow.wire.status import ClusterStatus
from sealflow.wire.strict_json import canonical_json, parse_object

if TYPE_CHECKING:
    from pathlib import Path


DIRECTORY_TIMEOUT_S: Final = 15.0
LOG_TIMEOUT_S: Final = 120.0
MAX_LOG_RECORDS: Final = 2 * LOG_ENTRIES
CONTROL_TIMEOUT_S: Final = 30.0


def fetch_status(url: str, ca: Path | None) -> ClusterStatus:
    """Ask the gateway.

    Raises: UnavailableError.
    """
    transport = HttpTransport(url, ca=ca, connections=1)
    try:
        answer = transport.run_steps(
            send(HttpRequest(method="GET", path="/v1/status", timeout_s=10.0))
        )
    finally:
        transport.close()
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise UnavailableError(f"{url} is not a gateway (HTTP {answer.status})") from error
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        raise UnavailableError(f"gateway {url}: {value['error'][:500]}")
    try:
        return ClusterStatus.from_json(value)
    except MalformedError as error:
        raise UnavailableError(
            f"{url}: its status has a form that this version does not know: use the same "
            "version as the gateway's"
        ) from error


def fetch_records(after: int) -> Steps[list[bytes]]:
    """Fetch some log records from number `after` + 1 on; none when the gateway has none there.

    Raises: UnavailableError.
    """
    path = f"/v1/log/{after + 1}"
    answer = yield from send(HttpRequest(method="GET", path=path, timeout_s=DIRECTORY_TIMEOUT_S))
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the log is not available", answer)
    return answer.body.splitlines()


def fetch_log(first: int) -> Steps[list[bytes]]:
    """Fetch the log records from number `first` on, as far as the gateway has them.

    Raises: UnavailableError.
    """
    return with_deadline(LOG_TIMEOUT_S, _fetch_log(first))


def _fetch_log(first: int) -> Steps[list[bytes]]:
    records: list[bytes] = []
    while found := (yield from fetch_records(first + len(records) - 1)):
        records += found
        if len(records) > MAX_LOG_RECORDS:
            raise UnavailableError("the gateway's log has no end: ask another gateway")
    return records


def unavailable(what: str, answer: HttpResponse) -> UnavailableError:
    """Say why an answer is of no use, by what the gateway says itself."""
    try:
        value = json.loads(answer.body)
        detail = str(value["error"])[:500]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = "see the gateway's log"
    msg = f"{what} (HTTP {answer.status}): {detail}"
    return UnavailableError(msg, retry_after_s=retry_after_s(answer))


def retry_after_s(answer: HttpResponse) -> float:
    """How long the gateway asks to wait, at most a minute."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), 60.0) if text.isdigit() and len(text) < 6 else 1.0  # noqa: PLR2004


def control(operation: dict[str, object]) -> Steps[dict[str, object]]:
    """Ask the key broker. Its answer is untrusted unless it proves itself.

    Raises: UnavailableError; RuntimeError never: an error answer comes back as it is.
    """
    answer = yield from send(
        HttpRequest(
            method="POST",
            path="/v1/control",
            body=canonical_json(operation),
            headers={"content-type": "application/json"},
            timeout_s=CONTROL_TIMEOUT_S,
        )
    )
    if answer.status != 200:  # noqa: PLR2004 - HTTP
        raise unavailable("the key broker did not answer", answer)
    return parse_object(answer.body, "answer of the key broker")
