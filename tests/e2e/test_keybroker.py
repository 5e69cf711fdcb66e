"""The key broker's life in whole clusters: rotation, takeover, restart, revocation, receipts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.cli.owner.audit import read_records
from sealflow.errors import InvalidInputError
from sealflow.owner import EntryKind, InputQueue, OutputQueue, audit_log, load_policy
from tests.support.cluster.local_cluster import TINY, LocalCluster, sealflow

if TYPE_CHECKING:
    from pathlib import Path

    from sealflow.owner import AuditedLog, Client

X = {"x": [[1.0, 2.0, 3.0, 4.0]]}
SHORT = {
    "epoch_s": 5,
    "grace_s": 14,
    "residence_s": 10,
    "clock_skew_s": 4,
    "lease_s": 6,
    "directory_s": 4,
}


def _times(times: dict[str, int]) -> tuple[str, ...]:
    return tuple(word for name, s in times.items() for word in ("--time", f"{name}={s}"))


def _log(cluster: LocalCluster) -> AuditedLog:
    with cluster.client() as client:
        return audit_log(client.fetch_log(), load_policy(cluster.policy))


def _run(*arguments: str) -> str:
    done = subprocess.run(
        sealflow(*arguments), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keys_rotate_under_load_and_no_request_is_lost() -> None:
    """Many short epochs pass under continuous load; every request is answered at the first try."""
    with LocalCluster(TINY, options=_times(SHORT)) as cluster, cluster.client() as client:
        first = set(client.verify().key_ids)
        answered = 0

        def work() -> None:
            nonlocal answered
            result = client.infer("tiny", tensors=X, timeout_s=20)
            assert result.tensors
            answered += 1

        turned = 0
        with ThreadPoolExecutor(4) as pool:
            until = time.monotonic() + 60
            while turned < 4:
                for each in [pool.submit(work) for _ in range(20)]:
                    each.result()
                report = client.verify()
                assert time.monotonic() < until
                turned = len({*report.key_ids} - first)
        log = _log(cluster)
    assert answered >= 20
    epochs = [entry.body["kid"] for entry in log.entries_of_kind(EntryKind.EPOCH)]
    assert len(epochs) == len(set(epochs)) >= 5
    workers = {entry.body["instance"] for entry in log.entries_of_kind(EntryKind.GRANT)}
    assert workers


def _leader(status: dict[str, Any]) -> dict[str, Any]:
    controls = [each for each in status["components"] if each["component"] == "control"]
    leading = [each for each in controls if each["leads"]]
    assert len(controls) == 2
    assert len(leading) == 1
    assert all(each["keybroker"]["keyed"] for each in controls)
    leader: dict[str, Any] = leading[0]
    return leader


def test_another_key_broker_takes_over() -> None:
    """The leading instance dies with its host; models, keys and history go on in the other."""
    with LocalCluster(options=("--keybrokers", "2")) as cluster, cluster.client() as client:
        _publish_tiny(cluster)
        leader = _leader(cluster.await_status(_two))
        before = client.verify()
        os.kill(leader["pid"], signal.SIGKILL)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: _infer(client), range(40)))
        assert len(answers) == 40
        until = time.monotonic() + 40
        while (report := client.verify()).directory_version == before.directory_version:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert report.instance != before.instance
        assert report.log_id == before.log_id
        assert [each.digest for each in report.models] == [each.digest for each in before.models]
        assert {*before.key_ids} <= {*report.key_ids}
        _leader(cluster.await_status(_two))
        log = _log(cluster)
        copies = [read_records(path) for path in cluster.archives]
    versions = [entry.body["version"] for entry in log.entries_of_kind(EntryKind.DIRECTORY)]
    assert versions == list(range(1, len(versions) + 1))
    assert len(list(log.entries_of_kind(EntryKind.OPENED))) >= 2
    assert len(copies) == 2
    longest = max(copies, key=len)
    assert len(longest) >= len(log.entries)
    assert all(copy == longest[: len(copy)] for copy in copies)


def _two(status: dict[str, Any]) -> bool:
    try:
        return bool(_leader(status)["keybroker"]["ready"])
    except AssertionError:
        return False


def _infer(client: Client) -> bool:
    return bool(client.infer("tiny", tensors=X, timeout_s=60).tensors)


def _publish_tiny(cluster: LocalCluster) -> None:
    _run("model", "publish", str(TINY), "--home", str(cluster.home))


def test_receipts_prove_years_later(tmp_path: Path) -> None:
    """The log that was fetched, the policy and the receipt file are all that a judge needs.

    Receipts come the same by gateway and by queue.
    """
    photo = TINY.parent / "photos" / "coffee.jpg"
    receipts, log_file, policy = tmp_path / "r.jsonl", tmp_path / "log.jsonl", tmp_path / "p.toml"
    with LocalCluster(TINY.parent / "efficientnet-lite0") as cluster:
        home = ("--home", str(cluster.home))
        said = _run("infer", str(photo), "--receipt", str(receipts), *home, "--json")
        assert json.loads(said)["top"][0]["index"] == 967
        with cluster.queue() as queue, receipts.open("ab") as file:
            InputQueue(queue, "efficientnet-lite0").enqueue("photo", image=photo, receipt=True)
            answer = OutputQueue(queue).query("photo", timeout_s=60)
            assert answer is not None
            assert answer.receipt is not None
            file.write(answer.receipt.to_bytes() + b"\n")
        _run("log", "fetch", str(log_file), *home)
        policy.write_bytes(cluster.policy.read_bytes())
        pin = tmp_path / "client.pin"
        pin.write_bytes(cluster.policy.with_suffix(".pin").read_bytes())
    flags = ("--policy", str(policy), "--json")
    said = _run("receipt", "verify", str(receipts), "--log", str(log_file), *flags)
    by_gateway, by_queue = (json.loads(line) for line in said.splitlines())
    assert by_gateway["request_id"] != by_queue["request_id"] == answer.request_id
    for verified in (by_gateway, by_queue):
        assert verified["verified"]
        assert verified["simulated"]
        assert verified["model"].startswith("efficientnet-lite0:")
        assert verified["revoked_later"] == []
    told = json.loads(_run("log", "verify", str(log_file), "--pin", str(pin), *flags))
    assert told["pinned_directory"] == "is in the log"
    lines = log_file.read_bytes().splitlines()
    log_file.write_bytes(b"\n".join(lines[:-1] + lines[:1]) + b"\n")
    bad = subprocess.run(
        sealflow("receipt", "verify", str(receipts), "--log", str(log_file), *flags),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert bad.returncode == 3
    assert "log_chain" in bad.stderr


def test_a_restarted_cluster_goes_on_and_revocations_stay() -> None:
    """Keys, history and revocations outlive all processes; owners need not publish again."""
    with LocalCluster(TINY) as cluster, cluster.client() as client:
        home = ("--home", str(cluster.home))
        before = client.verify()
        worker = next(_log(cluster).entries_of_kind(EntryKind.GRANT)).body["instance"]
        _run("revoke", "worker", str(worker), *home)
        assert _infer(client)
        _run("revoke", "model", before.models[0].digest, *home)
        assert client.verify().models == ()
        with pytest.raises(InvalidInputError, match="which has none"):
            client.infer("tiny", tensors=X, timeout_s=10)
        for pid in cluster.pids("sealflow.trusted.keybroker"):
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 40
        version = client.verify().directory_version
        while (after := client.verify()).directory_version == version:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert after.log_id == before.log_id
        assert after.models == ()
        assert {(each.kind.value, each.id) for each in after.revoked} == {
            ("worker", worker),
            ("model", before.models[0].digest),
        }
        log = _log(cluster)
    # One order before the upload, and one that makes the version the default.
    assert len(list(log.entries_of_kind(EntryKind.PUBLICATION))) == 2
    assert len(list(log.entries_of_kind(EntryKind.REVOCATION))) == 2
