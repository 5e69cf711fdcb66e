"""Owner: a client that sends requests to the queue and reads replies from its inbox, with retries.

It reads the published directory from the broker, too, and verifies it as other clients do.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Self

from sealflow.backoff import Backoff
from sealflow.errors import (
    DeadlineError,
    InvalidInputError,
    MalformedError,
    OpenError,
    QueueFullError,
    RefusedError,
    SealflowError,
    UnavailableError,
)
from sealflow.owner.audit.receipt_proof import ReceiptRequest
from sealflow.owner.client.arguments import check_request, check_timeout
from sealflow.owner.client.inference import (
    MAX_REPLY_BYTES,
    REFRESH_CODES,
    RESEAL_CODES,
    open_answer,
)
from sealflow.owner.client.request import request_parts, split_item
from sealflow.owner.queue.pending import PendingCalls, PendingRequest
from sealflow.owner.queue.transport import StreamTransport
from sealflow.owner.trust.policy_file import load_policy, pin_beside
from sealflow.owner.trust.session import ServiceSession
from sealflow.streams.address import BrokerAddress
from sealflow.wire.envelope import Envelope
from sealflow.wire.ids import parse_request_id

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import TracebackType

    from sealflow.owner.client.request import Image, Tensors
    from sealflow.owner.client.result import InferResult
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.owner.trust.report import TrustReport
    from sealflow.owner.trust.verified_service import VerifiedService
    from sealflow.seal.exchange import OutgoingCall


DEFAULT_CAPACITY: Final = 4096
DEFAULT_TIMEOUT_S: Final = 60.0
MAX_ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.01
_MAX_PAUSE_S: Final = 0.5
_AWAY_PAUSE_S: Final = 0.2
_SUBMIT_COUNT: Final = 32
_LOOK_S: Final = 0.5
_AGAIN_S: Final = 0.2

_log = logging.getLogger("sealflow.owner")


class QueueClient:
    """A client of one deployment's queue: the way to the highest throughput.

    Verifies the service as `Client` does, from the queue itself. Requests that a worker refuses
    for a passing reason are sealed anew and sent again. `len(queue)` is the number of requests
    without an outcome. For one thread. Use it in a `with` block, or call `close`.

    Args:
        broker: The broker's URL, such as `valkeys://host:6379`; or a `BrokerAddress`, which also
            names password, root and certificate.
        policy: What to trust: a policy, or the path of a policy file.
        capacity: Number of unanswered requests in the whole queue at which nothing more is added.
        pin: Path of a file that remembers the newest directory; as in `Client`.
        insecure_unpinned: Keep no such file; as in `Client`.
        accept_gap: Accept a directory although the log before it is withheld; see `Client`.
        tenant_token: Path of the file with a tenant's token, where the deployment serves tenants.

    Raises:
        ConfigError: Address, policy file or pin is wrong. The message says which.

    Example:
        >>> with QueueClient(broker, policy=".sealflow/client.toml") as queue:
        ...     queue.enqueue_many("efficientnet-lite0", {"first": "cat.jpg"})
        ...     print(queue.query("first", timeout_s=10.0).top[0])
        tiger cat 0.3832
    """

    def __init__(  # noqa: PLR0913 - the options of a client
        self,
        broker: BrokerAddress | str,
        *,
        policy: TrustPolicy | str | os.PathLike[str],
        capacity: int = DEFAULT_CAPACITY,
        pin: str | os.PathLike[str] | None = None,
        insecure_unpinned: bool = False,
        accept_gap: bool = False,
        tenant_token: str | os.PathLike[str] | None = None,
    ) -> None:
        trusted = load_policy(policy)
        self._session = ServiceSession(
            trusted,
            pin=None if insecure_unpinned else pin or pin_beside(policy),
            accept_gap=accept_gap,
            tenant_token=tenant_token,
        )
        address = BrokerAddress(url=broker) if isinstance(broker, str) else broker
        self._transport = StreamTransport(address, trusted.deployment)
        self._capacity = capacity
        self._pending = PendingCalls()
        self._look_at = 0.0
        self._done: dict[str, InferResult | SealflowError] = {}

    def __len__(self) -> int:
        """Return the number of requests without an outcome."""
        return len(self._pending)

    def verify(self) -> TrustReport:
        """Fetch the directory from the queue, and judge it and its evidence by the policy.

        Returns:
            What was proved.

        Raises:
            PolicyError: The evidence is genuine, but not what the policy asks for.
            EvidenceError: Evidence or directory is forged, too old or does not belong together.
            UnavailableError: The broker does not answer, or no directory is published.
            ConfigError: The pin file cannot be read or written.

        Example:
            >>> queue.verify().deployment
            'sealflow'
        """
        from sealflow.owner.trust.report import TrustReport  # noqa: PLC0415 - loads the verifier

        return TrustReport(self._refresh())

    def enqueue_many(
        self,
        model: str,
        items: Mapping[str, Image | Tensors],
        *,
        top_k: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        receipt: bool = False,
        share_batch: bool = False,
    ) -> None:
        """Seal requests and put them into the queue; wait while it is full.

        Args:
            model: `name` for the default version, or `name:version`.
            items: An image, or a mapping of tensors by input name, under an id of your choice.
                Ids never leave this client.
            top_k: Number of best classes to return instead of scores; 0 asks for scores. Default:
                5 for images, 0 for tensors.
            timeout_s: Time limit for each request until its reply, in seconds.
            receipt: Ask the worker for a signed receipt (docs/spec/receipt.md).
            share_batch: As in `Client.infer`.

        Raises:
            InvalidInputError: An input does not fit the model, there is no such model, or an id is
                in use. Nothing was queued.
            QueueFullError: The queue stayed full for `timeout_s`. The rest was not queued.
            UnavailableError: The broker did not answer for `timeout_s`. The rest was not queued.
            VerificationError: The service did not prove what the policy asks for.
            ConfigError: An image file cannot be read, or the policy does not allow
                `share_batch`.

        Example:
            >>> queue.enqueue_many("tiny", {"a": {"x": [[1.0, 2.0, 3.0, 4.0]]}})
            >>> len(queue)
            1
            >>> sorted(queue.dequeue(timeout_s=10.0))
            ['a']
        """
        timeout_s = check_request(
            model, top_k=top_k, timeout_s=timeout_s, receipt=receipt, share_batch=share_batch
        )
        if share_batch:
            self._session.require_share_batch()
        until = time.monotonic() + timeout_s
        self._ensure_verified()
        described = self._session.model(model)
        requests = []
        for name, item in items.items():
            if name in self._pending or name in self._done:
                raise InvalidInputError(f"id {name!r} is in use: take its result, or use another")
            image, tensors = split_item(item)
            parts = request_parts(
                described,
                image=image,
                tensors=tensors,
                top_k=top_k,
                share_batch=share_batch,
                tenant_token=self._session.tenant_token,
            )
            asked = ReceiptRequest.from_parts(parts) if receipt else None
            requests.append(
                PendingRequest(
                    name=name,
                    model=model,
                    parts=parts if asked is None else asked.parts,
                    receipt=asked,
                    outputs=described.outputs,
                    until=until,
                )
            )
        for at in range(0, len(requests), _SUBMIT_COUNT):
            self._submit(requests[at : at + _SUBMIT_COUNT])

    def query(self, name: str, *, timeout_s: float = 0.0) -> InferResult | None:
        """Take the result of one request.

        Args:
            name: The id that it was queued under.
            timeout_s: How long to wait for it, in seconds; 0 only looks.

        Returns:
            The result, or None if there is none within `timeout_s`. A result is taken once.

        Raises:
            InvalidInputError: No request with this id waits here, or the input does not fit.
            SealflowError: Any error that `Client.infer` raises, if the request ended with it.

        Example:
            >>> queue.enqueue_many("tiny", {"b": {"x": [[1.0, 2.0, 3.0, 4.0]]}})
            >>> queue.query("b", timeout_s=10.0).outputs["probabilities"].shape
            (1, 3)
        """
        until = time.monotonic() + check_timeout(timeout_s, least=0)
        while name not in self._done:
            if name not in self._pending:
                raise InvalidInputError(f"no request {name!r} is waiting here")
            left_s = until - time.monotonic()
            self._receive(max(left_s, 0.0))
            if left_s <= 0 and name not in self._done:
                return None
        outcome = self._done.pop(name)
        if isinstance(outcome, SealflowError):
            raise outcome
        return outcome

    def dequeue(self, *, timeout_s: float = 0.0) -> dict[str, InferResult | SealflowError]:
        """Take all outcomes that are there.

        Args:
            timeout_s: How long to wait for the first one, in seconds; 0 only looks.

        Returns:
            Results or errors by id; empty if there is none. Each is taken once.

        Example:
            >>> queue.enqueue_many("tiny", {"c": {"x": [[1.0, 2.0, 3.0, 4.0]]}})
            >>> list(queue.dequeue(timeout_s=10.0))
            ['c']
        """
        until = time.monotonic() + check_timeout(timeout_s, least=0)
        while True:
            left_s = until - time.monotonic()
            self._receive(max(left_s, 0.0) if not self._done else 0.0)
            if self._done or left_s <= 0 or not self._pending:
                done, self._done = self._done, {}
                return done

    def close(self) -> None:
        """Delete the inbox and close the connections. Outcomes that were not taken are lost."""
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
        """Close it."""
        self.close()

    def _refresh(self) -> VerifiedService:
        document = self._transport.directory()
        if document is None:
            raise UnavailableError("no directory is published: check that the key broker runs")
        candidate = self._session.verify_directory(document)
        gap = candidate.gap
        records = [] if gap is None else self._transport.records(gap.after, gap.until)
        return self._session.accept(candidate, records)

    def _ensure_verified(self) -> None:
        if self._session.refresh_due():
            try:
                self._refresh()
            except UnavailableError:
                if not self._session.postpone_refresh():
                    raise

    def _submit(self, requests: list[PendingRequest]) -> None:
        """Seal and queue requests, waiting while the queue is full.

        Queued requests are removed from the list, so that on an error it has those not queued.
        """
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while requests:
            error: UnavailableError = QueueFullError(
                "the queue stayed full: take results, or add workers"
            )
            calls = [self._seal(request) for request in requests]
            try:
                entries = [(call.request_id, call.envelope) for call in calls]
                queued = self._transport.submit(entries, capacity=self._capacity)
            except UnavailableError as away:
                # Some may have been queued. Their replies are for calls unknown here: dropped.
                queued, error = [False] * len(requests), away
            for request, call, accepted in zip(requests, calls, queued, strict=True):
                if accepted:
                    self._pending.add(request, call)
            requests[:] = [each for each, ok in zip(requests, queued, strict=True) if not ok]
            if requests:
                pause_s = backoff.next_s()
                if time.monotonic() + pause_s >= requests[0].until:
                    raise error
                if self._pending:
                    self._receive(pause_s)
                else:
                    time.sleep(pause_s)

    def _seal(self, request: PendingRequest) -> OutgoingCall:
        self._ensure_verified()
        model = self._session.model(request.model)
        left_s = max(request.until - time.monotonic(), 0.001)
        return self._session.seal_request(model, request.parts, timeout_s=left_s)

    def _receive(self, timeout_s: float) -> None:
        """Process the replies in the inbox, waiting up to `timeout_s` seconds for the first.

        Every `_LOOK_S`, also send postponed requests that are due, and end overdue ones.
        """
        if self._pending:
            try:
                for correlation, data in self._transport.receive(min(timeout_s, _LOOK_S)):
                    self._settle(correlation, data)
            except UnavailableError as error:
                _log.warning("%s; trying again", error)
                time.sleep(min(timeout_s, _AWAY_PAUSE_S))
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        if again := self._pending.take_postponed(now):
            try:
                self._submit(again)
            except SealflowError as error:
                for request in again:
                    self._pending.give_up(request)
                    self._done[request.name] = error
        for request in self._pending.take_overdue(now):
            self._done[request.name] = DeadlineError(
                "no reply in time: raise timeout_s, or see sealflow status"
            )

    def _try_again(
        self, request: PendingRequest, call: OutgoingCall, error: RefusedError | UnavailableError
    ) -> bool:
        passing = not isinstance(error, RefusedError) or error.code in RESEAL_CODES
        late = isinstance(error, DeadlineError)
        if not passing or late or request.attempts >= MAX_ATTEMPTS:
            return False
        if isinstance(error, RefusedError) and error.code in REFRESH_CODES:
            try:
                self._refresh()
            except UnavailableError:
                _log.warning("a newer directory could not be fetched")
        self._pending.postpone(call.request_id, time.monotonic() + _AGAIN_S * request.attempts)
        return True

    def _settle(self, correlation: bytes, data: bytes) -> None:
        try:
            envelope = Envelope.from_bytes(data, max_body_bytes=MAX_REPLY_BYTES)
            # The refusal of a request whose header was not read has no request id.
            request_id = envelope.header.request_id or parse_request_id(correlation.decode())
            found = self._pending.find(request_id)
        except (MalformedError, UnicodeDecodeError):
            _log.warning("an entry of the inbox is not an envelope: dropped")
            return
        if found is None:
            return
        request, call = found
        try:
            outcome: InferResult | SealflowError = open_answer(
                call,
                envelope,
                request.receipt,
                outputs=request.outputs,
                revoked=self._session.revoked_workers,
            )
        except OpenError:
            # Not the genuine reply, which may still arrive.
            _log.warning("a reply did not open: dropped")
            return
        except (RefusedError, UnavailableError) as error:
            outcome = error
            try:
                if self._try_again(request, call, error):
                    return
            except SealflowError as worse:
                outcome = worse
        except SealflowError as error:
            outcome = error
        self._pending.remove(call.request_id)
        self._done[request.name] = outcome
