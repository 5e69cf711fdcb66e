"""Host: the gateway's ASGI application: routing, error responses, metrics and request logs.

It uses ASGI without a framework, so that routing costs one dictionary look-up per request.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.defects import DefectError, debugging
from sealflow.errors import UnavailableError
from sealflow.host.gateway.http import (
    ClientGoneError,
    ProblemError,
    Request,
    Response,
    json_response,
    retry_after,
)
from sealflow.host.gateway.limits.held_bytes import CrowdedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sealflow.host.gateway.cross_origin import CrossOrigin
    from sealflow.host.gateway.http import Header, Receive, Scope, Send
    from sealflow.host.gateway.metrics import GatewayMetrics

    Handle = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger()

ENVELOPES: Final = "/v1/envelopes"
_SERVER_ERROR: Final = 500
_CLIENT_GONE: Final = 499
_ANSWER_S: Final = 10.0
SMALL_ANSWER_BYTES: Final = 2**14
"""Such an answer fits the connection's buffer if that is empty, so sending it does not wait."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path and its handler. The last segment may be a placeholder, as in `{digest}`.

    `cross_origin`: whether pages of the origins in `cors_origins` may read the answers.
    """

    method: str
    path: str
    handle: Handle
    cross_origin: bool = False

    @property
    def prefix(self) -> str | None:
        """The path before the placeholder, or None when there is no placeholder."""
        return self.path.partition("{")[0] if "{" in self.path else None


class GatewayApp:
    """The ASGI application. It answers errors with JSON or a refusal envelope, not a traceback."""

    def __init__(
        self,
        routes: Sequence[Route],
        metrics: GatewayMetrics,
        simulation_headers: Callable[[], tuple[Header, ...]],
        cross_origin: CrossOrigin,
        *,
        log_requests: bool,
        least_rate: int,
    ) -> None:
        """Set the routes and what is common to all responses.

        `simulation_headers`: returns headers to add to every response. `cross_origin`: adds those
        for pages of other origins, and answers preflights. `log_requests`: log every request, not
        only those answered with status 500 or above. `least_rate`: of bodies and answers, in bytes
        a second.
        """
        self._cross_origin = cross_origin
        self.routes = tuple(routes)
        self._simulation_headers = simulation_headers
        self._metrics = metrics
        self._log_requests = log_requests
        self._least_rate = least_rate
        self._exact: dict[str, dict[str, Route]] = {}
        self._prefixed: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._add(route)
            if route.cross_origin and cross_origin.enabled:
                self._add(Route("OPTIONS", route.path, cross_origin.preflight, cross_origin=True))

    def _add(self, route: Route) -> None:
        table, key = self._exact, route.path
        if route.prefix is not None:
            table, key = self._prefixed, route.prefix
        table.setdefault(key, {})[route.method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; ignore other ASGI scopes."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        path: str = scope["path"]
        methods = self._exact.get(path)
        argument = ""
        if methods is None:
            prefix, slash, argument = path.rpartition("/")
            methods = self._prefixed.get(prefix + slash)
        method: str = scope["method"]
        route = methods.get("GET" if method == "HEAD" else method) if methods else None
        request = Request(scope, receive, argument=argument, least_rate=self._least_rate)
        label = "none" if route is None else route.path
        headers: tuple[Header, ...] = ()
        try:
            if route is None:
                response = _not_found(path) if methods is None else _not_allowed(methods)
            else:
                response = await _answer(route, request)
                if route.cross_origin:
                    headers = self._cross_origin.headers(request)
            await self._send(response, request, send, (*headers, *self._simulation_headers()))
        except ClientGoneError:
            self._record(method, label, _CLIENT_GONE, started)
        else:
            self._record(method, label, response.status, started)
        finally:
            request.held.close()

    async def _send(
        self, response: Response, request: Request, send: Send, headers: tuple[Header, ...]
    ) -> None:
        # From here on the answer is held, and the request's body is released.
        request.held.close()
        if len(response.body) <= SMALL_ANSWER_BYTES and request.is_read:
            await response.send(send, headers)
            return
        request.held.add(len(response.body))
        request.held.end = request.abort
        try:
            await request.held.room()
            async with asyncio.timeout(_ANSWER_S + len(response.body) / self._least_rate):
                await response.send(send, headers)
        except (TimeoutError, CrowdedError):
            request.abort()
            raise ClientGoneError from None

    def _record(self, method: str, route: str, status: int, started: float) -> None:
        seconds = time.perf_counter() - started
        self._metrics.count(method if route != "none" else "any", route, status)
        if route == ENVELOPES and method == "POST":
            self._metrics.observe(seconds)
        if self._log_requests or status >= _SERVER_ERROR:
            milliseconds = round(seconds * 1000, 1)
            _log.info("request", method=method, route=route, status=status, ms=milliseconds)


async def _answer(route: Route, request: Request) -> Response:
    try:
        return await route.handle(request)
    except ProblemError as problem:
        return problem.response()
    except UnavailableError as error:
        headers = (retry_after(error.retry_after_s),)
        return json_response({"error": f"{error}: try again later"}, status=503, headers=headers)
    except ClientGoneError:
        raise
    except Exception as error:  # noqa: BLE001 - see below
        # A bug in a handler must not close the connection without a response.
        _log.error(
            "request failed", route=route.path, error=str(DefectError(error)), exc_info=debugging()
        )
        detail = "the gateway failed on this request: see its log"
        return json_response({"error": detail}, status=_SERVER_ERROR)


def _not_found(path: str) -> Response:
    detail = f"there is no route {path[:100]}: see docs/reference/gateway.md"
    return json_response({"error": detail}, status=404)


def _not_allowed(methods: dict[str, Route]) -> Response:
    allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    headers = ((b"allow", allowed.encode()),)
    return json_response({"error": f"use {allowed} here"}, status=405, headers=headers)
