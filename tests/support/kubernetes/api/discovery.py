"""What the API server says of itself before a client asks for objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.kubernetes.api.kinds import KINDS

if TYPE_CHECKING:
    from tests.support.kubernetes.api.store import Object

VERSION: Final = {"major": "1", "minor": "37", "gitVersion": "v1.37.0", "platform": "linux/amd64"}
_VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def discovery(path: str) -> Object | None:
    """Answer a path of discovery; None when it is another."""
    if path.startswith("/openapi/"):
        return _openapi(path)
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = sorted({kind.api_version for kind in KINDS if "/" in kind.api_version})
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": each.partition("/")[0],
                    "versions": [{"groupVersion": each, "version": each.partition("/")[2]}],
                    "preferredVersion": {"groupVersion": each, "version": each.partition("/")[2]},
                }
                for each in groups
            ],
        }
    own = [kind for kind in KINDS if kind.root == path]
    if not own:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": own[0].api_version,
        "resources": [
            {
                "name": kind.plural,
                "singularName": kind.name.lower(),
                "kind": kind.name,
                "namespaced": kind.namespaced,
                "verbs": _VERBS,
            }
            for kind in own
        ],
    }


def _openapi(path: str) -> Object | None:
    """Say no more than that patches are checked strictly: clients ask before they send."""
    if path == "/openapi/v3":
        roots = {kind.root.lstrip("/") for kind in KINDS}
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    operations = {}
    for kind in KINDS:
        if f"/openapi/v3{kind.root}" == path:
            group, _, version = kind.api_version.rpartition("/")
            operations[f"{kind.root}/{kind.plural}/{{name}}"] = {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "x-kubernetes-group-version-kind": {
                        "group": group,
                        "version": version,
                        "kind": kind.name,
                    },
                    "responses": {},
                }
            }
    info = {"title": "small cluster", "version": "1"}
    return {"openapi": "3.0.0", "info": info, "paths": operations} if operations else None
