"""Serves the JavaScript client's example page, and the gateway's paths from the same origin."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from tests.support.clients.node import CLIENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def page_server(gateway: str, policy: dict[str, Any], model: str) -> AsyncIterator[str]:
    """Serve the page with its settings; gives its address."""
    settings = {"gateway": "/", "model": model, "policy": policy}

    async def show_settings(_: web.Request) -> web.Response:
        return web.json_response(settings)

    async def forward(request: web.Request) -> web.Response:
        kept = {"content-type"} & {name.lower() for name in request.headers}
        headers = {name: request.headers[name] for name in kept}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                f"{gateway}{request.rel_url}",
                data=await request.read(),
                headers=headers,
            ) as answer,
        ):
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"content-type": answer.headers["content-type"]},
            )

    app = web.Application(client_max_size=32 << 20)
    app.router.add_get("/examples/page/settings.json", show_settings)
    app.router.add_route("*", "/v1/{path:.*}", forward)
    app.router.add_static("/", CLIENT)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/examples/page/index.html"
    finally:
        await runner.cleanup()
