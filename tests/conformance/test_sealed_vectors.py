"""Packages, publications, grants and states that were sealed once open the same for ever."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from sealflow.documents.grant import Grant, open_grant
from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.owner import OwnerKey
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import UnverifiedPackage
from sealflow.package.publication import open_publication
from sealflow.seal.keys import OpeningKey, parse_suite
from sealflow.trusted.keybroker.state import State, StateKey, machine_id
from sealflow.wire.domain import TrustDomain

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sealed.json").read_text()
)
REJECTS = sorted({name for each in VECTORS["packages"].values() for name in each["reject"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVector:
    """One world's package."""

    domain: TrustDomain
    values: dict[str, Any]

    @classmethod
    def of(cls, name: str) -> Self:
        """Find it."""
        return cls(domain=TrustDomain[name.upper()], values=VECTORS["packages"][name])

    @property
    def owner(self) -> OwnerKey:
        """Who packed."""
        return OwnerKey(
            domain=self.domain,
            signing_seed=bytes.fromhex(self.values["owner_signing_seed"]),
            sealing_seed=bytes.fromhex(self.values["owner_sealing_seed"]),
        )

    def opened(self, package: str) -> dict[str, bytes]:
        """Open a package as a worker does that was granted the vector's key."""
        verified = UnverifiedPackage.from_bytes(b64decode(package)).verify(
            self.values["signer"], digest=self.values["digest"]
        )
        return verified.open_files(bytes.fromhex(self.values["content_key"]), self.domain)


@pytest.fixture(params=VECTORS["packages"])
def package(request: pytest.FixtureRequest) -> PackageVector:
    """Each world's."""
    return PackageVector.of(str(request.param))


def test_package(package: PackageVector) -> None:
    """It has its digest, signer, manifest and files, and its owner finds the content key in it."""
    values, owner = package.values, package.owner
    assert (owner.signer, int(opening_key(owner).suite)) == (values["signer"], values["suite"])
    verified = UnverifiedPackage.from_bytes(b64decode(values["package"])).verify(owner.signer)
    assert verified.digest == values["digest"]
    assert verified.manifest.to_bytes().decode() == values["manifest"]
    assert verified.unwrap(opening_key(owner)).hex() == values["content_key"]
    files = {name: b64decode(text) for name, text in values["files"].items()}
    assert package.opened(values["package"]) == files


@pytest.mark.parametrize("name", REJECTS)
def test_packages_to_reject(package: PackageVector, name: str) -> None:
    """None of them gives any file."""
    with pytest.raises((BundleError, OpenError)):
        package.opened(package.values["reject"][name])


def test_publication(package: PackageVector) -> None:
    """It hands content key and owner's demands to the key broker that it was sealed to."""
    values = package.values
    seed = bytes.fromhex(values["keybroker_seed"])
    keybroker = OpeningKey(suite=parse_suite(values["suite"]), seed=seed)
    found = open_publication(b64decode(values["publication"]), keybroker)
    assert (found.digest, found.signer) == (values["digest"], values["signer"])
    assert found.content_key.hex() == values["content_key"]
    assert found.issued_ms == values["publication_issued_ms"]
    assert found.workers is not None
    assert found.workers.to_json() == values["publication_workers"]


def test_publications_to_reject(package: PackageVector) -> None:
    """They open, but a time in them is out of bounds."""
    seed = bytes.fromhex(package.values["keybroker_seed"])
    keybroker = OpeningKey(suite=parse_suite(package.values["suite"]), seed=seed)
    for sealed in package.values["reject_publications"].values():
        with pytest.raises(MalformedError, match="is not a time"):
            open_publication(b64decode(sealed), keybroker)


def granted(**changes: Any) -> Grant:
    """Open the grant, or one of which something is changed."""
    values = VECTORS["grant"] | changes
    seed = bytes.fromhex(values["worker_seed"])
    return open_grant(
        b64decode(values["grant"]),
        b64decode(values["signature"]),
        private_key=OpeningKey(suite=parse_suite(values["suite"]), seed=seed),
        bound=values["bound"].encode(),
        nonce=values["nonce"],
        signer=bytes.fromhex(values["signer"]),
    )


def test_grant() -> None:
    """It opens for its worker, claims and nonce, and holds these keys and models."""
    values, grant = VECTORS["grant"], granted()
    assert [key.private_key.public_key.key_id for key in grant.keys] == values["keys"]
    assert [model.digest for model in grant.models] == values["models"]
    assert grant.lease_ms == values["lease_ms"]
    assert (grant.log_id, grant.directory_version) == (
        values["history"],
        values["directory_version"],
    )
    bound = values["bound"].replace(values["nonce"], "00" * 32)
    for changes in ({"nonce": "00" * 32}, {"bound": bound}, {"signer": "00" * 32},
                    {"worker_seed": "00" * 32}):  # fmt: skip
        with pytest.raises(OpenError):
            granted(**changes)


@pytest.mark.parametrize("name", VECTORS["reject_grants"])
def test_grants_to_reject(name: str) -> None:
    """They open, but a time in them is out of bounds."""
    with pytest.raises(MalformedError, match="is not a time"):
        granted(**VECTORS["reject_grants"][name])


def test_state() -> None:
    """It opens with its key, for its deployment, and holds these epochs and models."""
    values = VECTORS["state"]
    blob, key, digest = (
        b64decode(values["state"]),
        bytes.fromhex(values["key"]),
        values["deployment_digest"],
    )
    state = State.open(blob, key, digest, TrustDomain.SIMULATED)
    assert [each.kid for each in state.epochs] == values["epochs"]
    assert [each.digest for each in state.publications] == values["models"]
    assert (state.log.log_id, state.log.number) == (values["history"], values["number"])
    assert state.directory_version == values["directory_version"]
    for changed in (blob[:36] + bytes(8) + blob[44:], blob[:-1], blob[:-1] + b"\0"):
        with pytest.raises(OpenError):
            State.open(changed, key, digest, TrustDomain.SIMULATED)
    with pytest.raises(OpenError):
        State.open(blob, key, digest, TrustDomain.HARDWARE)


def test_state_key() -> None:
    """It is on its machine what it was, and on no other."""
    values = VECTORS["state"]
    wrapped, platform_key = b64decode(values["wrapped_key"]), bytes.fromhex(values["platform_key"])
    found = StateKey.unwrap(wrapped, platform_key, TrustDomain.SIMULATED)
    assert (found.key.hex(), found.log_id, found.number) == (
        values["key"],
        values["history"],
        values["number"],
    )
    assert machine_id(platform_key, TrustDomain.SIMULATED).hex() == values["machine_id"]
    assert wrapped[4:20].hex() == values["machine_id"]
    with pytest.raises(OpenError):
        StateKey.unwrap(wrapped, bytes(32), TrustDomain.SIMULATED)
    with pytest.raises(OpenError):
        StateKey.unwrap(wrapped, platform_key, TrustDomain.HARDWARE)
