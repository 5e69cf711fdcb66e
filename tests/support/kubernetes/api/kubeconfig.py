"""The file with which clients find the API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.api.server import ApiServer


def write_kubeconfig(
    path: Path, api: ApiServer, namespace: str, *, token: str = "", ca: Path | None = None
) -> Path:
    """Write it for the owner of a token; `ca`: the root of the server's certificate."""
    place = {"server": api.url} | ({} if ca is None else {"certificate-authority": str(ca)})
    here = {"cluster": "small", "user": "tester", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "small", "cluster": place}],
        "users": [{"name": "tester", "user": {"token": token}}],
        "contexts": [{"name": "small", "context": here}],
        "current-context": "small",
    }
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
