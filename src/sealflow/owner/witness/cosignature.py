"""Owner, pure: cosignatures of witnesses over the head of the key broker's log.

A witness signs a head only if it continues every head that it signed before. Format: C2SP
tlog-cosignature, over a tlog-checkpoint without extension lines. Spec: witness.md.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.verifiers import WITNESS_NAME, TrustedWitness
from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.errors import MalformedError, UnavailableError
from sealflow.seal.signing import verify_signature
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealflow.attest.verifiers import WitnessRequirements
    from sealflow.documents.log_tree import TreeHead

MAX_COSIGNATURES: Final = 16
MAX_LINE_CHARACTERS: Final = 400
RETRY_S: Final = 5.0
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_LINE: Final = re.compile(
    rf"— (?P<name>{WITNESS_NAME}) (?P<signature>[A-Za-z0-9+/]{{101}}[AQgw]==)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """The signature of a witness over the head of a log, verified. `at_s`: its time, Unix s."""

    witness: TrustedWitness
    at_s: int


def log_checkpoint_text(head: TreeHead, log_id: str, domain: TrustDomain) -> str:
    """Return the checkpoint that witnesses sign: three lines. Spec: witness.md, 1.

    `log_id`: the digest of the log's first entry, in hex.
    """
    first = f"/{head.first}" if head.first else ""
    simulated = "/simulated" if domain is TrustDomain.SIMULATED else ""
    origin = f"sealflow-log/{log_id}{first}{simulated}"
    return f"{origin}\n{head.size}\n{b64encode(head.root).decode()}\n"


def cosign(text: str, witness: TrustedWitness, sign: Callable[[bytes], bytes], at_s: int) -> str:
    """Return a cosignature over a checkpoint: one line, without its end.

    `sign`: signs with the private key of `witness`. `at_s`: the time, Unix seconds.
    """
    content = witness.key_id + at_s.to_bytes(_TIME_BYTES) + sign(_message(text, at_s))
    return f"— {witness.name} {b64encode(content).decode()}"


def unverified_cosignatures(document: bytes) -> list[str]:
    """Return the lines that a published document has beside its directory.

    Raises: MalformedError.
    """
    lines = parse_object(document, "published document").get("cosignatures", [])
    if (
        not isinstance(lines, list)
        or len(lines) > MAX_COSIGNATURES
        or not all(isinstance(each, str) and len(each) <= MAX_LINE_CHARACTERS for each in lines)
    ):
        raise MalformedError(
            f"published document: cosignatures is not a list of at most {MAX_COSIGNATURES} strings "
            f"of at most {MAX_LINE_CHARACTERS} characters"
        )
    return lines


def require_cosignatures(
    lines: Sequence[str], text: str | None, wanted: WitnessRequirements, now_ms: int
) -> tuple[Cosignature, ...]:
    """Return the cosignatures of as many witnesses as a policy demands, the newest first.

    Lines of others, and those that are not genuine, do not count. `text`: the checkpoint; None if
    the directory has no tree.

    Raises: UnavailableError (`directory_unwitnessed`).
    """
    found: dict[str, Cosignature] = {}
    for line in lines if text is not None else ():
        each = _genuine(line, str(text), wanted.witnesses)
        if each is not None and _is_timely(each.at_s, wanted.max_age_s, now_ms):
            kept = found.get(each.witness.name, each)
            found[each.witness.name] = max(each, kept, key=lambda one: one.at_s)
    if len(found) < wanted.required:
        raise _unwitnessed(len(found), wanted)
    newest = sorted(found.values(), key=lambda each: each.at_s, reverse=True)
    return tuple(newest[: wanted.required])


def _genuine(line: str, text: str, witnesses: Sequence[TrustedWitness]) -> Cosignature | None:
    parts = _LINE.fullmatch(line)
    witness = next((each for each in witnesses if parts and each.name == parts["name"]), None)
    if parts is None or witness is None:
        return None
    content = b64decode(parts["signature"])
    key_id, time = content[:_ID_BYTES], content[_ID_BYTES : _ID_BYTES + _TIME_BYTES]
    if key_id != witness.key_id:
        return None
    at_s, refusal = int.from_bytes(time), MalformedError("the cosignature is not genuine")
    try:
        signature = content[_ID_BYTES + _TIME_BYTES :]
        verify_signature(witness.public, signature, _message(text, at_s), refusal)
    except MalformedError:
        return None
    return Cosignature(witness=witness, at_s=at_s)


def _is_timely(at_s: int, max_age_s: int | None, now_ms: int) -> bool:
    if not 0 < 1000 * at_s <= now_ms + MAX_CLOCK_SKEW_MS:
        return False
    return max_age_s is None or now_ms < 1000 * (at_s + max_age_s)


def _message(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def _unwitnessed(count: int, wanted: WitnessRequirements) -> UnavailableError:
    names = ", ".join(each.name for each in wanted.witnesses)
    error = UnavailableError(
        f"{count} of the witnesses {names} vouch for the log of this directory, and the policy "
        f"demands {wanted.required}",
        retry_after_s=RETRY_S,
    )
    error.code = "directory_unwitnessed"
    error.hint = (
        "Try again in some seconds; then ask the operator and the witnesses whether they saw "
        "another log. A queue client has no cosignatures: use a gateway."
    )
    return error
