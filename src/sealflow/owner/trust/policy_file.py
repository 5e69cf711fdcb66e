"""Owner: reads and writes the policy files of clients and model owners, in TOML.

Reference: docs/reference/policy-files.md.
"""

from __future__ import annotations

import tomllib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy, policy_digest
from sealflow.attest.requirements import Requirements
from sealflow.attest.verifiers import TrustedVerifier
from sealflow.errors import ConfigError, MalformedError
from sealflow.files import file_errors, write_file
from sealflow.owner.trust.toml_text import table_lines
from sealflow.wire.fields import base64_bytes
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import require_keys

if TYPE_CHECKING:
    import os

MAX_POLICY_BYTES: Final = 64 * 1024
_MAX_ROOT_BYTES: Final = 4096
_REQUIRED: Final = ("tee", "deployment", "manifest_digest", "keybroker")
_OPTIONAL: Final = ("insecure_simulated_root", "models", "verifiers", "worker")
_MAX_VERIFIERS: Final = 8

TrustPolicy = Policy | SimulationPolicy
"""What a client demands of a service: a `Policy` for hardware, or a `SimulationPolicy`.

Example:
    >>> policy: TrustPolicy = load_policy(".sealflow/client.toml")
    >>> isinstance(policy, SimulationPolicy)
    True
"""


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
    """Read a policy file.

    Raises: ConfigError that names file and key.
    """
    try:
        text = path.read_bytes()
        if len(text) > MAX_POLICY_BYTES:
            raise ConfigError(f"{path} is over {MAX_POLICY_BYTES} bytes")
        return parse_policy(tomllib.loads(text.decode()))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no policy at {path}: get it from the owner of the service, or name one "
            "with --policy (`sealflow up` writes client.toml)"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
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
    if policy.models:
        whole["models"] = {name: sorted(each) for name, each in policy.models.items()}
    if policy.verifiers:
        whole["verifiers"] = [verifier.to_json() for verifier in policy.verifiers]
    whole["keybroker"] = policy.requirements.to_json()
    lines = ["# The policy by which clients verify this deployment before they send data."]
    if isinstance(policy, SimulationPolicy):
        lines.append("# A simulated TEE: nothing is protected from the operator of the machines.")
    with file_errors(f"{path}: cannot write the policy"):
        write_file(path, "\n".join([*lines, *table_lines(whole), ""]).encode(), mode=0o666)


def parse_policy(table: dict[str, object]) -> PolicyFile:
    """Parse the TOML table of a policy file.

    Raises: MalformedError.
    """
    require_keys(table, _REQUIRED, "policy", _OPTIONAL)
    try:
        tee = Tee(table["tee"])  # type: ignore[arg-type]  # any object may be asked for
    except ValueError as error:
        raise MalformedError(f"policy: tee is not one of {', '.join(Tee)}") from error
    deployment, digest = parse_name(table["deployment"]), parse_digest(table["manifest_digest"])
    requirements = Requirements.from_json(table["keybroker"], "policy: keybroker")
    models = _models(table.get("models", {}))
    verifiers = _verifiers(table.get("verifiers", []))
    root = table.get("insecure_simulated_root")
    if (tee is Tee.SIMULATED) != (root is not None):
        raise MalformedError(
            'policy: insecure_simulated_root is required for tee = "simulated", and only for it'
        )
    worker = None
    if "worker" in table:
        worker = Requirements.from_json(table["worker"], "policy: worker")
        worker.require_fit(tee)
    policy: TrustPolicy
    if root is None:
        policy = Policy(
            role=Role.KEY_BROKER,
            tee=tee,
            deployment=deployment,
            manifest_digest=digest,
            requirements=requirements,
            models=models,
            verifiers=verifiers,
        )
    else:
        policy = SimulationPolicy(
            role=Role.KEY_BROKER,
            deployment=deployment,
            manifest_digest=digest,
            requirements=requirements,
            models=models,
            verifiers=verifiers,
            insecure_root=base64_bytes(root, _MAX_ROOT_BYTES, "policy: insecure_simulated_root"),
        )
    return PolicyFile(keybroker=policy, worker=worker)


def _models(value: object) -> dict[str, frozenset[str]]:
    if not isinstance(value, dict):
        raise MalformedError("policy: models is not a table")
    models = {}
    for name, digests in value.items():
        if not isinstance(digests, list) or not digests:
            raise MalformedError(f"policy: models: {name[:64]} is not a list of package digests")
        models[parse_name(name)] = frozenset(map(parse_digest, digests))
    return models


def _verifiers(value: object) -> tuple[TrustedVerifier, ...]:
    if not isinstance(value, list) or len(value) > _MAX_VERIFIERS:
        raise MalformedError(f"policy: verifiers is not a list of at most {_MAX_VERIFIERS} tables")
    found = tuple(map(TrustedVerifier.from_json, value))
    if len({each.name for each in found}) + len({each.key_id for each in found}) < 2 * len(found):
        raise MalformedError("policy: verifiers: two have one name or one key")
    return found
