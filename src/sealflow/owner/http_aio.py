"""Owner: HTTP to a gateway for programs with an event loop. Everything read back is untrusted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.errors import SealflowError, UnavailableError
from sealflow.owner.http import RECEIVE_BYTES, tls_context, unreachable
from sealflow.owner.http_messages import Address, AnswerReader, body_pieces, request_head
from sealflow.owner.steps import Answer, Ask, Pause, Steps, T

if TYPE_CHECKING:
    from pathlib import Path


class AsyncHttpTransport:
    """As `HttpTransport`, for asyncio; belongs to one event loop."""

    def __init__(self, url: str, *, ca: Path | str | None, connections: int) -> None:
        """Use the gateway at `url`. `ca`: PEM file of the roots to trust instead of the system's.

        Raises: ConfigError.
        """
        self._url = url
        self._address = Address.parse(url)
        self._tls = tls_context(ca) if self._address.tls else None
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def run(self, steps: Steps[T]) -> T:
        """Drive a conversation to its end.

        Raises: whatever the conversation raises.
        """
        try:
            event = next(steps)
            while True:
                match event:
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        event = steps.send(None)
                    case Ask():
                        try:
                            answer = await self._send(event)
                        except SealflowError as error:
                            event = steps.throw(error)
                        else:
                            event = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    async def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            connection = self._idle.pop()
            connection.writer.close()
            with suppress(OSError):
                await connection.writer.wait_closed()

    async def _send(self, ask: Ask) -> Answer:
        try:
            async with asyncio.timeout(ask.timeout_s), self._free:
                return await self._exchange(ask)
        except TimeoutError as error:
            raise unreachable(self._url, "no answer in time") from error
        except (OSError, UnavailableError) as error:
            raise unreachable(self._url, error) from error

    async def _exchange(self, ask: Ask) -> Answer:
        connection = self._take_idle() or await self._connect()
        try:
            await self._write(connection.writer, ask)
            reader = AnswerReader()
            answer = None
            while answer is None:
                answer = reader.take(await connection.reader.read(RECEIVE_BYTES))
        except BaseException:
            connection.writer.transport.abort()
            raise
        if reader.reusable:
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer

    async def _write(self, writer: asyncio.StreamWriter, ask: Ask) -> None:
        head = request_head(self._address, ask)
        # A gateway that refuses early answers before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in body_pieces(ask.body):
                writer.write(head + piece)
                await writer.drain()
                head = b""

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            # The gateway may have closed it since.
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        address = self._address
        reader, writer = await asyncio.open_connection(
            address.host,
            address.port,
            limit=RECEIVE_BYTES,
            ssl=self._tls,
            server_hostname=address.host if self._tls else None,
        )
        return _Connection(reader, writer)


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
