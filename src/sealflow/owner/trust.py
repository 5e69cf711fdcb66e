"""Owner: whom to trust, from a policy file, and what was proved when a service was verified."""

from __future__ import annotations

import tomllib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role, decode_base64
from sealflow.attest.policy import AnyPolicy, Approval, Policy, SimulationPolicy, appraise
from sealflow.attest.requirements import Requirements
from sealflow.errors import ConfigError, EvidenceError, MalformedError
from sealflow.seal.directory import Directory, SignedDirectory
from sealflow.seal.keys import SealingKey
from sealflow.seal.suites import parse_suite
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import require_keys
from sealflow.wire.world import World

if TYPE_CHECKING:
    import os

MAX_POLICY_BYTES: Final = 64 * 1024
MAX_CLOCK_SKEW_MS: Final = 300_000
_MAX_ROOT_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustReport:
    """What was proved about a service. `valid_until_ms`: Unix ms until which that counts."""

    approval: Approval
    directory: Directory
    valid_until_ms: int

    @property
    def simulated(self) -> bool:
        """Whether the enclaves are a simulation: nothing was protected from the operator."""
        return self.approval.claims.world is World.SIMULATED

    @property
    def keybroker(self) -> SealingKey:
        """The key broker's own key, to hand content keys over."""
        bound = self.approval.claims.bound
        return SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)

    def as_json(self) -> dict[str, object]:
        """Give all of it for machines."""
        claims, directory = self.approval.claims, self.directory
        return {
            "verified": True,
            "simulated": self.simulated,
            "tee": claims.bound.tee.value,
            "deployment": claims.bound.deployment,
            "measurement": claims.measurement,
            "signer": claims.signer,
            "svn": claims.svn,
            "tcb_status": claims.tcb_status.value,
            "advisories": list(claims.advisories),
            "manifest_digest": claims.bound.manifest_digest,
            "software": claims.bound.software,
            "instance": claims.bound.instance,
            "policy_digest": self.approval.policy_digest,
            "directory_version": directory.version,
            "valid_until_ms": self.valid_until_ms,
            "models": [model.as_json() for model in directory.models],
            "keys": [
                {
                    "kid": key.kid,
                    "suite": key.suite.name,
                    "not_before_ms": key.not_before_ms,
                    "retire_ms": key.retire_ms,
                    "destroy_ms": key.destroy_ms,
                }
                for key in directory.keys
            ],
        }


def examine(document: bytes, policy: AnyPolicy, now_ms: int) -> tuple[TrustReport, bytes]:
    """Judge a published directory with its evidence; gives the report and the signed payload.

    Raises: MalformedError, EvidenceError, PolicyError.
    """
    published = SignedDirectory.parse(document)
    approval = appraise(published.evidence, policy, now_ms)
    bound = approval.claims.bound
    directory = published.verify(bound.signing_key, bound.tee.world)
    if (directory.deployment, directory.manifest_digest) != (
        bound.deployment,
        bound.manifest_digest,
    ):
        raise EvidenceError("directory", "it is of another deployment than its evidence")
    if now_ms >= directory.expires_ms:
        raise EvidenceError(
            "directory_expired",
            "the service shows an old directory: check this machine's clock, else the operator's "
            "key broker",
        )
    if directory.issued_ms > now_ms + MAX_CLOCK_SKEW_MS:
        raise EvidenceError("directory_early", "it is from the future: check this machine's clock")
    until_ms = min(directory.expires_ms, approval.until_ms)
    report = TrustReport(approval=approval, directory=directory, valid_until_ms=until_ms)
    return report, published.payload


def load_policy(policy: AnyPolicy | str | os.PathLike[str]) -> AnyPolicy:
    """Take a policy, or read one from a TOML file (docs/guide/python-client.md).

    Raises: ConfigError that names file and key.
    """
    if isinstance(policy, Policy | SimulationPolicy):
        return policy
    path = Path(policy)
    try:
        text = path.read_bytes()
        if len(text) > MAX_POLICY_BYTES:
            raise ConfigError(f"{path} is over {MAX_POLICY_BYTES} bytes")
        return _parse(tomllib.loads(text.decode()))
    except FileNotFoundError as error:
        raise ConfigError(
            f"no policy at {path}: get it from the owner of the service, or name the one that "
            "`sealflow up` wrote with --policy"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error


def write_policy(path: Path, policy: AnyPolicy) -> None:
    """Write the policy file that `load_policy` reads.

    Raises: ConfigError.
    """
    wanted = policy.requirements
    lines = [
        "# What clients of this deployment demand of it before they send anything.",
        f'deployment = "{policy.deployment}"',
        f'manifest_digest = "{policy.manifest_digest}"',
    ]
    if isinstance(policy, SimulationPolicy):
        root = b64encode(policy.insecure_root).decode()
        lines += [
            "# A simulated TEE: nothing is protected from whoever runs the machines.",
            f'insecure_simulated_root = "{root}"',
        ]
    lines += [
        "",
        "[keybroker]",
        f"measurements = {_listed(wanted.measurements)}",
        f"signers = {_listed(wanted.signers)}",
        f"min_svn = {wanted.min_svn}",
        f"tcb_statuses = {_listed(wanted.tcb_statuses)}",
        f"advisories = {_listed(wanted.advisories)}",
        f"max_collateral_age_s = {wanted.max_collateral_age_s}",
        f"min_tcb_evaluation = {wanted.min_tcb_evaluation}",
        "",
    ]
    try:
        path.write_text("\n".join(lines))
    except OSError as error:
        raise ConfigError(f"{path}: cannot write the policy: {error.strerror}") from error


def _listed(values: frozenset[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in sorted(map(str, values))) + "]"


def _parse(table: dict[str, object]) -> AnyPolicy:
    keys = ("deployment", "manifest_digest", "keybroker")
    require_keys(table, keys, "policy", ("insecure_simulated_root",))
    deployment, digest = parse_name(table["deployment"]), parse_digest(table["manifest_digest"])
    requirements = Requirements.from_json(table["keybroker"], "policy: keybroker")
    root = table.get("insecure_simulated_root")
    if root is None:
        return Policy(
            role=Role.KEY_BROKER,
            deployment=deployment,
            manifest_digest=digest,
            requirements=requirements,
        )
    return SimulationPolicy(
        role=Role.KEY_BROKER,
        deployment=deployment,
        manifest_digest=digest,
        requirements=requirements,
        insecure_root=decode_base64(root, _MAX_ROOT_BYTES, "policy: insecure_simulated_root"),
    )
