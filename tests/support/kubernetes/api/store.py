"""Objects of a cluster in memory, with Kubernetes' rules for versions, patches and watches."""

from __future__ import annotations

import copy
import itertools
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kubernetes.api.kinds import Kind

Object = dict[str, Any]
Key = tuple[str, str, str]


class StatusError(Exception):
    """What the API server refuses, with the code and reason that clients know."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Store:
    """All objects. `changed` is notified after each change; events stay, for watches."""

    def __init__(self, check: Callable[[Object], None]) -> None:
        """Refuse on each write what `check` refuses."""
        self._check = check
        self._objects: dict[Key, Object] = {}
        self._applied: dict[tuple[Key, str], Object] = {}
        self._versions = itertools.count(1)
        self.version = 0
        self.events: list[tuple[int, str, Object]] = []
        self.changed = threading.Condition(threading.RLock())

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Give one object.

        Raises: StatusError when there is none.
        """
        with self.changed:
            found = self._objects.get((kind.plural, namespace, name))
            if found is None:
                raise StatusError(404, "NotFound", f'{kind.plural} "{name}" not found')
            return copy.deepcopy(found)

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Give all objects of a kind; without a namespace, of all of them."""
        with self.changed:
            return [
                copy.deepcopy(found)
                for (plural, place, _), found in sorted(self._objects.items())
                if plural == kind.plural and namespace in {"", place}
            ]

    def create(self, kind: Kind, namespace: str, new: Object) -> Object:
        """Add an object.

        Raises: StatusError when it is there or is not as it should be.
        """
        new = copy.deepcopy(new)
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name"):
            metadata["name"] = metadata.get("generateName", "x-") + uuid.uuid4().hex[:5]
        if kind.namespaced:
            metadata["namespace"] = namespace
        with self.changed:
            key = (kind.plural, namespace, metadata["name"])
            if key in self._objects:
                message = f'{kind.plural} "{metadata["name"]}" already exists'
                raise StatusError(409, "AlreadyExists", message)
            self._check(new)
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
            return self._keep(key, "ADDED", new)

    def replace(self, kind: Kind, namespace: str, new: Object) -> Object:
        """Put a changed object in the place of the one that it was made from.

        Raises: StatusError, also when that has changed meanwhile.
        """
        with self.changed:
            old = self.get(kind, namespace, new["metadata"]["name"])
            wanted = new["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                message = "the object has been modified; please apply your changes to the latest"
                raise StatusError(409, "Conflict", message)
            new = copy.deepcopy(new)
            for name in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                new["metadata"][name] = old["metadata"][name]
            if kind.namespaced:
                new["metadata"]["namespace"] = namespace
            if new == old:
                return old
            self._check(new)
            if new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] += 1
            return self._keep((kind.plural, namespace, new["metadata"]["name"]), "MODIFIED", new)

    def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        """Lay a merge patch over an object (RFC 7386).

        Raises: StatusError.
        """
        with self.changed:
            old = self.get(kind, namespace, name)
            if "resourceVersion" not in patch.get("metadata", {}):
                old["metadata"].pop("resourceVersion")
            return self.replace(kind, namespace, _merged(old, patch))

    def edit(self, kind: Kind, namespace: str, name: str, steps: list[Object]) -> Object:
        """Run a JSON patch of objects' members (RFC 6902: add, replace, remove, test).

        Raises: StatusError.
        """
        with self.changed:
            new = self.get(kind, namespace, name)
            new["metadata"].pop("resourceVersion")
            for step in steps:
                *above, last = [_unescaped(part) for part in step["path"].split("/")[1:]]
                place = new
                for part in above:
                    place = place.setdefault(part, {})
                if step["op"] == "remove":
                    place.pop(last, None)
                elif step["op"] == "test":
                    if place.get(last) != step["value"]:
                        raise StatusError(422, "Invalid", f"test of {step['path']} failed")
                else:
                    place[last] = step["value"]
            return self.replace(kind, namespace, new)

    def apply(self, kind: Kind, namespace: str, name: str, new: Object, manager: str) -> Object:
        """Make an object's fields as `new` says, and take away what the same manager once set.

        Raises: StatusError.
        """
        key = (kind.plural, namespace, name)
        with self.changed:
            before = self._applied.get((key, manager), {})
            if key not in self._objects:
                result = self.create(kind, namespace, new)
            else:
                old = _without(self.get(kind, namespace, name), before, new)
                old["metadata"].pop("resourceVersion")
                result = self.replace(kind, namespace, _merged(old, new))
            self._applied[key, manager] = copy.deepcopy(new)
            return result

    def delete(self, kind: Kind, namespace: str, name: str) -> Object:
        """Remove an object.

        Raises: StatusError.
        """
        with self.changed:
            old = self.get(kind, namespace, name)
            key = (kind.plural, namespace, name)
            del self._objects[key]
            for known in [known for known in self._applied if known[0] == key]:
                del self._applied[known]
            self._note("DELETED", old)
            return old

    def _keep(self, key: Key, event: str, new: Object) -> Object:
        self._objects[key] = new
        self._note(event, new)
        return copy.deepcopy(new)

    def _note(self, event: str, each: Object) -> None:
        self.version = next(self._versions)
        each["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, event, copy.deepcopy(each)))
        self.changed.notify_all()


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _merged(old: Object, patch: Object) -> Object:
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = _merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def _without(live: Object, before: Object, new: Object) -> Object:
    """Take away what stood in `before` and does not in `new`."""
    result = dict(live)
    for key, value in before.items():
        if key not in new:
            result.pop(key, None)
        elif all(isinstance(each, dict) for each in (value, new[key], result.get(key))):
            result[key] = _without(result[key], value, new[key])
    return result
