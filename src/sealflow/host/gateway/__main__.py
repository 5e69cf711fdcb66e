"""Host: the entry point of the gateway: `python -m sealflow.host.gateway CONFIG.toml`."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from typing import TYPE_CHECKING

import structlog
import uvicorn

from sealflow.errors import ConfigError
from sealflow.host.gateway.bounded_connection import bounded_connection
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.gateway.service import GatewayService
from sealflow.host.service import run_service
from sealflow.streams.address import http_url, without_brackets

if TYPE_CHECKING:
    from types import FrameType

_log = structlog.get_logger()

_BACKLOG = 2048
_SHUTDOWN_MARGIN_S = 2


class _Server(uvicorn.Server):
    """A uvicorn server that drains the service when a signal stops it."""

    def __init__(self, config: uvicorn.Config, service: GatewayService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # This replaces uvicorn's handler, which raises the signal again after serving, and so would
        # end the process before the service is closed.
        del frame
        self._service.drain()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def main() -> None:
    """Run until SIGTERM or SIGINT; exit with status 1 and the reason after an error."""
    run_service(GatewayConfig, _run)


def _run(config: GatewayConfig) -> None:
    listener = _listen(config)
    server_config = _server_config(config)
    with asyncio.Runner(loop_factory=server_config.get_loop_factory()) as runner:
        runner.run(_serve(config, server_config, listener))


async def _serve(
    config: GatewayConfig, server_config: uvicorn.Config, listener: socket.socket
) -> None:
    host, port = listener.getsockname()[:2]
    url = http_url(host, port, tls=config.tls_certificate is not None)
    service = GatewayService(config, url=url)
    server_config.app = service.gateway
    server_config.http = bounded_connection(config.header_timeout_s, service.held, service.peers)
    server_config.load()
    await service.start()
    _log.info("listening", url=service.url)
    try:
        await _Server(server_config, service).serve(sockets=[listener])
    finally:
        # Closing takes a bounded time; a second signal must not interrupt it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        await service.close()


def _listen(config: GatewayConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        address = without_brackets(config.host), config.port
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}; use another --port"
        ) from error


def _server_config(config: GatewayConfig) -> uvicorn.Config:
    if config.tls_certificate is not None:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(config.tls_certificate, config.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"tls_certificate {config.tls_certificate}, tls_key {config.tls_key}: {error}"
            ) from error
    return uvicorn.Config(
        "",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        date_header=False,
        limit_concurrency=config.max_connections,
        backlog=_BACKLOG,
        timeout_keep_alive=int(config.keep_alive_s),
        timeout_graceful_shutdown=int(config.drain_s) + _SHUTDOWN_MARGIN_S,
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )


if __name__ == "__main__":
    main()
