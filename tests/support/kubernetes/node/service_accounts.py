"""What a pod finds of the API server and of its service account, as the kubelet gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.api.server import ApiServer

PLACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccounts:
    """Those of one namespace; `ca`: the root of the API server's certificate."""

    api: ApiServer
    ca: Path
    namespace: str

    def files(self, account: str) -> dict[str, bytes]:
        """Give the files at `PLACE`, with a new token.

        Raises: StatusError when there is no such account.
        """
        return {
            "token": self.api.access.token(self.namespace, account).encode(),
            "ca.crt": self.ca.read_bytes(),
            "namespace": self.namespace.encode(),
        }

    def variables(self) -> dict[str, str]:
        """Give what stands in every container's environment."""
        parts = urlsplit(self.api.url)
        return {
            "KUBERNETES_SERVICE_HOST": str(parts.hostname),
            "KUBERNETES_SERVICE_PORT": str(parts.port),
        }
