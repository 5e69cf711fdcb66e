"""What the API server says that is no object of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.kubernetes.api.kinds import Kind
    from tests.support.kubernetes.api.store import Object, StatusError

_END_OF_INITIAL: Final = "k8s.io/initial-events-end"


def bookmark(kind: Kind, version: int) -> Object:
    """Give the mark in a watch after which come changes alone."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"resourceVersion": str(version), "annotations": {_END_OF_INITIAL: "true"}},
    }


def failure(error: StatusError) -> Object:
    """Give a refusal as clients read it."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": error.code,
        "reason": error.reason,
        "message": str(error),
    }
