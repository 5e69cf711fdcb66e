"""Owner: the client for asyncio."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sealflow.errors import SealflowError
from sealflow.owner.client import inference
from sealflow.owner.client.arguments import check_concurrency
from sealflow.owner.client.inference import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT_S
from sealflow.owner.client.request import split_item
from sealflow.owner.client.result import Outcome
from sealflow.owner.http import gateway_api
from sealflow.owner.http.async_transport import AsyncHttpTransport
from sealflow.owner.trust import directory_refresh
from sealflow.owner.trust.policy_file import load_policy, pin_beside
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


class AsyncClient:
    """As `Client`, for asyncio: its methods are awaited. Belongs to one event loop.

    Use it in an `async with` block, or await `close`.

    Args:
        url: As in `Client`.
        policy: As in `Client`.
        ca: As in `Client`.
        pin: As in `Client`.
        insecure_unpinned: As in `Client`.
        accept_gap: Accept a newer directory although the log that leads to it from the pinned one
            is withheld. A fork then goes unseen, so do it once, and when the owner says so.
        connections: Largest number of connections to the gateway.
        tenant_token: As in `Client`.

    Raises:
        ConfigError: As `Client`.

    Example:
        >>> import asyncio
        >>> url = "http://127.0.0.1:8470"
        >>> async def classify(photo):
        ...     async with AsyncClient(url, policy=".sealflow/client.toml") as client:
        ...         return await client.infer("efficientnet-lite0", image=photo)
        >>> print(asyncio.run(classify("cat.jpg")).top[0])
        tiger cat 0.3832
    """

    def __init__(  # noqa: PLR0913 - the options of a client
        self,
        url: str,
        *,
        policy: TrustPolicy | str | os.PathLike[str],
        ca: str | os.PathLike[str] | None = None,
        pin: str | os.PathLike[str] | None = None,
        insecure_unpinned: bool = False,
        accept_gap: bool = False,
        connections: int = 256,
        tenant_token: str | os.PathLike[str] | None = None,
    ) -> None:
        self._session = ServiceSession(
            load_policy(policy),
            pin=None if insecure_unpinned else pin or pin_beside(policy),
            accept_gap=accept_gap,
            tenant_token=tenant_token,
        )
        self._transport = AsyncHttpTransport(
            url, ca=Path(ca) if ca is not None else None, connections=connections
        )

    async def verify(
        self, *, fresh: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> TrustReport:
        """As `Client.verify`, awaited."""
        from sealflow.owner.trust.report import TrustReport  # noqa: PLC0415 - loads the verifier

        verify = directory_refresh.verify_fresh if fresh else directory_refresh.refresh
        steps = verify(self._session, timeout_s=timeout_s)
        return TrustReport(await self._transport.run_steps(steps))

    async def infer(  # noqa: PLR0913 - the options of a request
        self,
        model: str,
        *,
        image: Image | Sequence[Image] | None = None,
        tensors: Tensors | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        share_batch: bool = False,
    ) -> InferResult:
        """As `Client.infer`, awaited."""
        return await self._transport.run_steps(
            inference.infer(
                self._session,
                model,
                image=image,
                tensors=tensors,
                top_k=top_k,
                timeout_s=timeout_s,
                receipt=receipt,
                share_batch=share_batch,
            )
        )

    async def infer_many(  # noqa: PLR0913 - the options of a request
        self,
        model: str,
        inputs: Iterable[Image | Tensors],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        share_batch: bool = False,
    ) -> AsyncIterator[Outcome]:
        """As `Client.infer_many`, with `async for`; leaving the loop cancels what is on its way."""
        check_concurrency(concurrency)
        running: set[asyncio.Task[Outcome]] = set()
        try:
            for index, item in enumerate(inputs):
                one = self._infer_one(
                    index,
                    model,
                    item,
                    top_k,
                    timeout_s,
                    receipt=receipt,
                    share_batch=share_batch,
                )
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
        """As `Client.publish`, awaited."""
        from sealflow.owner.models.publish import publish  # noqa: PLC0415 - owners of models only

        return await self._transport.run_steps(
            publish(self._session, package, key, workers=workers)
        )

    async def revoke(self, revoked: Revoked | Sequence[Revoked], key: OwnerKey) -> int:
        """As `Client.revoke`, awaited."""
        from sealflow.owner.models.revoke import revoke  # noqa: PLC0415 - owners of models only

        return await self._transport.run_steps(revoke(self._session, revoked, key))

    async def fetch_log(self, first: int = 0) -> list[bytes]:
        """As `Client.fetch_log`, awaited."""
        return await self._transport.run_steps(gateway_api.fetch_log(first))

    async def close(self) -> None:
        """As `Client.close`, awaited."""
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

    async def _infer_one(  # noqa: PLR0913 - the options of a request
        self,
        index: int,
        model: str,
        item: Image | Tensors,
        top_k: int | None,
        timeout_s: float,
        *,
        receipt: bool,
        share_batch: bool,
    ) -> Outcome:
        image, tensors = split_item(item)
        try:
            result = await self.infer(
                model,
                image=image,
                tensors=tensors,
                top_k=top_k,
                timeout_s=timeout_s,
                receipt=receipt,
                share_batch=share_batch,
            )
        except SealflowError as error:
            return Outcome(index=index, value=error)
        return Outcome(index=index, value=result)
