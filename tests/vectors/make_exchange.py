"""Writes envelope.json and exchange.json, once. Vectors are only ever added to, never rewritten.

Run from the repository's root: `python -m tests.vectors.make_exchange`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sealflow.errors import RefusalCode
from sealflow.owner import ModelRef
from sealflow.seal.content import ContentKind, content_parts, error_parts
from sealflow.seal.exchange import Session, SessionSecrets, open_request
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.wire.envelope import Envelope, Kind, encode_refusal, encode_start
from sealflow.wire.ids import RequestId, parse_request_id

HERE = Path(__file__).parent
DIGEST = "d1" * 32
INSTANCE = RequestId("1e" * 16)
LIMIT = 2**20


def flip(data: bytes, at: int) -> bytes:
    """Flip one bit."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def exchange(suite: Suite) -> dict[str, Any]:
    """One session with a request, its reply, an error reply, and what must not open."""
    key = OpeningKey.generate(suite)
    session = Session.start(key.public_key)
    model = ModelRef(name="demo", version="1")
    text, binary = b'{"inputs":[]}', bytes(range(64))
    parts = content_parts(ContentKind.INFER, text, [binary])
    call = session.seal_request(model, DIGEST, parts, deadline_ms=1_800_000_000_000)
    other = session.seal_request(model, DIGEST, parts, deadline_ms=1_800_000_000_000)
    secrets = SessionSecrets(1)

    def answer(envelope: bytes, reply_parts: list[bytes | memoryview]) -> bytes:
        opened = open_request(Envelope.from_bytes(envelope, max_body_bytes=LIMIT), key, secrets)
        return opened.seal_reply(reply_parts, model_digest=DIGEST, instance=INSTANCE)

    reply_parts = content_parts(ContentKind.INFER, b'{"outputs":[]}', [b"\x01\x02"])
    request, reply = call.envelope, answer(call.envelope, reply_parts)
    body_at = len(request) - len(Envelope.from_bytes(request, max_body_bytes=LIMIT).body)
    start, blob = request[: body_at - len(session.key_blob)], session.key_blob
    return {
        "suite": int(suite),
        "key_seed": key.seed.hex(),
        "key_public": key.public_key.public.hex(),
        "key_id": key.public_key.key_id,
        "session_secret": secrets.open_or_recall(key, session.session_id, blob).hex(),
        "request": {
            "envelope": request.hex(),
            "json": text.decode(),
            "binary": binary.hex(),
            "request_digest": call.request_digest.hex(),
        },
        "reply": {"envelope": reply.hex(), "json": '{"outputs":[]}', "binary": "0102"},
        "error_reply": {
            "envelope": answer(request, error_parts("invalid_input", "no such input")).hex(),
            "code": "invalid_input",
            "message": "no such input",
        },
        "reject_requests": {
            "bit flipped in the header": flip(request, len(start) - 3).hex(),
            "bit flipped in the key blob": flip(request, body_at - 1).hex(),
            "bit flipped in the salt": flip(request, body_at).hex(),
            "bit flipped in the commitment": flip(request, body_at + 24).hex(),
            "bit flipped in the last tag": flip(request, len(request) - 1).hex(),
            "body of another request": (request[:body_at] + other.envelope[body_at:]).hex(),
            "body cut by one byte": request[:-1].hex(),
        },
        "reject_replies": {
            "reply to another request": answer(other.envelope, reply_parts).hex(),
            "the request itself": request.hex(),
            "bit flipped in the header": flip(reply, 20).hex(),
            "bit flipped in the body": flip(reply, len(reply) - 1).hex(),
        },
    }


def envelopes() -> dict[str, Any]:
    """Outsides that parse and outsides that must be refused."""
    header = (
        b'{"deadline_ms":1,"kid":"'
        + b"ab" * 32
        + b'","model":"m","model_digest":"'
        + b"cd" * 32
        + b'","rid":"'
        + b"01" * 16
        + b'","sid":"'
        + b"02" * 16
        + b'","version":"1"}'
    )

    def request(text: bytes) -> str:
        return (encode_start(Kind.REQUEST, 1, text, b"", 1) + b"x").hex()

    good = bytes.fromhex(request(header))
    rid = parse_request_id("01" * 16)
    return {
        "accept": {
            "request": good.hex(),
            "request with white space in its header": request(header.replace(b",", b" ,\n")),
            "refusal": encode_refusal(RefusalCode.EXPIRED, rid).hex(),
            "refusal without a request id": encode_refusal(RefusalCode.MALFORMED, None).hex(),
        },
        "reject": {
            "empty": "",
            "shorter than the prefix": good[:15].hex(),
            "wrong magic": (b"SFL2" + good[4:]).hex(),
            "unknown kind": (good[:4] + b"\x04" + good[5:]).hex(),
            "reserved byte": (good[:5] + b"\x01" + good[6:]).hex(),
            "trailing byte": (good + b"\0").hex(),
            "cut": good[:-1].hex(),
            "header over 4096 bytes": request(b" " * 4096 + header),
            "body over the limit": encode_start(Kind.REQUEST, 1, header, b"", 2**32 - 1).hex(),
            "header not an object": request(b"[]"),
            "header not UTF-8": request(header.replace(b'"m"', b'"\xff"')),
            "duplicate key": request(header.replace(b"{", b'{"version":"1",')),
            "unknown key": request(header.replace(b"{", b'{"tenant":"x",')),
            "missing key": request(header.replace(b'"deadline_ms":1,', b"")),
            "fraction": request(header.replace(b":1,", b":1.0,")),
            "NaN": request(header.replace(b":1,", b":NaN,")),
            "boolean for a number": request(header.replace(b":1,", b":true,")),
            "upper-case id": request(header.replace(b"ab" * 32, b"AB" * 32)),
            "path for a model": request(header.replace(b'"m"', b'"../m"')),
            "reply with a key blob": (
                encode_start(Kind.REFUSAL, 0, b'{"code":"expired","rid":null}', b"x", 0) + b"x"
            ).hex(),
            "refusal with a body": (
                encode_start(Kind.REFUSAL, 0, b'{"code":"expired","rid":null}', b"", 1) + b"x"
            ).hex(),
            "refusal with a code of nobody's list": encode_start(
                Kind.REFUSAL, 0, b'{"code":"because","rid":null}', b"", 0
            ).hex(),
        },
    }


if __name__ == "__main__":
    for name, value in (
        ("envelope", {"max_body_bytes": LIMIT, **envelopes()}),
        ("exchange", {"max_body_bytes": LIMIT, "exchanges": [exchange(suite) for suite in Suite]}),
    ):
        path = HERE / f"{name}.json"
        if path.exists():
            sys.exit(f"{path} exists; vectors are never rewritten")
        path.write_text(json.dumps(value, indent=1) + "\n")
