"""Owner, pure: owners of model names: those that the policy names, or that the pin remembers.

A client remembers the owner of each name, as ssh remembers the key of each host. Spec:
directory.md, 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.checks import among
from sealflow.errors import EvidenceError, MalformedError, PolicyError
from sealflow.wire.fields import json_object
from sealflow.wire.ids import parse_digest, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealflow.attest.policy import Policy, SimulationPolicy
    from sealflow.documents.directory import DirectoryModel
    from sealflow.errors import Mismatch

ANY_NAME: Final = "*"
"""In a policy's `owners`: every name that it does not list."""
MAX_NAMES: Final = 4096


def require_model(
    policy: Policy | SimulationPolicy, model: DirectoryModel, pinned: Mapping[str, str]
) -> None:
    """Check that a policy accepts a model, and else that its name has the pinned owner.

    `pinned`: owners by name. They are asked only where the policy names neither packages nor owners
    for the name.

    Raises: PolicyError (`model`, `model_owner`); EvidenceError (`owner_changed`).
    """
    name, digests = model.name, policy.models.get(model.name)
    owners = policy.owners.get(name) or policy.owners.get(ANY_NAME)
    mismatches: list[Mismatch] = []
    if digests is not None or (owners is None and (policy.models or policy.owners)):
        wanted = digests or frozenset()
        hint = "this package is not one that the policy names: ask the model's owner"
        mismatches += among("model", f"models.{name}", wanted, model.digest, hint)
    if owners is not None:
        hint = "the policy names other owners for this name: ask the owner that you trust"
        mismatches += among("model_owner", f"owners.{name}", owners, model.owner, hint)
    if mismatches:
        raise PolicyError(tuple(mismatches))
    known = pinned.get(name, model.owner)
    if digests is None and owners is None and known != model.owner:
        raise EvidenceError(
            "owner_changed",
            f"model {name} belonged to the owner {known}, and is now published by {model.owner}: "
            "ask the owner whether its key changed, and then run "
            f"`sealflow model forget-owner {name}`",
        )


def add_owners(pinned: Mapping[str, str], models: Iterable[DirectoryModel]) -> dict[str, str]:
    """Return the pinned owners by name, and those of all new names of a directory.

    A new name gets the owner of its default version, or that of its first one.
    """
    added = dict(pinned)
    for model in sorted(models, key=lambda each: not each.default):
        if len(added) < MAX_NAMES:
            added.setdefault(model.name, model.owner)
    return added


def owners_to_json(owners: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the value of a pin's key `owners`: names by owner, which is shorter."""
    names: dict[str, list[str]] = {}
    for name, owner in sorted(owners.items()):
        names.setdefault(owner, []).append(name)
    return names


def owners_from_json(value: object) -> dict[str, str]:
    """Parse what `owners_to_json` returned.

    Raises: MalformedError.
    """
    owners: dict[str, str] = {}
    count = 0
    for owner, names in json_object(value).items():
        if not isinstance(names, list):
            raise MalformedError("an owner's names are not a list")
        owners |= dict.fromkeys(map(parse_name, names), parse_digest(owner))
        count += len(names)
    if count > MAX_NAMES or len(owners) != count:
        raise MalformedError(f"over {MAX_NAMES} names, or a name twice")
    return owners
