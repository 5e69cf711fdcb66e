"""Which objects a list or a watch is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.kubernetes.api.store import Object


def select_objects(each: Object, query: dict[str, str]) -> bool:
    """Say whether a request's label and field selectors mean an object."""
    labels = each["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, operator, value = term.partition("=")
        if name.endswith("!"):
            if labels.get(name[:-1]) == value.removeprefix("="):
                return False
        elif name not in labels or (operator and labels[name] != value.removeprefix("=")):
            return False
    field = query.get("fieldSelector", "")
    if field.startswith("metadata.name="):
        return bool(each["metadata"]["name"] == field.removeprefix("metadata.name="))
    return True
