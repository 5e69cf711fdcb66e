"""Host: take sealed model packages in, and say which are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sealflow.errors import MalformedError
from sealflow.host.gateway.request import BodyTooLargeError
from sealflow.host.gateway.response import ProblemError, Response, json_response
from sealflow.wire.ids import parse_digest

if TYPE_CHECKING:
    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.packages import PackageShelf
    from sealflow.host.gateway.request import Request


class PackageRoutes:
    """`PUT /v1/packages/{digest}` and `GET /v1/packages`."""

    def __init__(self, config: GatewayConfig, shelf: PackageShelf | None) -> None:
        """Store on `shelf`; None turns both routes off."""
        self._config = config
        self._shelf = shelf

    async def put(self, request: Request) -> Response:
        """Store one package under the digest of its signed statement."""
        shelf = self._require_shelf()
        limit = self._config.max_package_bytes
        try:
            digest = parse_digest(request.argument)
            pieces = request.pieces(limit, self._config.upload_timeout_s)
            size = await shelf.store(digest, pieces)
        except MalformedError as error:
            detail = (
                f"{error}: the name is the SHA-256 of the package's statement, in lower-case hex"
            )
            raise ProblemError(400, detail, close=True) from error
        except BodyTooLargeError:
            detail = f"packages are at most {limit} bytes here: raise max_package_bytes"
            raise ProblemError(413, detail, close=True) from None
        return json_response({"digest": digest, "bytes": size}, status=201)

    async def list(self, request: Request) -> Response:
        """List digests and sizes."""
        del request
        listing = await asyncio.to_thread(self._require_shelf().listing)
        return json_response({"packages": listing})

    def _require_shelf(self) -> PackageShelf:
        if self._shelf is None:
            detail = "this gateway stores no packages: set packages_dir in its configuration"
            raise ProblemError(404, detail, close=True)
        return self._shelf
