"""Operator: the broker's users and what each may do. Spec: queue.md. For Redis 7 or Valkey.

Nobody needs these rights for secrecy, which never rests on the broker: they bound the harm that one
component can do to the others' service.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sealflow.streams.keys import Keyspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PASSWORD_BYTES: Final = 32
_CONNECTION: Final = "+hello +auth +ping +info"
_SUBMIT: Final = "+xlen +xadd"
_READ_INBOX: Final = "+xread +xdel +del +get"
_CONSUME: Final = (
    "+eval +evalsha +script|load +xgroup|create +xreadgroup +xclaim +xpending +xack +xdel +xadd "
    "+xlen +pexpire +set +del"
)


def new_password() -> str:
    """Draw a password of 256 bits, in letters that need no quoting anywhere."""
    return secrets.token_hex(_PASSWORD_BYTES)


def users_acl(deployment: str, digests: Mapping[str, Sequence[str]]) -> bytes:
    """Write the file for the broker's `aclfile`.

    `digests`: SHA-256 in hex of each password that counts, by component. The default user is off:
    who gives no name and password gets nothing.

    Raises: MalformedError when the deployment's name is not a name.
    """
    keys = Keyspace(deployment=deployment)
    inboxes, status = keys.inbox("x").removesuffix("x") + "*", keys.status_pattern
    dead = keys.dead_letters(keys.requests)
    # The rights in brackets go together: who may append to a stream cannot read with another
    # command what the others appended.
    rights = {
        "gateway": (
            f"%RW~{inboxes} %R~{keys.directory} %RW~{status} {_READ_INBOX} +exists +pexpire +set "
            "+mget +scan +wait "
            f"({_SUBMIT} +eval +xpending ~{keys.requests} ~{keys.control} ~{inboxes})"
        ),
        "client": (f"%RW~{inboxes} %R~{keys.directory} {_READ_INBOX} ({_SUBMIT} ~{keys.requests})"),
        "engine": (
            f"~{keys.requests} %W~{dead} %RW~{inboxes} %R~{keys.directory} %W~{status} {_CONSUME} "
            f"+xread +get ({_SUBMIT} ~{keys.control})"
        ),
        "control": (
            f"~{keys.control} ~{keys.keybroker_leader} ~{keys.keybroker_state} "
            f"~{keys.keybroker_keys} ~{keys.log} %RW~{inboxes} %W~{keys.directory} %W~{status} "
            f"{_CONSUME} +get +hget +hgetall +hset +xrange +xread"
        ),
        "scaler": f"%R~{keys.requests} +xlen",
    }
    lines = ["user default off resetkeys resetchannels -@all"]
    for name, granted in rights.items():
        hashed = " ".join(f"#{digest}" for digest in digests[name])
        lines.append(f"user {name} on {hashed} resetchannels -@all {_CONNECTION} {granted}")
    return "\n".join([*lines, ""]).encode()
