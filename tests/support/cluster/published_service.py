"""A service as a client sees it: evidence and signed directories, each part open to change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealflow.attest.evidence import BoundClaims, Evidence, report_data
from sealflow.attest.simulated.measurement import simulated_measurement
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.documents.log_tree import LogTree
from sealflow.owner import DirectoryModel, Role, Tee, TrustDomain
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.keybroker.key_store import KeyStore
from sealflow.trusted.keybroker.log_writer import LogHead
from sealflow.wire.ids import RequestId
from tests.support.attestation.deployments import SimulatedDeployment, simulated_deployment

if TYPE_CHECKING:
    from numpy.typing import NDArray

TREE = LogTree(first=0).append("0f" * 32).append("ee" * 32)
LOG = LogHead(log_id="0f" * 32, number=1, digest="ee" * 32, tree=TREE)
NOW_MS = 1_790_000_000_000


@dataclass(frozen=True, kw_only=True)
class PublishedService:
    """A key broker with known keys, in a simulated deployment."""

    site: SimulatedDeployment
    signing: Ed25519PrivateKey
    private_key: OpeningKey
    key_store: KeyStore

    @classmethod
    def create(cls, now_ms: int = NOW_MS, **times: int) -> Self:
        """Set up platform, settings and keys."""
        site = simulated_deployment(now_ms, **times)
        return cls(
            site=site,
            signing=Ed25519PrivateKey.generate(),
            private_key=OpeningKey.generate(Suite.for_domain(TrustDomain.SIMULATED)),
            key_store=KeyStore(site.deployment, now_ms),
        )

    @property
    def policy(self) -> Any:
        """The clients' policy."""
        return self.site.deployment.policy(Role.KEY_BROKER)

    def bound(self, **changes: Any) -> BoundClaims:
        """What the key broker binds to its quote."""
        values: dict[str, Any] = {
            "role": Role.KEY_BROKER,
            "tee": Tee.SIMULATED,
            "deployment": self.site.deployment.name,
            "instance": RequestId("0f" * 16),
            "nonce": "00" * 32,
            "manifest_digest": self.site.deployment.digest,
            "sealing_suite": int(self.private_key.suite),
            "sealing_key": self.private_key.public_key.public,
            "signing_key": self.signing.public_key().public_bytes_raw(),
            "software": "0.1",
            **changes,
        }
        return BoundClaims(**values)

    def evidence(self, bound: BoundClaims | None = None, **quote: Any) -> Evidence:
        """Evidence for claims; `quote`: what `Platform.quote` takes besides."""
        bound = bound or self.bound()
        encoded = bound.to_bytes()
        measurement = quote.pop("measurement", simulated_measurement(bound.role))
        data = report_data(encoded, bound.role, TrustDomain.SIMULATED)
        return Evidence(
            tee=Tee.SIMULATED,
            quote=self.site.platform.quote(measurement, data, **quote),
            bound=encoded,
            collateral=self.site.platform.collateral,
        )

    def directory(self, **changes: Any) -> Directory:
        """A directory of the deployment."""
        return replace(self.key_store.directory(1, None, LOG), **changes)

    def document(
        self, directory: Directory | None = None, evidence: Evidence | None = None
    ) -> bytes:
        """Sign and publish."""
        signed = SignedDirectory.sign(
            directory or self.directory(),
            self.signing,
            TrustDomain.SIMULATED,
            evidence or self.evidence(),
        )
        return signed.to_bytes()

    def with_model(self) -> Directory:
        """A directory with the model m, from FP32 x [-1, 4] to FP32 y [-1, 4]."""
        spec = {"datatype": "FP32", "shape": [-1, 4]}
        model = DirectoryModel.from_json(
            {
                "name": "m",
                "version": "1",
                "digest": "cd" * 32,
                "owner": self.site.owner.signer,
                "workers": None,
                "default": True,
                "inputs": [{"name": "x", **spec}],
                "outputs": [{"name": "y", **spec}],
                "image": None,
            }
        )
        return self.directory(models=(model,))

    def with_image_model(self) -> Directory:
        """A directory with the model m, from an image to the classes of y."""
        [plain] = self.with_model().models
        image = {"name": "image", "datatype": "BYTES", "shape": [-1, 1]}
        facts = {**plain.to_json(), "inputs": [image], "image": "image"}
        return self.directory(models=(DirectoryModel.from_json(facts),))

    def tensor(self) -> NDArray[np.float32]:
        """What the model takes."""
        return np.ones((1, 4), np.float32)
