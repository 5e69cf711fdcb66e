"""Owner: asks all workers of a deployment what their tenants used, as the tenant authority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from sealflow.clock import MAX_CLOCK_SKEW_MS, now_ms
from sealflow.documents.receipt import Receipt
from sealflow.documents.tenant_usage import UsageOrder, order_parts
from sealflow.errors import SealflowError, TenantRefusedError, UnavailableError
from sealflow.owner.audit.log_audit import audit_log
from sealflow.owner.audit.receipt_proof import ReceiptProof
from sealflow.owner.audit.usage_proof import worker_leases
from sealflow.owner.client.bounded_map import bounded_map
from sealflow.owner.client.inference import ask
from sealflow.owner.client.result import model_error
from sealflow.owner.http import gateway_api
from sealflow.owner.http.transport import HttpTransport
from sealflow.owner.trust.directory_refresh import refresh
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.content import ContentKind, parse_error

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from sealflow.documents.directory import DirectoryModel
    from sealflow.owner.client.inference import OpenedAnswer
    from sealflow.owner.http.steps import Steps
    from sealflow.owner.models.owner_key import OwnerKey
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.seal.content import Parts

ASK_TIMEOUT_S: Final = 15.0


_ROUNDS: Final = 4
_CONCURRENCY: Final = 16


class UsageCollector:
    """Asks until each worker that has a lease by the log has answered, within four rounds.

    Nobody can address a worker: any one of a model's may answer. Use it in a `with` block.
    """

    def __init__(self, url: str, policy: TrustPolicy, *, ca: Path | None, pin: Path) -> None:
        self._policy = policy
        self._session = ServiceSession(policy, pin=pin)
        self._transport = HttpTransport(url, ca=ca, connections=_CONCURRENCY)
        self._log: list[bytes] = []

    def collect(self, authority: OwnerKey) -> list[ReceiptProof]:
        """Return the records of all workers that answered, not verified.

        Raises: TenantRefusedError if `authority` is not the deployment's; VerificationError;
        UnavailableError when the gateway or the log is away.
        """
        directory = self._transport.run_steps(refresh(self._session)).directory
        leases, now = worker_leases(audit_log(self.fetch_log(), self._policy)), now_ms()
        found: list[ReceiptProof] = []
        heard: set[str] = set()
        for model in directory.models:
            live = {
                instance
                for instance, lease in leases.items()
                if lease.until_ms > now and model.digest in lease.models
            }
            for _ in range(_ROUNDS):
                if live <= heard:
                    break
                asked = 2 * len(live - heard)
                new = self._ask(
                    f"{model.name}:{model.version}", directory.deployment, authority, asked
                )
                heard |= {Receipt.from_bytes(each.signed.text).instance for each in new}
                found += new
        return found

    def fetch_log(self) -> list[bytes]:
        """Return the whole log of now."""
        self._log += self._transport.run_steps(gateway_api.fetch_log(len(self._log)))
        return self._log

    def _ask(
        self, name: str, deployment: str, authority: OwnerKey, times: int
    ) -> list[ReceiptProof]:
        def ask_once(_: int, __: int) -> ReceiptProof | SealflowError:
            try:
                steps = ask_usage(self._session, name, deployment, authority)
                return self._transport.run_steps(steps)
            except SealflowError as error:
                return error

        answers = list(bounded_map(ask_once, range(times), _CONCURRENCY))
        refused = [each for each in answers if isinstance(each, TenantRefusedError)]
        if refused:
            raise refused[0]
        return [each for each in answers if isinstance(each, ReceiptProof)]

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
        self._transport.close()


def ask_usage(
    session: ServiceSession, name: str, deployment: str, authority: OwnerKey
) -> Steps[ReceiptProof]:
    """Ask whichever worker of a model answers for a record of use, and return it with its receipt.

    `name`: of the model. The proof is not verified: see `verify_usage`.

    Raises: TenantRefusedError if `authority` is not the deployment's; all errors of a request.
    """
    now = now_ms()
    order = UsageOrder(
        deployment=deployment,
        not_before_ms=now - MAX_CLOCK_SKEW_MS,
        expires_ms=now + MAX_CLOCK_SKEW_MS,
    ).sign(authority.signing, authority.domain)

    def parts_for(_: DirectoryModel) -> Parts:
        return order_parts(order)

    return ask(session, name, parts_for, _read, ASK_TIMEOUT_S, receipt=True)


def _read(_: DirectoryModel, answer: OpenedAnswer) -> ReceiptProof:
    if answer.content.kind is ContentKind.ERROR:
        raise model_error(*parse_error(answer.content))
    if answer.proof is None:
        raise UnavailableError("the worker sent no record of use")
    return answer.proof
