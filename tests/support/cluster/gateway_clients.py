"""Both clients of a gateway, which a test asks in one way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sealflow.owner import AsyncClient, Client, InferResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealflow.errors import (
        SealflowError,
    )


ROW = np.array([[1, -2, 3, 4]], np.float32)


class GatewayClient(Protocol):
    """One client, whichever."""

    def verify(self) -> Any:
        """Verify the service."""
        ...

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask the model m once."""
        ...

    def call(self, model: Any = "m", **arguments: Any) -> InferResult:
        """Ask with any arguments."""
        ...

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask the model m often; gives outcomes by index."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class ThreadedClient:
    """The client for programs without an event loop."""

    def __init__(self, url: str, policy: Any, **options: Any) -> None:
        self.client = Client(url, policy=policy, **options)

    def verify(self) -> Any:
        """Verify the service."""
        return self.client.verify()

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask once."""
        return self.client.infer("m", tensors={"x": rows}, timeout_s=timeout_s)

    def call(self, model: Any = "m", **arguments: Any) -> InferResult:
        """Ask with any arguments."""
        return self.client.infer(model, **arguments)

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask often."""
        found = self.client.infer_many("m", [{"x": each} for each in rows], **options)
        return {outcome.index: outcome.value for outcome in found}

    def close(self) -> None:
        """Disconnect."""
        self.client.close()


class AsyncioClient:
    """The client for asyncio, in a loop of its own."""

    def __init__(self, url: str, policy: Any, **options: Any) -> None:
        self.client = AsyncClient(url, policy=policy, **options)
        self._runner = asyncio.Runner()

    def verify(self) -> Any:
        """Verify the service."""
        return self._runner.run(self.client.verify())

    def infer(self, rows: Any = ROW, timeout_s: float = 20.0) -> InferResult:
        """Ask once."""
        return self._runner.run(self.client.infer("m", tensors={"x": rows}, timeout_s=timeout_s))

    def call(self, model: Any = "m", **arguments: Any) -> InferResult:
        """Ask with any arguments."""
        return self._runner.run(self.client.infer(model, **arguments))

    def many(self, rows: Iterable[Any], **options: Any) -> dict[int, InferResult | SealflowError]:
        """Ask often."""

        async def run() -> dict[int, InferResult | SealflowError]:
            found = self.client.infer_many("m", [{"x": each} for each in rows], **options)
            return {outcome.index: outcome.value async for outcome in found}

        return self._runner.run(run())

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self.client.close())
        self._runner.close()
