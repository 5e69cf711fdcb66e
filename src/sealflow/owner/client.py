"""Owner: the client for programs without an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sealflow.errors import SealflowError
from sealflow.owner import conversation
from sealflow.owner.http import HttpTransport
from sealflow.owner.policy_file import load_policy
from sealflow.owner.results import Outcome
from sealflow.owner.session import ServiceSession

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from sealflow.attest.policy import AnyPolicy
    from sealflow.attest.requirements import Requirements
    from sealflow.owner.ownerkey import OwnerKey
    from sealflow.owner.requests import Image, Tensors
    from sealflow.owner.results import InferResult
    from sealflow.owner.trust import TrustReport

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CONCURRENCY = 16


class Client:
    """Verifies a service once, then seals requests that only its verified enclaves can open.

    Safe to share between threads; a context manager.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: AnyPolicy | str | os.PathLike[str],
        ca: str | os.PathLike[str] | None = None,
        connections: int = 64,
    ) -> None:
        """Use the gateway at `url` (`https://host:port`); nothing is sent yet.

        `policy`: what to trust, or the path of a policy file. `ca`: PEM file of the gateway's root;
        TLS hides who asks, while what is asked is sealed with or without it.
        Raises: ConfigError.
        """
        self._session = ServiceSession(load_policy(policy))
        self._transport = HttpTransport(
            url, ca=Path(ca) if ca is not None else None, connections=connections
        )

    def verify(self) -> TrustReport:
        """Fetch the service's evidence and directory, and judge them by the policy.

        `infer` does so by itself when it must; this says what was proved.
        Raises: EvidenceError, PolicyError, UnavailableError.
        """
        return self._transport.run(conversation.refresh(self._session))

    def infer(
        self,
        model: str,
        *,
        image: Image | Sequence[Image] | None = None,
        tensors: Tensors | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> InferResult:
        """Have a model answer one request.

        `model`: `name` or `name:version`. `image`: path or bytes of a JPEG or PNG file, or several
        of them as one batch. `tensors`: arrays by input name. `top_k`: how many best classes to
        give instead of the scores; by default 5 for images, and scores for tensors.
        Raises: DeadlineError, ModelError, OpenError, RefusedError, UnavailableError,
        VerificationError, ConfigError.
        """
        return self._transport.run(
            conversation.infer(
                self._session,
                model,
                image=image,
                tensors=tensors,
                top_k=top_k,
                timeout_s=timeout_s,
            )
        )

    def infer_many(
        self,
        model: str,
        inputs: Iterable[Image | Tensors],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Iterator[Outcome]:
        """Have a model answer many requests, `concurrency` at a time; yields them as they finish.

        `inputs`: images or mappings of tensors; read as fast as they are answered. One that fails
        does not end the others: its outcome holds the error.
        """
        numbered = enumerate(inputs)
        with ThreadPoolExecutor(concurrency, thread_name_prefix="sealflow") as pool:
            running: set[Future[Outcome]] = set()
            try:
                for index, item in numbered:
                    running.add(pool.submit(self._one, index, model, item, top_k, timeout_s))
                    if len(running) >= concurrency:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            yield future.result()
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                for future in running:
                    future.cancel()

    def publish(
        self,
        package: bytes | str | os.PathLike[str],
        key: OwnerKey,
        *,
        workers: Requirements | None = None,
    ) -> int:
        """Verify the key broker, upload a sealed package, hand its content key over sealed.

        `workers`: what workers must prove to get it, beyond the deployment's own demands.
        Returns the version of the directory that has the model.
        Raises: VerificationError before anything was sent; BundleError, UnavailableError.
        """
        from sealflow.owner.provisioning import publish  # noqa: PLC0415 - owners of models only

        return self._transport.run(publish(self._session, package, key, workers))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self.close()

    def _one(
        self, index: int, model: str, item: Image | Tensors, top_k: int | None, timeout_s: float
    ) -> Outcome:
        tensors = item if isinstance(item, Mapping) else None
        image = None if isinstance(item, Mapping) else item
        try:
            result = self.infer(
                model, image=image, tensors=tensors, top_k=top_k, timeout_s=timeout_s
            )
        except SealflowError as error:
            return Outcome(index=index, value=error)
        return Outcome(index=index, value=result)
