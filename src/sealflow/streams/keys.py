"""Core, pure, stdlib only: names of the queue's Redis keys and fields. Spec: docs/spec/queue.md.

All keys of a deployment share a hash tag, so that a Redis Cluster keeps them in one slot.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from sealflow.wire.ids import parse_name

LOG_ENTRIES: Final = 20_000
"""Approximate number of the newest log records that the broker keeps; the archives of the key
broker hosts keep all of them."""
GROUP: Final = "sealflow"
FIELD_ENVELOPE: Final = b"e"
FIELD_CORRELATION: Final = b"c"
FIELD_REPLY_TO: Final = b"r"
FIELD_HOPS: Final = b"h"
FIELD_CLASS: Final = b"k"
HOSTS_CONTROL_CAPACITY: Final = 4096
"""Limit of the control stream for hosts. It is above that of gateways, so that what strangers ask
for never keeps out what workers need."""


class ControlClass(enum.StrEnum):
    """The class of a control request from outside, by its operation; those of hosts have none."""

    PUBLISH = "publish"
    """From owners and operators: to publish and to revoke."""
    READ = "read"
    """To read the directory, or to get evidence."""
    ENROLL = "enroll"
    """To get keys."""


_OPERATIONS: Final = {
    "publish": ControlClass.PUBLISH,
    "revoke": ControlClass.PUBLISH,
    "challenge": ControlClass.ENROLL,
    "enroll": ControlClass.ENROLL,
    "join": ControlClass.ENROLL,
}


def control_class(operation: object) -> ControlClass:
    """Return the class of a control request from its `op`."""
    return _OPERATIONS.get(str(operation), ControlClass.READ)


def request_fields(
    envelope: bytes, correlation: bytes | str, inbox: str, kind: ControlClass | None = None
) -> dict[bytes, bytes | str]:
    """Return the fields of a request's entry.

    `correlation`: bytes that come back with the answer. `inbox`: key of the stream for the answer.
    `kind`: of a control request from outside.
    """
    fields = {FIELD_ENVELOPE: envelope, FIELD_CORRELATION: correlation, FIELD_REPLY_TO: inbox}
    return fields if kind is None else {**fields, FIELD_CLASS: kind.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyspace:
    """The Redis keys of one deployment.

    Raises: MalformedError when `deployment` is not a valid name.
    """

    deployment: str

    def __post_init__(self) -> None:
        """Check the name, which could otherwise contain a brace and end the hash tag."""
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
        """Return the key of the bounded stream for dead-lettered entries of `stream`."""
        return f"{stream}:dead"

    @property
    def directory(self) -> str:
        """The string with the signed directory and the key broker's evidence, as JSON."""
        return f"{{sealflow:{self.deployment}}}:directory"

    @property
    def log(self) -> str:
        """The stream of the newest log records; entry `N-1` has record N."""
        return f"{{sealflow:{self.deployment}}}:log"

    @property
    def log_tree(self) -> str:
        """The string of the digests of all log entries, 32 bytes each, by number."""
        return f"{{sealflow:{self.deployment}}}:log-tree"

    @property
    def keybroker_leader(self) -> str:
        """The string with the instance id of the leading key broker; it expires with its lease."""
        return f"{{sealflow:{self.deployment}}}:keybroker:leader"

    @property
    def keybroker_state(self) -> str:
        """The hash with the key broker's sealed state."""
        return f"{{sealflow:{self.deployment}}}:keybroker:state"

    @property
    def keybroker_keys(self) -> str:
        """The hash with the sealed state key of each machine, by machine id."""
        return f"{{sealflow:{self.deployment}}}:keybroker:keys"

    @property
    def quarantine(self) -> str:
        """The hash with the failures of models, by digest."""
        return f"{{sealflow:{self.deployment}}}:quarantine"

    def inbox(self, name: str) -> str:
        """Return the key of a reader's inbox: of a gateway, a queue client or one request."""
        return f"{{sealflow:{self.deployment}}}:inbox:{parse_name(name)}"

    def status(self, component: str, instance: str) -> str:
        """Return the key of a process's status, which expires 10 s after it was written."""
        return f"{{sealflow:{self.deployment}}}:status:{component}:{instance}"

    @property
    def status_pattern(self) -> str:
        """The glob pattern of the status keys of all processes."""
        return f"{{sealflow:{self.deployment}}}:status:*"
