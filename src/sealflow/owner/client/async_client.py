"""Owner: the client for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sealflow.errors import SealflowError
from sealflow.owner.client import inference
from sealflow.owner.client.result import Outcome
from sealflow.owner.http import gateway_api
from sealflow.owner.http.async_transport import AsyncHttpTransport
from sealflow.owner.trust import directory_refresh
from sealflow.owner.trust.policy_file import load_policy
from sealflow.owner.trust.session import ServiceSession

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterable, Sequence
    from types import TracebackType

    from sealflow.attest.requirements import Requirements
    from sealflow.documents.revocation import Revoked
    from sealflow.owner.client.request import Image, Tensors
    from sealflow.owner.client.result import InferResult
    from sealflow.owner.models.owner_key import OwnerKey
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.trust.report import TrustReport

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CONCURRENCY = 16


class AsyncClient:
    """As `Client`, for asyncio; belongs to one event loop."""

    def __init__(
        self,
        url: str,
        *,
        policy: TrustPolicy | str | os.PathLike[str],
        ca: str | os.PathLike[str] | None = None,
        pin: str | os.PathLike[str] | None = None,
        connections: int = 256,
    ) -> None:
        """Use the gateway at `url`; see `Client`.

        Raises: ConfigError.
        """
        self._session = ServiceSession(load_policy(policy), pin=None if pin is None else Path(pin))
        self._transport = AsyncHttpTransport(
            url, ca=Path(ca) if ca is not None else None, connections=connections
        )

    async def verify(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> TrustReport:
        """Fetch the service's evidence and directory, and judge them; see `Client.verify`."""
        return await self._transport.run_steps(
            directory_refresh.refresh(self._session, timeout_s=timeout_s)
        )

    async def infer(
        self,
        model: str,
        *,
        image: Image | Sequence[Image] | None = None,
        tensors: Tensors | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
    ) -> InferResult:
        """Have a model answer one request; see `Client.infer`."""
        return await self._transport.run_steps(
            inference.infer(
                self._session,
                model,
                image=image,
                tensors=tensors,
                top_k=top_k,
                timeout_s=timeout_s,
                receipt=receipt,
            )
        )

    async def infer_many(
        self,
        model: str,
        inputs: Iterable[Image | Tensors],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
    ) -> AsyncIterator[Outcome]:
        """Have a model answer many requests; see `Client.infer_many`."""
        running: set[asyncio.Task[Outcome]] = set()
        try:
            for index, item in enumerate(inputs):
                one = self._one(index, model, item, top_k, timeout_s, receipt=receipt)
                running.add(asyncio.create_task(one))
                if len(running) >= concurrency:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def publish(
        self,
        package: bytes | str | os.PathLike[str],
        key: OwnerKey,
        *,
        workers: Requirements | None = None,
    ) -> int:
        """Upload a sealed package, verify the key broker anew, hand the content key over to it.

        `workers`: what workers must prove to get this model, beyond the deployment's own demands.
        Returns the version of the directory that has the model.
        Raises: VerificationError before a key was sent; BundleError, UnavailableError.
        """
        from sealflow.owner.models.publish import publish  # noqa: PLC0415 - owners of models only

        return await self._transport.run_steps(
            publish(self._session, package, key, workers=workers)
        )

    async def revoke(self, revoked: Revoked, key: OwnerKey) -> int:
        """Revoke a worker instance, a model package or an epoch key, for good.

        Returns the version of the directory that lists it.
        Raises: ConfigError when `key` may not, VerificationError, UnavailableError.
        """
        from sealflow.owner.models.revoke import revoke  # noqa: PLC0415 - owners of models only

        return await self._transport.run_steps(revoke(self._session, revoked, key))

    async def log(self, first: int = 0) -> list[bytes]:
        """Fetch the records of the key broker's log from number `first` on, as far as served.

        They prove nothing by themselves: see `sealflow.owner.audit.log_audit`.
        Raises: UnavailableError.
        """
        return await self._transport.run_steps(gateway_api.fetch_log(first))

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """Use it in an `async with` block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()

    async def _one(
        self,
        index: int,
        model: str,
        item: Image | Tensors,
        top_k: int | None,
        timeout_s: float,
        *,
        receipt: bool,
    ) -> Outcome:
        tensors = item if isinstance(item, Mapping) else None
        image = None if isinstance(item, Mapping) else item
        try:
            result = await self.infer(
                model,
                image=image,
                tensors=tensors,
                top_k=top_k,
                timeout_s=timeout_s,
                receipt=receipt,
            )
        except SealflowError as error:
            return Outcome(index=index, value=error)
        return Outcome(index=index, value=result)
