"""Serves the JavaScript client's example page, from an origin that is not the gateway's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.clients.node import CLIENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def page_server(settings: dict[str, Any]) -> AsyncIterator[str]:
    """Serve the page with its settings: gateway, policy and model; gives its address."""

    async def show_settings(_: web.Request) -> web.Response:
        return web.json_response(settings)

    app = web.Application()
    app.router.add_get("/examples/page/settings.json", show_settings)
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
