"""A gateway that a test plays for a client's steps, before one key broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sealflow.owner.http.steps import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.owner.http.steps import HttpRequest
    from tests.support.trusted.keybroker import KeyBrokerInstance

    Log = Callable[[int], HttpResponse]


def run(steps: Any, answer: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Play the gateway for a client; gives what its steps return."""
    given = None
    while True:
        try:
            event = steps.send(given)
        except StopIteration as end:
            return end.value
        given = answer(event) if hasattr(event, "path") else None


def host(
    broker: KeyBrokerInstance, log: Log | None = None
) -> Callable[[HttpRequest], HttpResponse]:
    """A gateway of one instance; `log` answers for records from a number on."""

    def answer(request: HttpRequest) -> HttpResponse:
        body = broker.document
        if request.path.startswith("/v1/log/"):
            first = int(request.path.rpartition("/")[2])
            if log is not None:
                return log(first)
            body = b"\n".join(broker.records[first:])
        elif request.path == "/v1/control":
            assert broker.leading is not None
            body = broker.leading.answer(cast("bytes", request.body))
        return HttpResponse(status=200, headers={}, body=body)

    return answer
