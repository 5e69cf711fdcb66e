"""Attacks by a host that says nothing, or always the same time: row 108 of docs/threat-model.md."""

from __future__ import annotations

from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.errors import RefusalCode
from sealflow.trusted.worker.serving.keyring import LeaseUse
from tests.support.attestation.deployments import simulated_deployment
from tests.support.enclaves.hosted_enclaves import NOW_MS, HostedEnclaves
from tests.support.trusted.lease_host import NOW_MS as LEASE_NOW_MS
from tests.support.trusted.lease_host import LeaseHost
from tests.support.trusted.worker import Worker, negation_model, seal_call

DAY_MS = 86_400_000


def short_lived() -> HostedEnclaves:
    """A deployment whose keys, leases and directories last for seconds."""
    return HostedEnclaves(
        epoch_s=5, grace_s=2, residence_s=1, clock_skew_s=1, lease_s=4, directory_s=4
    )


def published_keys(site: HostedEnclaves) -> set[str]:
    """The ids of the keys in the published directory, whoever believes it now."""
    payload = SignedDirectory.from_bytes(site.document).payload
    return {key.kid for key in Directory.unverified_from_bytes(payload).keys}


def test_108_silent_host() -> None:
    """A worker that is told no time, or the same again and again, ends its lease by itself."""
    with short_lived() as site:
        worker = site.worker()
        calls = [site.call() for _ in range(3)]
        assert worker.refusals(calls[0].envelope, at_ms=NOW_MS) == [None]
        worker.carries = False
        worker.tick(NOW_MS)
        worker.await_event("lease_ended")
        for at_ms in (NOW_MS, 0):
            worker.tick(at_ms)
            answers = worker.refusals(*(call.envelope for call in calls), at_ms=at_ms)
            assert answers == [RefusalCode.UNAVAILABLE] * 3


def test_108_key_broker() -> None:
    """A key broker that is told no time makes new keys and destroys old ones by itself."""
    with short_lived() as site:
        first = published_keys(site)
        while first & published_keys(site):
            site.await_directory()
        site.restart_key_broker(site.states[-1], NOW_MS)
        assert not first & published_keys(site)
        after = published_keys(site)
        while after == published_keys(site):
            site.await_directory()


def test_108_started_in_the_past() -> None:
    """A worker whose host told a time long ago holds keys for as long as it was granted."""
    made = simulated_deployment(LEASE_NOW_MS)
    host = LeaseHost(made)
    host.broker.advance(LEASE_NOW_MS + DAY_MS)
    [serving] = host.run()
    now_ms, deployment = host.clock.now_ms, made.deployment
    assert now_ms == LEASE_NOW_MS + DAY_MS - 1000 * deployment.clock_skew_s
    assert serving.lease_ms == now_ms + 1000 * deployment.lease_s
    longest_s = 2 * deployment.epoch_s + deployment.clock_skew_s + deployment.grace_s
    for key in serving.keys:
        assert now_ms < key.destroy_ms <= now_ms + 1000 * longest_s


def test_108_count() -> None:
    """Where the clock is the host's, a lease is good for so many requests or bytes and no more."""
    size = len(seal_call(negation_model()).envelope)
    for use in (LeaseUse(most_requests=3), LeaseUse(most_bytes=2 * size + 1)):
        worker = Worker().serve(negation_model(), use=use)
        calls = [seal_call(negation_model()) for _ in range(5)]
        outside = worker.send(*(call.envelope for call in calls)).finish()
        for slot, call in enumerate(calls[:3]):
            assert outside.response(slot, call).outputs
        assert [outside.refusal(slot) for slot in (3, 4)] == [RefusalCode.UNAVAILABLE] * 2
