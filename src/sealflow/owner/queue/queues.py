"""Owner: `InputQueue` and `OutputQueue`, the two ends of the queue as in BigDL Cluster Serving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealflow.errors import InvalidInputError
from sealflow.owner.client.arguments import check_tensors
from sealflow.owner.queue.client import DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from sealflow.errors import SealflowError
    from sealflow.owner.client.request import Image, Tensors
    from sealflow.owner.client.result import InferResult
    from sealflow.owner.queue.client import QueueClient


class InputQueue:
    """The way into the queue, for one model. Shares its client with an `OutputQueue`.

    Args:
        client: An open client of the queue.
        model: `name` for the default version, or `name:version`.

    Example:
        >>> requests, answers = InputQueue(queue, "tiny"), OutputQueue(queue)
        >>> requests.enqueue("d", x=[[1.0, 2.0, 3.0, 4.0]])
        >>> answers.query("d", timeout_s=10.0).model
        ModelRef(name='tiny', version='1')
    """

    def __init__(self, client: QueueClient, model: str) -> None:
        self._client = client
        self._model = model

    def enqueue(  # noqa: PLR0913 - the options of a request
        self,
        name: str,
        *,
        image: Image | None = None,
        tensors: Tensors | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        share_batch: bool = False,
        **more_tensors: object,
    ) -> None:
        """Seal one request and put it into the queue; wait while it is full.

        Args:
            name: An id of your choice, which never leaves this client.
            image: Path or bytes of a JPEG or PNG file.
            tensors: Arrays by input name, in place of an image: for inputs whose names are those of
                other arguments, such as `image` and `name`.
            top_k: As in `QueueClient.enqueue_many`.
            timeout_s: Time limit for the request until its reply, in seconds.
            receipt: Ask the worker for a signed receipt (docs/spec/receipt.md).
            share_batch: As in `Client.infer`.
            **more_tensors: Arrays by input name, besides `tensors`.

        Raises:
            InvalidInputError: There are an image and tensors; and as `QueueClient.enqueue_many`.
            SealflowError: As `QueueClient.enqueue_many`.

        Example:
            >>> InputQueue(queue, "efficientnet-lite0").enqueue("e", image="cat.jpg")
            >>> print(OutputQueue(queue).query("e", timeout_s=10.0).top[0])
            tiger cat 0.3832
        """
        if tensors is not None:
            check_tensors(tensors)
        arrays: dict[str, Any] = {**(tensors or {}), **more_tensors}
        if image is not None and arrays:
            raise InvalidInputError(f"give image=, or tensors: {', '.join(arrays)}")
        item: Image | Tensors = arrays if image is None else image
        self._client.enqueue_many(
            self._model,
            {name: item},
            top_k=top_k,
            timeout_s=timeout_s,
            receipt=receipt,
            share_batch=share_batch,
        )


class OutputQueue:
    """The way out of the queue: results of what the same client queued.

    Args:
        client: The client that the `InputQueue` uses.

    Example:
        >>> InputQueue(queue, "tiny").enqueue("f", x=[[1.0, 2.0, 3.0, 4.0]])
        >>> list(OutputQueue(queue).dequeue(timeout_s=10.0))
        ['f']
    """

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    def query(self, name: str, *, timeout_s: float = 0.0) -> InferResult | None:
        """As `QueueClient.query`."""
        return self._client.query(name, timeout_s=timeout_s)

    def dequeue(self, *, timeout_s: float = 0.0) -> dict[str, InferResult | SealflowError]:
        """As `QueueClient.dequeue`."""
        return self._client.dequeue(timeout_s=timeout_s)
