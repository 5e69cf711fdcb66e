"""Core, pure, stdlib only: how envelopes lie in a Redis stream. Spec: docs/spec/queue.md.

Keys of one deployment share a hash tag, so that a Redis Cluster keeps them in one slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sealflow.wire.ids import parse_name

LOG_ENTRIES: Final = 20_000
"""About so many log records stay at the broker; all of them are in the archives of the hosts."""
GROUP: Final = "sealflow"
FIELD_ENVELOPE: Final = b"e"
FIELD_CORRELATION: Final = b"c"
FIELD_REPLY_TO: Final = b"r"
FIELD_HOPS: Final = b"h"


def request_fields(
    envelope: bytes, correlation: bytes | str, inbox: str
) -> dict[bytes, bytes | str]:
    """Return the fields of a request's entry; its answer goes to the stream `inbox`."""
    return {FIELD_ENVELOPE: envelope, FIELD_CORRELATION: correlation, FIELD_REPLY_TO: inbox}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyspace:
    """The names of all keys of one deployment.

    Raises: MalformedError when the deployment's name is not a name.
    """

    deployment: str

    def __post_init__(self) -> None:
        """Refuse what could break out of the hash tag."""
        parse_name(self.deployment)

    @property
    def requests(self) -> str:
        """The stream of sealed requests."""
        return f"{{sealflow:{self.deployment}}}:requests"

    @property
    def control(self) -> str:
        """The stream of requests to the key broker."""
        return f"{{sealflow:{self.deployment}}}:control"

    def dead_letters(self, stream: str) -> str:
        """The bounded stream of entries that no worker survived."""
        return f"{stream}:dead"

    @property
    def directory(self) -> str:
        """The string with the signed directory and the key broker's evidence."""
        return f"{{sealflow:{self.deployment}}}:directory"

    @property
    def log(self) -> str:
        """The stream of the newest log records; an entry's id begins with the record's number."""
        return f"{{sealflow:{self.deployment}}}:log"

    @property
    def keybroker_leader(self) -> str:
        """The string that names the key broker instance that leads, for a short time."""
        return f"{{sealflow:{self.deployment}}}:keybroker:leader"

    @property
    def keybroker_state(self) -> str:
        """The hash with the key broker's sealed state."""
        return f"{{sealflow:{self.deployment}}}:keybroker:state"

    @property
    def keybroker_keys(self) -> str:
        """The hash with the state's key as sealed for each machine."""
        return f"{{sealflow:{self.deployment}}}:keybroker:keys"

    def inbox(self, name: str) -> str:
        """The reply stream of one reader: a gateway instance, a queue client, one request."""
        return f"{{sealflow:{self.deployment}}}:inbox:{parse_name(name)}"

    def status(self, component: str, instance: str) -> str:
        """The short-lived status of one process."""
        return f"{{sealflow:{self.deployment}}}:status:{component}:{instance}"

    @property
    def status_pattern(self) -> str:
        """Matches the status keys of all processes."""
        return f"{{sealflow:{self.deployment}}}:status:*"
