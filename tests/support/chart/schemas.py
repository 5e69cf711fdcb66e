"""What Kubernetes takes: its own strict schemas, and the project's for custom resources."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

if TYPE_CHECKING:
    from tests.support.chart.rendering import Object

CUSTOM: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "custom_resources.json").read_text()
)
BUILT_IN: Final = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


@functools.cache
def definitions(version: str) -> Resource[Any]:
    """Give what all schemas of a Kubernetes version refer to."""
    path = BUILT_IN / f"v{version}.0-local-strict" / "_definitions.json"
    return Resource.from_contents(json.loads(path.read_text()))


@functools.cache
def validator(api_version: str, kind: str, kubernetes: str) -> jsonschema.Draft202012Validator:
    """Give the strict schema of a kind: the project's own for custom resources, else upstream's.

    Raises: FileNotFoundError for a kind that nobody knows.
    """
    custom = CUSTOM["kinds"].get(f"{api_version}/{kind}")
    if custom is not None:
        return jsonschema.Draft202012Validator({**custom, "$defs": CUSTOM["$defs"]})
    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    path = BUILT_IN / f"v{kubernetes}.0-local-strict" / f"{name}.json"
    schema = json.loads(path.read_text())
    registry: Registry[Any] = definitions(kubernetes) @ Registry()
    return jsonschema.Draft202012Validator(schema, registry=registry)


def check_object(each: Object, kubernetes: str) -> None:
    """Validate an object, and the pods within custom ones.

    Raises: jsonschema.ValidationError, FileNotFoundError for an unknown kind.
    """
    validator(each["apiVersion"], each["kind"], kubernetes).validate(each)
    if each["kind"] == "FlinkDeployment":
        for part in ("jobManager", "taskManager"):
            pod = {"apiVersion": "v1", "kind": "Pod"} | each["spec"][part]["podTemplate"]
            validator("v1", "Pod", kubernetes).validate(pod)
