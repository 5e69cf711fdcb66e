"""Worker: checks tenant tokens, counts what tenants use, and keeps their quotas and shares.

Spec: tenants.md. Counters are this worker's own, and its host tells the time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sealflow.documents.tenant_token import MAX_LIFE_MS, QUOTAS, TenantToken
from sealflow.documents.tenant_usage import MAX_TENANTS, TenantUsage, UsageOrder, UsageRecord
from sealflow.errors import QuotaExceededError, TenantRefusedError
from sealflow.openinfer.messages import TENANT_TOKEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sealflow.attest.deployment import Deployment
    from sealflow.openinfer.tensor import Parameter

_MAX_VERIFIED: Final = 1024
_ACTIVE_MS: Final = 10_000


class TenantAccount:
    """The use of one tenant, now and in all, and the number of its waiting requests."""

    __slots__ = ("finish", "period", "refused", "seen_ms", "total", "used", "waiting", "weight")

    def __init__(self) -> None:
        self.period = -1
        self.used: dict[str, float] = dict.fromkeys(QUOTAS, 0)
        """In the present period."""
        self.total: dict[str, float] = dict.fromkeys(QUOTAS, 0)
        self.refused = 0
        self.weight = 1
        self.seen_ms = 0
        self.waiting = 0
        self.finish = 0.0
        """When its work so far would end, in the virtual time of `BatchQueue`."""

    def use(self, name: str, amount: float) -> None:
        """Count what the tenant used."""
        self.used[name] += amount
        self.total[name] += amount


class TenantLedger:
    """The accounts of all tenants of one worker. Thread-safe.

    `max_waiting`: how many requests may wait in the worker, which active tenants share by weight.
    `start_ms`: the worker's time now. `revoked`: the ids of tokens that the newest grant names.
    """

    def __init__(self, deployment: Deployment, max_waiting: int, start_ms: int) -> None:
        self._deployment = deployment
        self._max_waiting = max_waiting
        self._start_ms = start_ms
        self.revoked: Collection[str] = ()
        self._lock = threading.Lock()
        self._verified: OrderedDict[str, TenantToken] = OrderedDict()
        self._accounts: dict[str, TenantAccount] = {}
        self._sequence = 0
        self._refused = 0

    def admit(
        self, parameters: Mapping[str, Parameter], size: int, now_ms: int
    ) -> TenantAccount | None:
        """Return the account of an opened request, with the request counted; None without tenants.

        `parameters`: the request's. `size`: the bytes of its body.

        Raises: TenantRefusedError; QuotaExceededError.
        """
        if self._deployment.tenants is None:
            return None
        try:
            token = self._check(parameters.get(TENANT_TOKEN), self._deployment.tenants, now_ms)
        except TenantRefusedError:
            with self._lock:
                self._refused += 1
            raise
        with self._lock:
            return self._count(token, size, now_ms)

    def report(self, order: str, now_ms: int) -> UsageRecord:
        """Return the next record of what all tenants used since the worker started.

        `order`: the authority's, not verified.

        Raises: TenantRefusedError.
        """
        deployment = self._deployment
        if deployment.tenants is None:
            raise TenantRefusedError("this deployment serves no tenants")
        self._check_time(
            UsageOrder.verify(order, deployment.tenants, deployment.tee.domain), now_ms
        )
        with self._lock:
            self._sequence += 1
            return UsageRecord(
                sequence=self._sequence,
                start_ms=self._start_ms,
                refused=self._refused,
                tenants=tuple(
                    TenantUsage(
                        tenant=name,
                        refused=each.refused,
                        **{quota: int(amount) for quota, amount in each.total.items()},
                    )
                    for name, each in self._accounts.items()
                ),
            )

    @contextmanager
    def charging(self, account: TenantAccount | None) -> Iterator[None]:
        """Charge the block's CPU time, and if it fails, count one request less that waits."""
        started = time.thread_time()
        try:
            yield
        except BaseException:
            self.charge(account, 0, time.thread_time() - started, done=True)
            raise
        self.charge(account, 0, time.thread_time() - started)

    def charge(
        self, account: TenantAccount | None, rows: int, cpu_s: float, *, done: bool = False
    ) -> None:
        """Count rows and CPU time of a request; `done`: it no longer waits."""
        if account is not None:
            with self._lock:
                account.use("rows", rows)
                account.use("cpu_ms", 1000 * cpu_s)
                account.waiting -= done

    def _verify(self, token: Parameter | None, authority: str) -> TenantToken:
        if not isinstance(token, str):
            raise TenantRefusedError("this deployment serves tenants: send a tenant token")
        found = self._verified.get(token)
        if found is None:
            found = TenantToken.verify(token, authority, self._deployment.tee.domain)
            self._verified[token] = found
            if len(self._verified) > _MAX_VERIFIED:
                self._verified.popitem(last=False)
        return found

    def _check(self, sent: Parameter | None, authority: str, now_ms: int) -> TenantToken:
        token = self._verify(sent, authority)
        self._check_time(token, now_ms)
        if token.expires_ms - token.not_before_ms > MAX_LIFE_MS:
            raise TenantRefusedError("the tenant token is for longer than 367 days")
        if token.id in self.revoked:
            raise TenantRefusedError("the tenant token is revoked: get a new one")
        return token

    def _check_time(self, signed: TenantToken | UsageOrder, now_ms: int) -> None:
        if signed.deployment != self._deployment.name:
            raise TenantRefusedError("the tenant token is for another deployment")
        if not signed.not_before_ms <= now_ms < signed.expires_ms:
            raise TenantRefusedError("the tenant token is over, or not valid yet: get a new one")

    def _count(self, token: TenantToken, size: int, now_ms: int) -> TenantAccount:
        account = self._accounts.get(token.tenant)
        if account is None:
            if len(self._accounts) >= MAX_TENANTS:
                raise QuotaExceededError(f"this worker counts {MAX_TENANTS} tenants, its limit")
            account = self._accounts[token.tenant] = TenantAccount()
        period = now_ms // (1000 * token.period_s)
        if period != account.period:
            account.period, account.used = period, dict.fromkeys(QUOTAS, 0)
        account.weight, account.seen_ms = token.weight, now_ms
        if (problem := self._problem(account, token, now_ms)) is not None:
            account.refused += 1
            raise QuotaExceededError(problem)
        account.use("requests", 1)
        account.use("bytes", size)
        account.waiting += 1
        return account

    def _problem(self, account: TenantAccount, token: TenantToken, now_ms: int) -> str | None:
        for name in QUOTAS:
            if account.used[name] >= token.quotas[name]:
                return f"the quota of {name} of this period is used up"
        active = [
            each
            for each in self._accounts.values()
            if each.waiting or now_ms - each.seen_ms < _ACTIVE_MS
        ]
        share = self._max_waiting * account.weight / sum(each.weight for each in active)
        if len(active) > 1 and account.waiting >= max(1, share):
            return "this tenant has its share of the worker: try again"
        return None
