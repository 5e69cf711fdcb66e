"""Host, gateway: permission for browsers to show answers to pages of other origins (CORS).

Nothing here grants access: a page can do with the gateway what any other client can. No cookie or
login is ever asked for or allowed. Source: Fetch standard, section 3.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError
from sealflow.host.gateway.http import ProblemError, Response

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealflow.host.gateway.http import Header, Request

ANY_ORIGIN: Final = "*"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORT: Final = re.compile(r"http://.*:80|https://.*:443")
_VARY: Final[Header] = (b"vary", b"origin")
_EXPOSED: Final[Header] = (
    b"access-control-expose-headers",
    b"etag, location, preference-applied, retry-after, sealflow-simulated",
)
_PERMISSION: Final[tuple[Header, ...]] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"content-type, if-none-match, prefer"),
    (b"access-control-max-age", b"7200"),
)
"""What a page may send, for as many seconds as Chromium remembers at most."""


class CrossOrigin:
    """The origins whose pages may read answers; without any, no answer mentions CORS.

    `origins`: exact origins as browsers send them, such as `https://app.example`; or `*` alone for
    all.

    Raises: ConfigError when one is not an origin.
    """

    def __init__(self, origins: Collection[str]) -> None:
        for origin in origins:
            if origin == ANY_ORIGIN and len(origins) == 1:
                continue
            if not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin):
                raise ConfigError(
                    f"cors_origins: {origin!r} is not an origin as browsers send it, such as "
                    "https://app.example or http://localhost:3000: lower case, without a path and "
                    'without a default port; or ["*"] alone'
                )
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY_ORIGIN in origins
        self.enabled = bool(origins)

    def allows(self, request: Request) -> bool:
        """Return whether a request comes from a page that may read its answer."""
        origin = request.header(b"origin")
        return origin is not None and (self._any or origin in self._origins)

    def headers(self, request: Request) -> tuple[Header, ...]:
        """Return the headers for the answer to a request."""
        if self._any:
            return (b"access-control-allow-origin", b"*"), _EXPOSED
        if not self._origins:
            return ()
        origin = request.header(b"origin")
        if origin is None or origin not in self._origins:
            return (_VARY,)
        return (b"access-control-allow-origin", origin), _EXPOSED, _VARY

    async def preflight(self, request: Request) -> Response:
        """Tell a browser what a page may send: the route `OPTIONS` of each path.

        Raises: ProblemError (403) when the origin is not allowed.
        """
        if not self.allows(request):
            raise ProblemError(403, "pages of this origin may not read answers: see cors_origins")
        return Response(status=204, headers=_PERMISSION)
