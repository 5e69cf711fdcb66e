"""Host: what counts as accepted when the broker has replicas that may take its place.

Replication is asynchronous: a request that only the lost server had is lost with it, so that a
gateway may demand that replicas have it before it says yes. Source: the command WAIT.
"""

from __future__ import annotations

from typing import Final

from sealflow.errors import UnavailableError

REPLICATION_MS: Final = 2000


def require_replicas(acknowledged: object, wanted: int) -> None:
    """Compare what WAIT answered with what was asked for.

    Raises: UnavailableError; the request may still be served, and its sender sends it again.
    """
    if not isinstance(acknowledged, int) or acknowledged < wanted:
        raise UnavailableError(
            f"{acknowledged} of the {wanted} replicas that min_replicas asks for have the request: "
            "see that the broker's replicas are connected"
        )
