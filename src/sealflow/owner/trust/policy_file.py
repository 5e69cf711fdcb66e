"""Owner: reads and writes the policy files of clients and model owners, in TOML.

Reference: docs/reference/policy-files.md.
"""

from __future__ import annotations

import tomllib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tomli_w

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy, policy_digest
from sealflow.attest.requirements import Requirements
from sealflow.attest.suites import ALL_SUITES, parse_suites
from sealflow.attest.verifiers import TrustedVerifier, WitnessRequirements
from sealflow.errors import ConfigError, MalformedError
from sealflow.files import file_errors, read_file, write_file
from sealflow.owner.trust.name_owners import ANY_NAME
from sealflow.wire.fields import FORMAT, Fields
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

MAX_POLICY_BYTES: Final = 64 * 1024
_MAX_ROOT_BYTES: Final = 4096
_REQUIRED: Final = ("tee", "deployment", "manifest_digest", "keybroker")
_OPTIONAL: Final = (
    "insecure_simulated_root",
    "log",
    "models",
    "owners",
    "share_batch",
    "suites",
    "verifiers",
    "worker",
)
_MAX_VERIFIERS: Final = 8
_MAX_ITEMS: Final = 256

TrustPolicy = Policy | SimulationPolicy
"""What a client demands of a service: a `Policy` for hardware, or a `SimulationPolicy`.

Example:
    >>> policy: TrustPolicy = load_policy(".sealflow/client.toml")
    >>> isinstance(policy, SimulationPolicy)
    True
"""


def pin_path(policy: str | os.PathLike[str]) -> Path:
    """Return where the pin of a policy's file is: the same name with the suffix `.pin`."""
    return Path(policy).with_suffix(".pin")


def pin_beside(policy: TrustPolicy | str | os.PathLike[str]) -> Path | None:
    """Return where the pin of a policy is; None for a policy that is not in a file."""
    return None if isinstance(policy, Policy | SimulationPolicy) else pin_path(policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """The content of a policy file.

    `keybroker`: the policy for the key broker. `worker`: what workers must prove to get a model
    owner's models, beyond the deployment's settings; None for nothing more.
    """

    keybroker: TrustPolicy
    worker: Requirements | None

    @property
    def simulated(self) -> bool:
        """Whether the policy is for a simulated TEE, which protects nothing."""
        return isinstance(self.keybroker, SimulationPolicy)

    @property
    def digest(self) -> str:
        """The digest of the key broker's policy, which logs and reports name."""
        return policy_digest(self.keybroker)


def load_policy(policy: TrustPolicy | str | os.PathLike[str]) -> TrustPolicy:
    """Return a trust policy, reading it from a TOML file if a path is given.

    Args:
        policy: A policy, or the path of a policy file (docs/reference/policy-files.md).

    Returns:
        The policy for the service's key broker.

    Raises:
        ConfigError: The file is absent, too large or invalid. The message names file and key.

    Example:
        >>> load_policy(".sealflow/client.toml").deployment
        'sealflow'
    """
    if isinstance(policy, Policy | SimulationPolicy):
        return policy
    return load_policy_file(Path(policy)).keybroker


def load_policy_file(path: Path) -> PolicyFile:
    """Read a policy file, TOML or strict JSON.

    Raises: ConfigError that names file and key.
    """
    missing = (
        f"there is no policy at {path}: get it from the owner of the service, or name one "
        "with --policy (`sealflow up` writes client.toml)"
    )
    with file_errors(f"{path}", missing=missing):
        text = read_file(path, MAX_POLICY_BYTES)
    try:
        # No TOML document begins with a brace.
        if text.lstrip().startswith(b"{"):
            return parse_policy(parse_object(text, "policy"))
        return parse_policy(tomllib.loads(text.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error


def write_policy(path: Path, policy: TrustPolicy) -> None:
    """Write a policy file that `load_policy` can read.

    Raises: ConfigError.
    """
    whole: dict[str, object] = {
        "tee": policy.tee.value,
        "deployment": policy.deployment,
        "manifest_digest": policy.manifest_digest,
    }
    if isinstance(policy, SimulationPolicy):
        whole["insecure_simulated_root"] = b64encode(policy.insecure_root).decode()
    if policy.verifiers:
        whole["verifiers"] = [verifier.to_json() for verifier in policy.verifiers]
    if policy.suites != ALL_SUITES:
        whole["suites"] = list(policy.suites)
    if policy.share_batch:
        whole["share_batch"] = True
    if policy.log is not None:
        whole["log"] = policy.log.to_json()
    if policy.models:
        whole["models"] = {name: sorted(each) for name, each in policy.models.items()}
    if policy.owners:
        whole["owners"] = {name: sorted(each) for name, each in policy.owners.items()}
    whole["keybroker"] = policy.requirements.to_json()
    lines = ["# The policy by which clients verify this deployment before they send data."]
    if isinstance(policy, SimulationPolicy):
        lines.append("# A simulated TEE: nothing is protected from the operator of the machines.")
    text = "\n".join([*lines, tomli_w.dumps(whole)])
    with file_errors(f"{path}: cannot write the policy"):
        write_file(path, text.encode(), mode=0o666)


def parse_policy(table: dict[str, object]) -> PolicyFile:
    """Parse the TOML table of a policy file.

    Raises: MalformedError.
    """
    # People write policies, so the format may be absent. Spec: versions.md.
    versioned = {"format": FORMAT, **table}
    fields = Fields(versioned, "policy", _REQUIRED, _OPTIONAL, versioned=True)
    tee = fields.word("tee", Tee)
    deployment, digest = fields.read("deployment", parse_name), fields.digest("manifest_digest")
    requirements = Requirements.from_json(fields.get("keybroker"), "policy: keybroker")
    models = _by_name(fields.get("models", {}), "models", "package digests", parse_name)
    owners = _by_name(fields.get("owners", {}), "owners", "public keys", _name_or_any)
    verifiers = _verifiers(fields.get("verifiers", []))
    suites = parse_suites(fields.get("suites", ALL_SUITES), "policy: suites")
    share_batch = fields.flag("share_batch")
    log = fields.read("log", WitnessRequirements.from_json) if "log" in fields else None
    simulated = tee is Tee.SIMULATED
    if simulated != ("insecure_simulated_root" in fields):
        raise MalformedError(
            'policy: insecure_simulated_root is required for tee = "simulated", and only for it'
        )
    worker = None
    if "worker" in fields:
        worker = Requirements.from_json(fields.get("worker"), "policy: worker")
        worker.require_fit(tee)
    policy: TrustPolicy
    if simulated:
        policy = SimulationPolicy(
            role=Role.KEY_BROKER,
            deployment=deployment,
            manifest_digest=digest,
            requirements=requirements,
            models=models,
            owners=owners,
            verifiers=verifiers,
            suites=suites,
            share_batch=share_batch,
            log=log,
            insecure_root=fields.base64("insecure_simulated_root", _MAX_ROOT_BYTES),
        )
    else:
        policy = Policy(
            role=Role.KEY_BROKER,
            tee=tee,
            deployment=deployment,
            manifest_digest=digest,
            requirements=requirements,
            models=models,
            owners=owners,
            verifiers=verifiers,
            suites=suites,
            share_batch=share_batch,
            log=log,
        )
    return PolicyFile(keybroker=policy, worker=worker)


def _by_name(
    value: object, table: str, of: str, parse_key: Callable[[object], str]
) -> dict[str, frozenset[str]]:
    if not isinstance(value, dict):
        raise MalformedError(f"policy: {table} is not a table")
    found = {}
    for name, texts in value.items():
        if not isinstance(texts, list) or not 1 <= len(texts) <= _MAX_ITEMS:
            raise MalformedError(
                f"policy: {table}: {name[:64]} is not a list of 1 to {_MAX_ITEMS} {of}"
            )
        found[parse_key(name)] = frozenset(map(parse_digest, texts))
    return found


def _name_or_any(name: object) -> str:
    return ANY_NAME if name == ANY_NAME else parse_name(name)


def _verifiers(value: object) -> tuple[TrustedVerifier, ...]:
    if not isinstance(value, list) or len(value) > _MAX_VERIFIERS:
        raise MalformedError(f"policy: verifiers is not a list of at most {_MAX_VERIFIERS} tables")
    found = tuple(map(TrustedVerifier.from_json, value))
    if len({each.name for each in found}) + len({each.key_id for each in found}) < 2 * len(found):
        raise MalformedError("policy: verifiers: two have one name or one key")
    return found
