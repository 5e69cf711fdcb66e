"""A whole cluster with two owners: one means well, the other may not."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sealflow.owner import Client, OwnerKey, Revoked, RevokedKind, load_owner_key
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import UnverifiedPackage, seal_package
from sealflow.wire.domain import TrustDomain
from tests.support.cluster.local_cluster import TINY, LocalCluster
from tests.support.models.served_models import onnx_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.owner import InferResult

ROW = np.array([[0.5, -1, 2, 0]], np.float32)


class TwoOwners:
    """`sealflow up` with the first owner's model `tiny`, and a second owner without models."""

    def __init__(self, *options: str, workers: int = 1) -> None:
        """Start it; leases are short, and so are the deadlines of loads and runs."""
        self.second = OwnerKey.generate(TrustDomain.SIMULATED)
        self._stack = ExitStack()
        self.cluster = LocalCluster(
            TINY,
            options=(
                *("--workers", str(workers), "--owner", self.second.signer),
                *("--run-s", "2", "--load-s", "4", "--time", "lease_s=8", *options),
            ),
        )
        self._stack.callback(self.cluster.stop)
        self.client: Client = self._stack.enter_context(self.cluster.client())
        self.first = load_owner_key(self.cluster.home / "owner.key")
        self.content_keys: dict[str, bytes] = {}

    def publish(self, model: bytes, name: str, **changes: Any) -> str:
        """Publish a model of the second owner; gives its digest."""
        manifest = onnx_manifest(name, **changes)
        package = seal_package(
            manifest,
            {"model.onnx": model},
            signing=self.second.signing,
            sealing=opening_key(self.second).public_key,
        )
        verified = UnverifiedPackage.from_bytes(package).verify(self.second.signer)
        self.content_keys[name] = verified.unwrap(opening_key(self.second))
        self.client.publish(package, self.second)
        return verified.digest

    @contextmanager
    def published(self, model: bytes, name: str, **changes: Any) -> Iterator[str]:
        """Publish a model of the second owner, and revoke it in the end."""
        digest = self.publish(model, name, **changes)
        try:
            yield digest
        finally:
            self.client.revoke(Revoked(kind=RevokedKind.MODEL, id=digest), self.second)

    def ask(self, timeout_s: float = 60.0) -> InferResult:
        """Ask the first owner's model."""
        return self.client.infer("tiny", tensors={"x": ROW}, timeout_s=timeout_s)

    def workers(self, owner: OwnerKey) -> list[dict[str, Any]]:
        """What the engine says of an owner's processes."""
        return [
            worker
            for component in self.cluster.status()["components"]
            for worker in component.get("workers", ())
            if worker["serves"] == owner.signer
        ]

    def await_models(self, owner: OwnerKey, *names: str) -> None:
        """Wait until a process of an owner serves exactly these models."""
        self.cluster.await_status(
            lambda _: any(
                {each["name"] for each in worker["models"]} == set(names)
                for worker in self.workers(owner)
            )
        )

    def quarantined(self) -> dict[str, dict[str, Any]]:
        """What is set aside, by digest."""
        return {
            model["digest"]: model
            for component in self.cluster.status()["components"]
            for model in component.get("quarantine", ())
        }

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._stack.close()
