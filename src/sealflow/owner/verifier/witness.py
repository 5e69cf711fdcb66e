"""Owner: a witness of the key broker's log, which serves its newest cosignature over HTTP.

It signs the head of a published directory only after its own pin accepted that directory: so each
head that it ever signed continues the ones before. It does no work per request. Spec: witness.md.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from sealflow.attest.verifiers import ED25519, TrustedWitness
from sealflow.clock import now_ms
from sealflow.errors import ConfigError, SealflowError
from sealflow.owner.http.gateway_api import DIRECTORY_TIMEOUT_S
from sealflow.owner.http.steps import HttpRequest, send
from sealflow.owner.trust.directory_refresh import refresh
from sealflow.owner.trust.session import ServiceSession
from sealflow.owner.verifier.service import serve_answer
from sealflow.owner.witness.cosignature import cosign, log_checkpoint_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealflow.owner.http.async_transport import AsyncHttpTransport
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.verifier.service import ServiceAddress
    from sealflow.owner.verifier.verifier_key import VerifierKey

POLL_S: Final = 1.0
RENEW_S: Final = 30
"""After so many seconds a head that is still the newest one is signed again, with the new time."""
PATH: Final = "/v1/cosignature"
_UNCHANGED: Final = 304
_log = logging.getLogger(__name__)


class WitnessService:
    """A witness of one service's log. Use it in one event loop."""

    def __init__(
        self,
        policy: TrustPolicy,
        state: Path,
        key: VerifierKey,
        name: str,
        *,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """Read the state; `serve` starts the work.

        `policy`: for the key broker; what it demands of witnesses is left out. `state`: the pin of
        the newest head that was signed. `name`: of the witness, as policies know it.

        Raises: ConfigError when the key is not of Ed25519, or the state is not a pin.
        """
        trusted = key.trusted("witness")
        if trusted.curve != ED25519:
            raise ConfigError("a witness signs with a key of Ed25519: this one is of P-256")
        self.witness = TrustedWitness(name=name, public=trusted.public)
        self._key = key
        self._domain = policy.tee.domain
        self._session = ServiceSession(replace(policy, log=None), pin=state, clock_ms=clock_ms)
        self._clock_ms = clock_ms
        self._tag = ""
        self._note = ""
        self._signed = ("", 0)
        self._problem = "no directory was verified yet"

    async def serve(
        self,
        transport: AsyncHttpTransport,
        address: ServiceAddress,
        ready: Callable[[str], None],
        stop: asyncio.Event,
    ) -> None:
        """Serve until `stop` is set; call `ready` with the URL once connections are taken.

        `transport`: to the gateway of the service.

        Raises: OSError when the address cannot be listened on.
        """
        watching = self._watch_forever(transport)
        try:
            await serve_answer(PATH, self.answer, watching, address, ready, stop)
        finally:
            await transport.close()

    async def answer(self, _request: web.Request) -> web.Response:
        """Return the newest cosigned checkpoint, or status 503 and why there is none."""
        if not self._note:
            body = json.dumps({"error": self._problem})
            return web.json_response(text=body, status=503, headers={"retry-after": "2"})
        return web.Response(text=self._note, headers={"cache-control": "no-cache"})

    async def watch(self, transport: AsyncHttpTransport) -> None:
        """Look at the published directory once, and sign its log's head if it continues all before.

        One that does not is logged, and nothing is signed: what was signed before stays true.
        """
        try:
            if await self._changed(transport):
                await transport.run_steps(refresh(self._session))
            self._sign()
        except SealflowError as error:
            self._tag = ""
            if str(error) != self._problem:
                _log.warning("nothing is signed: %s", error)
            self._problem = str(error)

    async def _changed(self, transport: AsyncHttpTransport) -> bool:
        """Return whether the gateway has another document than at the last look."""
        headers = {"if-none-match": self._tag} if self._tag else {}
        request = HttpRequest(
            method="GET", path="/v1/directory", headers=headers, timeout_s=DIRECTORY_TIMEOUT_S
        )
        response = await transport.run_steps(send(request))
        self._tag = response.headers.get("etag", self._tag)
        return response.status != _UNCHANGED

    def _sign(self) -> None:
        verified, now_s = self._session.verified, self._clock_ms() // 1000
        if verified is None or self._clock_ms() >= verified.valid_until_ms:
            raise ConfigError("the verified directory has ended")
        if verified.log is None:
            raise ConfigError("the key broker is of a release before 0.2: its log has no tree")
        text = log_checkpoint_text(verified.log, verified.directory.log_id, self._domain)
        signed, at_s = self._signed
        if text != signed or now_s >= at_s + RENEW_S:
            line = cosign(text, self.witness, self._key.sign, now_s)
            self._note, self._signed = f"{text}\n{line}\n", (text, now_s)
            self._problem = ""

    async def _watch_forever(self, transport: AsyncHttpTransport) -> None:
        while True:
            await self.watch(transport)
            await asyncio.sleep(POLL_S)
