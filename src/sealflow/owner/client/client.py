"""Owner: the client for programs without an event loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from sealflow.errors import SealflowError
from sealflow.owner.client import inference
from sealflow.owner.client.arguments import check_concurrency
from sealflow.owner.client.bounded_map import bounded_map
from sealflow.owner.client.inference import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT_S
from sealflow.owner.client.request import split_item
from sealflow.owner.client.result import Outcome
from sealflow.owner.http import gateway_api
from sealflow.owner.http.transport import HttpTransport
from sealflow.owner.trust import directory_refresh
from sealflow.owner.trust.policy_file import load_policy, pin_beside
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


class Client:
    """A client of a gateway: verifies the service, seals requests, opens replies.

    Only enclaves that meet the policy can open what it sends. Nothing is sent before the first
    call. Threads may share a client. Use it in a `with` block, or call `close`.

    Args:
        url: The gateway, as `https://host:port`.
        policy: What to trust: a policy, or the path of a policy file.
        ca: Path of a PEM file with the root of the gateway's certificate. Default: the system's
            roots. TLS hides who asks; what is asked is sealed with or without it.
        pin: Path of a file that remembers the newest directory, so that an older one is refused
            after a restart, too. Processes may share it. Default: the policy's path with the suffix
            `.pin`; without a path, the client remembers it as long as it lives.
        insecure_unpinned: Keep no such file. After a restart, the client takes an older directory
            and another history for the first one that it sees.
        accept_gap: Accept a newer directory although the log that leads to it from the pinned one
            is withheld. A fork then goes unseen, so do it once, and when the owner says so.
        connections: Largest number of connections to the gateway.
        tenant_token: Path of the file with a tenant's token, where the deployment serves tenants.

    Raises:
        ConfigError: `url`, policy file, `ca` or `pin` is wrong. The message says which.

    Example:
        >>> with Client("http://127.0.0.1:8470", policy=".sealflow/client.toml") as client:
        ...     print(client.infer("efficientnet-lite0", image="cat.jpg").top[0])
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
        connections: int = 64,
        tenant_token: str | os.PathLike[str] | None = None,
    ) -> None:
        self._session = ServiceSession(
            load_policy(policy),
            pin=None if insecure_unpinned else pin or pin_beside(policy),
            accept_gap=accept_gap,
            tenant_token=tenant_token,
        )
        self._transport = HttpTransport(
            url, ca=Path(ca) if ca is not None else None, connections=connections
        )

    def verify(self, *, fresh: bool = False, timeout_s: float = DEFAULT_TIMEOUT_S) -> TrustReport:
        """Fetch the service's evidence and directory, and judge them by the policy.

        The other methods verify by themselves when they must. This one returns the proof.

        Args:
            fresh: Have the key broker also make evidence for a nonce that is drawn here, so that
                its enclave runs now. It takes a second, and few may ask at a time.
            timeout_s: Time limit for everything, in seconds.

        Returns:
            What was proved. `report.simulated` is true if the enclaves are a simulation.

        Raises:
            PolicyError: The evidence is genuine, but not what the policy asks for.
            EvidenceError: Evidence or directory is forged, too old or does not belong together.
            UnavailableError: The gateway does not answer, or has no directory.
            ConfigError: The pin file cannot be read or written.

        Example:
            >>> report = client.verify()
            >>> report.deployment, report.simulated
            ('sealflow', True)
        """
        from sealflow.owner.trust.report import TrustReport  # noqa: PLC0415 - loads the verifier

        verify = directory_refresh.verify_fresh if fresh else directory_refresh.refresh
        steps = verify(self._session, timeout_s=timeout_s)
        return TrustReport(self._transport.run_steps(steps))

    def infer(  # noqa: PLR0913 - the options of a request
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
        """Run a model on one request and return its result.

        The service is verified against the policy first, and again when its directory is due.
        The request is sealed on this machine. Refusals that a new seal can mend are retried.

        Args:
            model: `name` for the default version, or `name:version`.
            image: Path or bytes of a JPEG or PNG file, or a list of them sent as one batch.
            tensors: Arrays by input name.
            top_k: Number of best classes to return instead of scores; 0 asks for scores. Default:
                5 for images, 0 for tensors.
            timeout_s: Time limit for everything, in seconds; the gateway gets 2 s more to say that
                no worker answered.
            receipt: Ask the worker for a signed receipt (docs/spec/receipt.md).
            share_batch: Let rows of this request share batches with rows of other clients that
                allow it, too. Only the model keeps them apart, so the policy must allow it, and
                has an effect only if `DirectoryModel.share_batch` is true.

        Returns:
            The genuine reply. `result.simulated` is true if the enclave was a simulation.

        Raises:
            DeadlineError: No reply within `timeout_s`. The request may still be processed.
            PolicyError: The service is not what the policy asks for. Nothing was sent.
            EvidenceError: The service could not prove what it is, so nothing was sent; or the
                receipt is missing, badly signed or about another request.
            InvalidInputError: The input does not fit the model, or there is no such model.
            ModelError: The model failed on this input.
            OpenError: The reply is not the genuine reply to this request.
            QueueFullError: The service is full. Nothing was queued.
            UnavailableError: The gateway or all workers are away, after retries.
            RefusedError: The service refused in clear text, after retries.
            MalformedError: The gateway's answer breaks the format.
            ConfigError: An image file cannot be read, or the policy does not allow
                `share_batch`.

        Example:
            >>> result = client.infer("efficientnet-lite0", image="cat.jpg", top_k=2)
            >>> [label.label for label in result.top]
            ['tiger cat', 'Egyptian cat']
            >>> result = client.infer("tiny", tensors={"x": [[1.0, 2.0, 3.0, 4.0]]})
            >>> result.outputs["probabilities"].dtype
            dtype('float32')
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
                share_batch=share_batch,
            )
        )

    def infer_many(  # noqa: PLR0913 - the options of a request
        self,
        model: str,
        inputs: Iterable[Image | Tensors],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        share_batch: bool = False,
    ) -> Iterator[Outcome]:
        """Run a model on many requests and yield their outcomes as they finish.

        One that fails does not end the others. Breaking out of the loop waits for none of the
        requests that are on their way.

        Args:
            model: As in `infer`.
            inputs: Images, or mappings of tensors by input name; read as fast as they are answered.
            concurrency: Number of requests on their way at a time, 1 or more.
            top_k: As in `infer`.
            timeout_s: Time limit for each request, in seconds.
            receipt: As in `infer`.
            share_batch: As in `infer`.

        Yields:
            Outcomes in the order in which they finish; `outcome.index` is the input's place, and
            `outcome.value` the result, or the error that `infer` raises.

        Raises:
            InvalidInputError: `concurrency` is not 1 or more.

        Example:
            >>> rows = [{"x": [[float(n), 0.0, 0.0, 0.0]]} for n in range(3)]
            >>> sorted(outcome.index for outcome in client.infer_many("tiny", rows))
            [0, 1, 2]
        """
        check_concurrency(concurrency)

        def infer_one(index: int, item: Image | Tensors) -> Outcome:
            image, tensors = split_item(item)
            try:
                result = self.infer(
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

        return bounded_map(infer_one, inputs, concurrency)

    def publish(
        self,
        package: bytes | str | os.PathLike[str],
        key: OwnerKey,
        *,
        workers: Requirements | None = None,
    ) -> int:
        """Upload a sealed model package and give its content key to the verified key broker.

        The key broker is verified anew, with a nonce, before the key leaves this machine. Ends
        within 20 minutes.

        Args:
            package: The package that `pack_folder` returned, or the path of a package file.
            key: The key that the package was packed with.
            workers: What workers must prove to get this model, beyond the deployment's own
                settings. Default: nothing more.

        Returns:
            The version of the directory that lists the model.

        Raises:
            PolicyError: The key broker is not what the policy asks for. No key was sent.
            EvidenceError: The key broker could not prove what it is. No key was sent.
            BundleError: The package is broken, or not packed with `key`.
            OpenError: The content key in the package is not for `key`.
            ConfigError: The package file cannot be read, or `key` is of another trust domain or
                may not publish here.
            UnavailableError: Gateway or key broker is away, or did not store the package.

        Example:
            >>> key = load_owner_key(".sealflow/owner.key")
            >>> version = client.publish(pack_folder("my-model", key), key)
            >>> client.verify().directory_version >= version
            True
        """
        from sealflow.owner.models.publish import publish  # noqa: PLC0415 - owners of models only

        return self._transport.run_steps(publish(self._session, package, key, workers=workers))

    def revoke(self, revoked: Revoked | Sequence[Revoked], key: OwnerKey) -> int:
        """Revoke workers, packages, keys, grants or tokens, for good. Ends within 2 minutes.

        Args:
            revoked: What to revoke, at most 64 things. All are revoked, or none.
            key: The key of the models' owner, also for its grants; for workers and keys, that of an
                operator; for tokens, that of the tenant authority.

        Returns:
            The version of the directory that lists them. Grants and tokens are not listed.

        Raises:
            ConfigError: `key` may not revoke it. The message says why.
            VerificationError: The service did not prove what the policy asks for.
            UnavailableError: The key broker is away, or the directory does not list it in time.

        Example:
            >>> leaked = Revoked(kind=RevokedKind.KEY, id=client.verify().key_ids[-1])
            >>> version = client.revoke(leaked, load_owner_key(".sealflow/owner.key"))
            >>> leaked in client.verify().revoked
            True
        """
        from sealflow.owner.models.revoke import revoke  # noqa: PLC0415 - owners of models only

        return self._transport.run_steps(revoke(self._session, revoked, key))

    def fetch_log(self, first: int = 0) -> list[bytes]:
        """Fetch the records of the key broker's log, as far as the gateway has them.

        They prove nothing by themselves: give all of them to `audit_log`. Ends within 2 minutes.

        Args:
            first: Number of the first record to fetch, from 0.

        Returns:
            The records from `first` on, each one line of JSON without its end.

        Raises:
            UnavailableError: The gateway does not answer, or has no log.

        Example:
            >>> records = client.fetch_log()
            >>> records[0][:9]
            b'{"entry":'
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
