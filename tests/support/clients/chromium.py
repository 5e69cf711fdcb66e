"""A headless Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM = shutil.which("chromium")
_START_S = 30.0
_ANSWER_S = 60.0


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Speak to a page over its socket."""
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and give its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_ANSWER_S):
            while True:
                message = json.loads((await self._socket.receive()).data)
                self._note(message)
                if message.get("id") == number:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(str(message["params"]["entry"]))

    async def open(self, url: str) -> None:
        """Go to an address, and listen for errors of the page."""
        await self.ask("Runtime.enable")
        await self.ask("Log.enable")
        await self.ask("Page.enable")
        await self.ask("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Compute an expression in the page; promises are awaited."""
        answer = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, within_s: float = 60.0) -> Any:
        """Wait until an expression is true in the page; gives its value."""
        try:
            async with asyncio.timeout(within_s):
                while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - a page
                    await asyncio.sleep(0.1)
                return value
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise AssertionError(f"not within {within_s} s: {shown} {self.complaints}") from None

    async def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an input, as a person does."""
        root = (await self.ask("DOM.getDocument"))["root"]["nodeId"]
        found = await self.ask("DOM.querySelector", nodeId=root, selector=selector)
        await self.ask("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(path)])


@asynccontextmanager
async def chromium_page() -> AsyncIterator[Page]:
    """Start a browser with an empty profile, give its page, and end it."""
    assert PROGRAM is not None
    with TemporaryDirectory(prefix="sf-chromium-") as profile:
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
        process = subprocess.Popen(  # noqa: ASYNC220 - started once, and ended below
            [PROGRAM, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await asyncio.to_thread(_debugging_port, Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                address = f"http://127.0.0.1:{port}/json/new?about:blank"
                async with session.put(address) as answer:
                    target = await answer.json()
                socket_url = target["webSocketDebuggerUrl"]
                async with session.ws_connect(socket_url, max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.terminate()
            process.wait(20)


def _debugging_port(file: Path) -> int:
    until = time.monotonic() + _START_S
    while not file.exists() or not file.read_text():
        assert time.monotonic() < until, "the browser did not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])
