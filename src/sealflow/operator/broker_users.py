"""Operator: the access control list of the broker (Redis 7 or Valkey). Spec: queue.md.

The secrecy of requests does not depend on these rights. They limit how far one component can
disturb the service of the others.
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
    """Return a random password of 256 bits, as 64 hex digits, which need no quoting."""
    return secrets.token_hex(_PASSWORD_BYTES)


def users_acl(deployment: str, digests: Mapping[str, Sequence[str]]) -> bytes:
    """Return the content of the broker's `aclfile`.

    `digests`: SHA-256, in hex, of each valid password, by component. The default user is off, so
    connections without a user name and a password can do nothing.

    Raises: MalformedError when `deployment` is not a valid name.
    """
    keys = Keyspace(deployment=deployment)
    inboxes, status = keys.inbox("x").removesuffix("x") + "*", keys.status_pattern
    dead = keys.dead_letters(keys.requests)
    # Rights in brackets (selectors) apply only together: a user that may append to a stream
    # must not read the entries of other users with another of its commands.
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
