"""A client's whole exchange as a program: `python exchange.py FACTS`, with any release's Python.

FACTS is a JSON object: `url`, `broker`, `policy`, `pin`, `photo` and `receipts`, a file to write.
It prints one JSON object. It uses what the public API has had since the first release.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sealflow.owner import (
    Client,
    InferResult,
    InputQueue,
    OutputQueue,
    QueueClient,
    audit_log,
    load_policy,
    verify_receipt,
)

ROW = np.array([[0.5, -1, 2, 0]], np.float32)
LITE0 = "efficientnet-lite0"


def exchange(facts: dict[str, str]) -> dict[str, object]:
    """Ask a service for all that a client can ask for, and return what it answered."""
    policy = load_policy(facts["policy"])
    with Client(facts["url"], policy=policy, pin=facts["pin"]) as client:
        report = client.verify()
        row = client.infer("tiny", tensors={"x": ROW}, receipt=True)
        photo = client.infer(LITE0, image=facts["photo"], top_k=1)
        log = audit_log(client.fetch_log(), policy)
    log.require_pinned(facts["pin"])
    assert row.receipt is not None
    receipt = verify_receipt(row.receipt, log).receipt
    Path(facts["receipts"]).write_bytes(row.receipt.to_bytes() + b"\n")
    with QueueClient(facts["broker"], policy=policy, pin=facts["pin"]) as queue:
        queue.enqueue_many("tiny", {"a": {"x": ROW}, "b": {"x": 2 * ROW}}, receipt=True)
        rows = [queue.query(name, timeout_s=60) for name in "ab"]
        InputQueue(queue, LITE0).enqueue("c", image=facts["photo"], top_k=1)
        queued = OutputQueue(queue).query("c", timeout_s=60)
    found = [each for each in (*rows, queued) if isinstance(each, InferResult)]
    assert len(found) == 3
    for each in found[:2]:
        assert each.receipt is not None
        verify_receipt(each.receipt, log)
    return {
        "deployment": report.deployment,
        "models": sorted(str(model.name) for model in report.models),
        "simulated": report.simulated,
        "log": log.log_id,
        "receipt": str(receipt.model),
        "rows": [each.outputs["probabilities"].tolist() for each in (row, *found[:2])],
        "labels": [each.top[0].label for each in (photo, found[2])],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(exchange(json.loads(sys.argv[1]))) + "\n")
