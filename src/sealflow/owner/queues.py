"""Owner: one way in and one way out, as in Cluster Serving, over one `QueueClient`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.owner.queue_client import DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from sealflow.errors import SealflowError
    from sealflow.owner.queue_client import QueueClient
    from sealflow.owner.requests import Image, Tensors
    from sealflow.owner.results import InferResult


class InputQueue:
    """The way in, for one model. Shares its client with an `OutputQueue`."""

    def __init__(self, client: QueueClient, model: str) -> None:
        """Queue requests to `model`: `name` or `name:version`."""
        self._client = client
        self._model = model

    def enqueue(
        self,
        name: str,
        *,
        image: Image | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        **tensors: object,
    ) -> None:
        """Seal and queue one request under an id of yours: an image, or tensors by input name.

        `receipt`: have the worker sign what it did, for others to check (docs/spec/receipt.md).
        Raises: as `QueueClient.enqueue_many`.
        """
        item: Image | Tensors = tensors if image is None else image  # type: ignore[assignment]
        self._client.enqueue_many(
            self._model, {name: item}, top_k=top_k, timeout_s=timeout_s, receipt=receipt
        )


class OutputQueue:
    """The way out."""

    def __init__(self, client: QueueClient) -> None:
        """Read the answers to what was queued by the same client."""
        self._client = client

    def query(self, name: str, *, timeout_s: float = 0.0) -> InferResult | None:
        """Take the result of one id; see `QueueClient.query`."""
        return self._client.query(name, timeout_s=timeout_s)

    def dequeue(self, *, timeout_s: float = 0.0) -> dict[str, InferResult | SealflowError]:
        """Take all outcomes that are there; see `QueueClient.dequeue`."""
        return self._client.dequeue(timeout_s=timeout_s)
