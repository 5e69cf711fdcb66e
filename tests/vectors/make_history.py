"""Writes history.json, once: a log, a directory, a receipt, and what must be refused of them.

Run from the repository's root: `python -m tests.vectors.make_history`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

from sealflow.owner import RevokedKind
from sealflow.wire.strict_json import canonical_json
from tests.support.sealing.receipts import ReceiptService
from tests.support.trusted.keybroker import keybroker_deployment


def main() -> None:
    """Make one history with every kind of entry."""
    service = ReceiptService()
    pinned = service.broker.document
    proof, _ = service.exchange()
    assert proof is not None
    service.broker.tick(1000)
    service.broker.revoke(RevokedKind.WORKER, service.worker.instance)
    records = [record.decode() for record in service.broker.records]
    log = service.broker.log()
    line = proof.to_bytes().decode()
    value = {
        "deployment": b64encode(keybroker_deployment().deployment.to_bytes()).decode(),
        "log": records,
        "log_digests": list(log.digests),
        "directory_pinned": b64encode(pinned).decode(),
        "directory_newest": b64encode(service.broker.document).decode(),
        "receipt": line,
        "reject_logs": {
            "log_chain": records[:3] + records[4:],
            "log_signature": [*records[:-1], _with_signature(records[-1], records[-2])],
        },
        "malformed_receipts": _malformed_receipts(line),
        "reject_receipts": {
            "receipt_content": line.replace(proof.salt, "00" * 32),
            "receipt_signature": json.dumps(
                {**json.loads(line), "signature": json.loads(records[0])["signature"]}
            ),
        },
    }
    path = Path(__file__).parent / "history.json"
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _malformed_receipts(line: str) -> dict[str, str]:
    """Change the time in a receipt; its form is refused before its signature is checked."""
    value = json.loads(line)
    receipt = json.loads(b64decode(value["receipt"]))
    return {
        name: json.dumps(
            value | {"receipt": b64encode(canonical_json(receipt | {"at_ms": at_ms})).decode()},
            sort_keys=True,
            separators=(",", ":"),
        )
        for name, at_ms in (("at_ms over 2^53-1", 2**53), ("at_ms below 0", -1))
    }


def _with_signature(record: str, other: str) -> str:
    signature = json.loads(other)["signature"]
    return json.dumps(
        {**json.loads(record), "signature": signature}, sort_keys=True, separators=(",", ":")
    )


if __name__ == "__main__":
    main()
