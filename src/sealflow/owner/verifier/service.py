"""Owner: serves a verifier's newest passport over HTTP. It does no work per request.

One task asks the gateway at fixed times whether the service's evidence changed, and renews the
passport. A request gets what that task found.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from sealflow.clock import now_ms
from sealflow.errors import SealflowError, UnavailableError, VerificationError
from sealflow.owner.passport.passport import PROFILE
from sealflow.owner.verifier.appraisal import fetch_changed_evidence
from sealflow.streams.address import http_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sealflow.attest.evidence import Evidence
    from sealflow.owner.http.async_transport import AsyncHttpTransport
    from sealflow.owner.verifier.appraisal import Appraiser, IssuedPassport

POLL_S: Final = 10.0
PATH: Final = "/v1/passport"
MAX_BODY_BYTES: Final = 1024
KEEP_ALIVE_S: Final = 10.0
MEDIA_TYPE: Final = f'application/eat+jwt; eat_profile="{PROFILE}"'
_EVERYWHERE: Final = {"access-control-allow-origin": "*"}
"""Pages of any origin may read a passport: it is public, and nothing depends on cookies."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """The address and port that a verifier listens on; port 0 chooses a free one."""

    host: str = "127.0.0.1"
    port: int = 8480


async def serve_answer(
    path: str,
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    renew_forever: Coroutine[object, object, None],
    address: ServiceAddress,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Answer GET requests for one path until `stop` is set, while `renew_forever` runs.

    `ready` gets the URL once connections are taken.

    Raises: OSError when the address cannot be listened on.
    """
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_get(path, answer)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=KEEP_ALIVE_S)
    await runner.setup()
    renewing = asyncio.create_task(renew_forever)
    stopping = asyncio.create_task(stop.wait())
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        host, port = runner.addresses[0][:2]
        ready(f"{http_url(host, port)}{path}")
        await asyncio.wait({stopping, renewing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        renewing.cancel()
        stopping.cancel()
        await runner.cleanup()
        with suppress(asyncio.CancelledError):
            await renewing


class PassportService:
    """A verifier of one service, which keeps one passport. Use it in one event loop."""

    def __init__(
        self,
        appraiser: Appraiser,
        transport: AsyncHttpTransport,
        *,
        poll_s: float = POLL_S,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """Set the parts; `serve` starts the work.

        `transport`: to the gateway of the service. `poll_s`: how often to ask it for changes.
        """
        self._appraiser = appraiser
        self._transport = transport
        self._poll_s = poll_s
        self._clock_ms = clock_ms
        self._tag = ""
        self._evidence: Evidence | None = None
        self._passport: IssuedPassport | None = None
        self._problem = "no evidence was appraised yet"

    async def serve(
        self, address: ServiceAddress, ready: Callable[[str], None], stop: asyncio.Event
    ) -> None:
        """Serve until `stop` is set; call `ready` with the URL once connections are taken.

        Raises: OSError when the address cannot be listened on.
        """
        try:
            await serve_answer(PATH, self.answer, self._renew_forever(), address, ready, stop)
        finally:
            await self._transport.close()

    async def answer(self, _request: web.Request) -> web.Response:
        """Return the passport, or status 503 and the reason why there is none."""
        passport, now = self._passport, self._clock_ms()
        if passport is None or now >= passport.expires_ms:
            body = json.dumps({"error": self._problem})
            headers = {**_EVERYWHERE, "retry-after": str(int(self._poll_s) + 1)}
            return web.json_response(text=body, status=503, headers=headers)
        headers = {
            **_EVERYWHERE,
            "cache-control": f"max-age={int(self._poll_s)}",
            "content-type": MEDIA_TYPE,
        }
        return web.Response(body=passport.token.encode(), headers=headers)

    async def renew(self) -> None:
        """Ask for changed evidence; issue a passport if it changed, or half of the last is over.

        Evidence that does not pass withdraws the passport. If the gateway is away, the passport
        stays until it ends. The reason is logged once, and part of later answers.
        """
        try:
            await self._renew()
        except UnavailableError as error:
            self._note(f"the service is not available: {error}")
        except SealflowError as error:
            self._passport, self._evidence, self._tag = None, None, ""
            word = "was refused" if isinstance(error, VerificationError) else "cannot be read"
            self._note(f"the service's evidence {word}: {error}")

    async def _renew(self) -> None:
        evidence, tag = await self._transport.run_steps(fetch_changed_evidence(self._tag))
        now = self._clock_ms()
        changed = evidence is not None and evidence != self._evidence
        if evidence is not None:
            self._tag, self._evidence = tag, evidence
        passport = self._passport
        half_over = passport is None or 2 * now >= passport.issued_ms + passport.expires_ms
        if self._evidence is None or not (changed or half_over):
            return
        self._passport = await asyncio.to_thread(self._appraiser.issue, self._evidence, now)
        self._problem = "the passport is over, and the service did not answer since"

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("%s", problem)
        self._problem = problem

    async def _renew_forever(self) -> None:
        while True:
            await self.renew()
            await asyncio.sleep(self._poll_s)
