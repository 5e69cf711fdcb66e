"""Operator: Kubernetes Secrets of a key folder, separate for each component.

No Secret holds the private key of an authority or the enclave signing key: no cluster needs them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from sealflow.operator.components import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealflow.operator.components import ClusterNames

KEYS_MANIFEST: Final = "keys/keys.yaml"
PASSWORD_MANIFEST: Final = "password/password.yaml"  # noqa: S105 - the name of a file


def secret_manifests(cluster: ClusterNames, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the manifests `keys/keys.yaml` and `password/password.yaml` by path.

    Secrets are named RELEASE-COMPONENT-tls and RELEASE-COMPONENT-password. Their entries have the
    names of the files.
    """
    return {
        path: "".join(
            _document(cluster, f"{component.name}-{suffix}", kind, entries)
            for component in COMPONENTS
            if (entries := _entries(files, f"{folder}/{component.name}/"))
        ).encode()
        for path, folder, suffix, kind in (
            (KEYS_MANIFEST, "keys", "tls", "kubernetes.io/tls"),
            (PASSWORD_MANIFEST, "password", "password", "Opaque"),
        )
    }


def _entries(files: Mapping[str, bytes], prefix: str) -> dict[str, str]:
    return {
        path.removeprefix(prefix): b64encode(content).decode()
        for path, content in sorted(files.items())
        if path.startswith(prefix)
    }


def _document(cluster: ClusterNames, name: str, kind: str, entries: Mapping[str, str]) -> str:
    # A JSON string is a YAML string, too (YAML 1.2).
    data = "".join(f"  {json.dumps(key)}: {json.dumps(value)}\n" for key, value in entries.items())
    return (
        "---\n"
        "apiVersion: v1\n"
        "kind: Secret\n"
        "metadata:\n"
        f"  name: {json.dumps(f'{cluster.release}-{name}')}\n"
        f"  namespace: {json.dumps(cluster.namespace)}\n"
        "  labels:\n"
        "    app.kubernetes.io/part-of: sealflow\n"
        f"    app.kubernetes.io/instance: {json.dumps(cluster.release)}\n"
        f"type: {kind}\n"
        f"data:\n{data}"
    )
