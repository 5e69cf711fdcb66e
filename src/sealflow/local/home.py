"""Local: the folder of a cluster on this machine: keys, settings, policy, logs and state."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import tomli_w

from sealflow.attest.deployment import Deployment
from sealflow.attest.evidence import Role, Tee
from sealflow.attest.requirements import DAY_S, Requirements
from sealflow.attest.simulated.authority import LIFE, create_platform
from sealflow.attest.simulated.measurement import (
    image_measurement,
    packages_digest,
    simulated_measurement,
    site_packages,
)
from sealflow.attest.simulated.platform import SimulatedPlatform
from sealflow.attest.suites import SuiteName, parse_suites
from sealflow.clock import now_ms
from sealflow.errors import ConfigError, MalformedError
from sealflow.files import file_errors, write_file
from sealflow.owner.models.owner_key import OwnerKey, create_owner_key, load_owner_key
from sealflow.owner.trust.policy_file import write_policy
from sealflow.wire.domain import TrustDomain
from sealflow.wire.ids import parse_digest, parse_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_HOME: Final = Path(".sealflow")
_PLATFORM_DAYS: Final = LIFE.days - 35
_MAX_COLLATERAL_AGE_S: Final = (LIFE.days + 5) * DAY_S

_ENDPOINT_KEYS: Final = frozenset({"pid", "url", "ca", "broker"})
"""The keys of `cluster.json` that other commands use."""

Toml = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True)
class ClusterHome:
    """The files of one cluster; see docs/architecture.md."""

    path: Path

    @property
    def policy(self) -> Path:
        """The clients' policy."""
        return self.path / "client.toml"

    @property
    def owner_key(self) -> Path:
        """The model owner's key."""
        return self.path / "owner.key"

    @property
    def tenants_key(self) -> Path:
        """The key that signs tenant tokens; the deployment serves tenants if the file exists."""
        return self.path / "tenants.key"

    @property
    def deployment(self) -> Path:
        """The deployment's settings, whose digest is in the evidence of each enclave."""
        return self.path / "deployment.json"

    @property
    def platform(self) -> Path:
        """The simulated platform, with its private keys."""
        return self.path / "simulated-platform.json"

    @property
    def keybroker(self) -> Path:
        """The folder of the key broker's sealed state and its log."""
        return self.path / "keybroker"

    @property
    def packages(self) -> Path:
        """The folder of encrypted model packages."""
        return self.path / "packages"

    @property
    def broker(self) -> Path:
        """The folder of the embedded broker's socket and append-only file."""
        return self.path / "broker"

    @property
    def cluster(self) -> Path:
        """The file that holds the addresses of the running cluster."""
        return self.path / "cluster.json"

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.path / "logs" / f"{name}.log"

    def prepare(
        self,
        name: str,
        times: Mapping[str, int] = MappingProxyType({}),
        suites: Sequence[str] = (SuiteName.X_WING,),
        *,
        share_batch: bool = False,
        owners: Sequence[str] = (),
        enclaves: Path | None = None,
    ) -> tuple[OwnerKey, Deployment]:
        """Prepare the home for a cluster on a simulated TEE. Return owner key and deployment.

            owner.key                 created if missing, never replaced
            simulated-platform.json   created if missing or older than `_PLATFORM_DAYS`
            keybroker/, broker/       renamed to NAME.former with a new platform, because no enclave
                                      on it can open their state
            deployment.json           always written
            client.toml               always written: the policy by which clients verify

        `name`: the deployment's name. `times`: times that differ from the defaults, in seconds by
        their names, such as `{"epoch_s": 60}`. `suites`: the names of the deployment's suites.
        `share_batch`: whether clients who agree may share batches; policy and settings allow it.
        `owners`: the public keys of further owners, in hex. `enclaves`: the Python environment that
        enclaves run in, None for this one; the image `enclaves` is accepted besides. Spec:
        keybroker.md, section 1.

        Raises: ConfigError when the name or a time is not valid, or a file cannot be read or
        written.
        """
        try:
            parse_name(name)
        except MalformedError as error:
            raise ConfigError(
                f"--deployment: {name!r} is not a valid name: use letters, digits, '.', '_', '-'"
            ) from error
        self._make_folders()
        owner = self._owner()
        try:
            deployment = Deployment(
                name=name,
                tee=Tee.SIMULATED,
                owners=frozenset({owner.signer, *map(parse_digest, owners)}),
                operators=frozenset({owner.signer}),
                names={},
                tenants=self._tenant_authority(),
                keybroker=_requirements(Role.KEY_BROKER, enclaves),
                worker=_requirements(Role.WORKER, enclaves),
                insecure_simulated_root=self._platform().root_der,
                suites=parse_suites(suites, "--suite"),
                share_batch=share_batch,
                **times,
            )
        except MalformedError as error:
            raise ConfigError(str(error)) from error
        _write(self.deployment, deployment.to_bytes())
        policy = replace(deployment.policy(Role.KEY_BROKER), share_batch=share_batch)
        write_policy(self.policy, policy)
        return owner, deployment

    def write_config(self, name: str, settings: Mapping[str, Toml]) -> Path:
        """Write the settings file of one process. Return its path."""
        path = self.path / "run" / f"{name}.toml"
        _write(path, tomli_w.dumps(settings).encode())
        return path

    def write_endpoint(self, facts: Mapping[str, object]) -> None:
        """Write `cluster.json`, by which other commands reach the running cluster."""
        _write(self.cluster, json.dumps(facts, indent=1).encode())

    def endpoint(self) -> dict[str, Any] | None:
        """Return the content of `cluster.json`; None when no cluster runs in this home."""
        try:
            facts = json.loads(self.cluster.read_text())
            if not isinstance(facts, dict) or not facts.keys() >= _ENDPOINT_KEYS:
                return None
            os.kill(facts["pid"], 0)
        except (OSError, ValueError, TypeError):
            return None
        return facts

    def _make_folders(self) -> None:
        with file_errors(f"{self.path}: cannot make the folder"):
            for folder in (self.path, self.packages, self.path / "logs", self.path / "run"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)

    def _tenant_authority(self) -> str | None:
        return load_owner_key(self.tenants_key).signer if self.tenants_key.exists() else None

    def _owner(self) -> OwnerKey:
        if self.owner_key.exists():
            return load_owner_key(self.owner_key)
        return create_owner_key(self.owner_key, TrustDomain.SIMULATED)

    def _platform(self) -> SimulatedPlatform:
        try:
            age_days = (time.time() - self.platform.stat().st_mtime) / DAY_S
            if age_days < _PLATFORM_DAYS:
                return SimulatedPlatform.from_bytes(self.platform.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, MalformedError) as error:
            raise ConfigError(f"{self.platform}: {error}; delete it to get a new one") from error
        self._rename_previous_state()
        platform = create_platform(now_ms())
        _write(self.platform, platform.to_bytes())
        return platform

    def _rename_previous_state(self) -> None:
        """Rename the folders of key broker and queue to NAME.former, unless they are empty.

        The key broker's state is sealed to the previous platform, so that no enclave of a new one
        can open it; the queue holds the directory of the previous key broker.
        """
        for folder in (self.keybroker, self.broker):
            previous = folder.with_name(f"{folder.name}.former")
            with file_errors(f"{folder}: cannot rename"):
                if folder.exists() and any(folder.iterdir()):
                    shutil.rmtree(previous, ignore_errors=True)
                    folder.rename(previous)


def _write(path: Path, content: bytes) -> None:
    with file_errors(f"{path}: cannot write"):
        write_file(path, content)


def _requirements(role: Role, enclaves: Path | None) -> Requirements:
    """Accept the packages of an environment, and those of the image `enclaves`.

    Raises: ConfigError when a file of them cannot be read.
    """
    folder = site_packages(Path(sys.prefix) if enclaves is None else enclaves.absolute())
    with file_errors(f"{folder}: cannot measure the packages"):
        here = simulated_measurement(role, packages_digest(role, folder))
    return Requirements(
        measurements=frozenset({here.hex(), image_measurement(role).hex()}),
        max_collateral_age_s=_MAX_COLLATERAL_AGE_S,
    )
