"""When child processes are started again."""

from __future__ import annotations

from sealflow.host.service import MAX_FAILURES, RestartPolicy


def ends(policy: RestartPolicy, *, after_s: float, failed: bool) -> float | None:
    """Start a child, let it end, and return the pause before its next start."""
    policy.record_start(100.0)
    due_s = policy.next_start_s(100.0 + after_s, failed=failed)
    return None if due_s is None else due_s - 100.0 - after_s


def test_pauses_grow() -> None:
    """From half a second to 15, and anew for a child that ran long enough."""
    policy = RestartPolicy(healthy_s=10)
    pauses = [ends(policy, after_s=1, failed=False) for _ in range(7)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert ends(policy, after_s=11, failed=False) == 0.5
    assert policy.restarts == 7


def test_failures_in_a_row() -> None:
    """Three in a row end the restarts; another kind of end or a long run lies between rows."""
    policy = RestartPolicy()
    for _ in range(MAX_FAILURES - 1):
        assert ends(policy, after_s=1, failed=True) is not None
    assert ends(policy, after_s=1, failed=False) is not None
    for after_s in (1, 1, 31, 1):
        assert ends(policy, after_s=after_s, failed=True) is not None
    assert ends(policy, after_s=1, failed=True) is None
