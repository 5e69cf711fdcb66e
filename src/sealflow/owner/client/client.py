"""Owner: the client for programs without an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sealflow.errors import SealflowError
from sealflow.owner.client import inference
from sealflow.owner.client.bounded_map import bounded_map
from sealflow.owner.client.result import Outcome
from sealflow.owner.http import gateway_api
from sealflow.owner.http.transport import HttpTransport
from sealflow.owner.trust import directory_refresh
from sealflow.owner.trust.policy_file import load_policy
from sealflow.owner.trust.session import ServiceSession

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence
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


class Client:
    """Verifies a service once, then seals requests that only its verified enclaves can open.

    Safe to share between threads; a context manager.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: TrustPolicy | str | os.PathLike[str],
        ca: str | os.PathLike[str] | None = None,
        pin: str | os.PathLike[str] | None = None,
        connections: int = 64,
    ) -> None:
        """Use the gateway at `url` (`https://host:port`); nothing is sent yet.

        `policy`: what to trust, or the path of a policy file. `ca`: PEM file of the gateway's root;
        TLS hides who asks, while what is asked is sealed with or without it. `pin`: a file that
        remembers the newest directory, so that older ones are refused after a restart, too.
        Raises: ConfigError.
        """
        self._session = ServiceSession(load_policy(policy), pin=None if pin is None else Path(pin))
        self._transport = HttpTransport(
            url, ca=Path(ca) if ca is not None else None, connections=connections
        )

    def verify(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> TrustReport:
        """Fetch the service's evidence and directory, and judge them by the policy.

        `infer` does so by itself when it must; this says what was proved. `timeout_s`: in all.
        Raises: EvidenceError, PolicyError, UnavailableError.
        """
        return self._transport.run_steps(
            directory_refresh.refresh(self._session, timeout_s=timeout_s)
        )

    def infer(
        self,
        model: str,
        *,
        image: Image | Sequence[Image] | None = None,
        tensors: Tensors | None = None,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
    ) -> InferResult:
        """Have a model answer one request.

        `model`: `name` or `name:version`. `image`: path or bytes of a JPEG or PNG file, or several
        of them as one batch. `tensors`: arrays by input name. `top_k`: how many best classes to
        give instead of the scores; by default 5 for images, and scores for tensors. `receipt`: have
        the worker sign what it did, for others to check (docs/spec/receipt.md).
        Raises: DeadlineError, ModelError, OpenError, RefusedError, UnavailableError,
        VerificationError, ConfigError.
        """
        return self._transport.run_steps(
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

    def infer_many(
        self,
        model: str,
        inputs: Iterable[Image | Tensors],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
    ) -> Iterator[Outcome]:
        """Have a model answer many requests, `concurrency` at a time; yields them as they finish.

        `inputs`: images or mappings of tensors; read as fast as they are answered. One that fails
        does not end the others: its outcome holds the error. Whoever stops listening waits for none
        of those that are on their way.
        """

        def one(index: int, item: Image | Tensors) -> Outcome:
            return self._one(index, model, item, top_k, timeout_s, receipt=receipt)

        return bounded_map(one, inputs, concurrency)

    def publish(
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

        return self._transport.run_steps(publish(self._session, package, key, workers=workers))

    def revoke(self, revoked: Revoked, key: OwnerKey) -> int:
        """Revoke a worker instance, a model package or an epoch key, for good.

        Returns the version of the directory that lists it.
        Raises: ConfigError when `key` may not, VerificationError, UnavailableError.
        """
        from sealflow.owner.models.revoke import revoke  # noqa: PLC0415 - owners of models only

        return self._transport.run_steps(revoke(self._session, revoked, key))

    def log(self, first: int = 0) -> list[bytes]:
        """Fetch the records of the key broker's log from number `first` on, as far as served.

        They prove nothing by themselves: see `sealflow.owner.audit.log_audit`.
        Raises: UnavailableError.
        """
        return self._transport.run_steps(gateway_api.fetch_log(first))

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
            result = self.infer(
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
