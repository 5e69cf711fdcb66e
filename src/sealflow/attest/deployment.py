"""Core, pure: the settings of a deployment. Spec: attestation.md, section 5.

Every enclave's evidence binds their digest. A client that knows the digest therefore refuses
genuine code that runs with other owners, requirements or times.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import Role, Tee
from sealflow.attest.policy import Policy, SimulationPolicy
from sealflow.attest.requirements import Requirements
from sealflow.attest.suites import SuiteName, parse_suites
from sealflow.errors import MalformedError
from sealflow.wire.fields import FORMAT, Fields, json_object
from sealflow.wire.ids import parse_digest, parse_name
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPLOYMENT_BYTES: Final = 64 * 1024
MAX_GRACE_EPOCHS: Final = 24
MIN_DEADLINE_S: Final = 60
"""Deadlines up to a minute ahead are always taken: clients set 30 s unless told otherwise."""
_MAX_ROOT_BYTES: Final = 4096
_MAX_SIGNERS: Final = MAX_DEPLOYMENT_BYTES // 64
TIMES: Final = {
    "epoch_s": (5, 7 * 86_400),
    "grace_s": (2, 2 * 86_400),
    "residence_s": (1, 86_400),
    "clock_skew_s": (0, 3600),
    "lease_s": (4, 86_400),
    "directory_s": (4, 86_400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The owners, operators, requirements, suites and times of one deployment.

    `owners`: Ed25519 public keys, in hex, that may publish models. `operators`: Ed25519 public
    keys, in hex, that may revoke workers, models and keys. `names`: the model names of each owner,
    as patterns (`may_name`); empty if a name belongs to whoever publishes it first. `tenants`: the
    Ed25519 public key, in hex, of the authority that signs tenant tokens; None to serve anybody.
    `keybroker`, `worker`: the requirements on an enclave of each role. `insecure_simulated_root`:
    the DER of the root of a simulation; None on hardware. `suites`: those of epoch keys; the first
    is also that of enclaves' own keys.

    All times are in seconds; `TIMES` holds their ranges (spec: keybroker.md, section 1).
    `epoch_s`: how long clients seal to one key. `grace_s`: how long workers open with the key
    after that. `residence_s`: the longest time of a request in the queue. `clock_skew_s`: the
    greatest error of a client's clock. `lease_s`: how long a worker may use a grant. `directory_s`:
    how long a directory is valid. `share_batch`: whether rows of clients who agree may share
    batches, in models whose manifest says that rows are independent.

    Raises: MalformedError if a time is out of range, two settings contradict each other, `suites`
    is empty or has one twice, or `names` has a signer that is not an owner.
    """

    name: str
    tee: Tee
    owners: frozenset[str]
    operators: frozenset[str] = frozenset()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tenants: str | None = None
    keybroker: Requirements
    worker: Requirements
    insecure_simulated_root: bytes | None = field(default=None, repr=False)
    suites: tuple[SuiteName, ...] = (SuiteName.X_WING,)
    epoch_s: int = 3600
    grace_s: int = 900
    residence_s: int = 600
    clock_skew_s: int = 300
    lease_s: int = 3600
    directory_s: int = 900
    share_batch: bool = False

    def __post_init__(self) -> None:
        """Check ranges and contradictions."""
        self._check_times()
        if not self.owners.issuperset(self.names):
            raise MalformedError("deployment: names has a key that is not one of owners")
        parse_suites(self.suites, "deployment: suites")
        if (self.tee is Tee.SIMULATED) != (self.insecure_simulated_root is not None):
            raise MalformedError(
                "deployment: insecure_simulated_root is required with tee simulated, and not "
                f"allowed with any other; tee is {self.tee}"
            )
        for requirements in (self.keybroker, self.worker):
            requirements.require_fit(self.tee)

    def _check_times(self) -> None:
        for name, (least, most) in TIMES.items():
            if not least <= getattr(self, name) <= most:
                raise MalformedError(
                    f"deployment: {name} is {getattr(self, name)}, not {least} to {most} seconds"
                )
        if self.grace_s < self.residence_s + self.clock_skew_s:
            raise MalformedError(
                "deployment: grace_s is shorter than residence_s plus clock_skew_s, so workers "
                "could lose a key before they open a queued request; raise grace_s"
            )
        if self.clock_skew_s > self.epoch_s:
            raise MalformedError(
                "deployment: clock_skew_s is longer than epoch_s, so a client could need a key "
                "that is not announced yet; raise epoch_s"
            )
        if self.lease_s > 2 * self.epoch_s:
            raise MalformedError(
                "deployment: lease_s is longer than two epoch_s; workers renew at half of lease_s "
                "and would miss announced keys; lower lease_s"
            )
        if self.directory_s > self.epoch_s:
            raise MalformedError(
                "deployment: directory_s is longer than epoch_s, and keys are announced only one "
                "epoch ahead; lower directory_s"
            )
        if self.grace_s > MAX_GRACE_EPOCHS * self.epoch_s:
            raise MalformedError(
                f"deployment: grace_s is longer than {MAX_GRACE_EPOCHS} epoch_s, so a directory "
                "could hold more keys than clients read; lower grace_s"
            )

    def to_bytes(self) -> bytes:
        """Return the settings as canonical JSON, the bytes that `digest` covers."""
        root = self.insecure_simulated_root
        return canonical_json(
            {
                "format": FORMAT,
                "deployment": self.name,
                "tee": self.tee.value,
                "owners": sorted(self.owners),
                "operators": sorted(self.operators),
                "keybroker": self.keybroker.to_json(),
                "worker": self.worker.to_json(),
                "insecure_simulated_root": None if root is None else b64encode(root).decode(),
                "suites": list(self.suites),
                **{name: getattr(self, name) for name in TIMES},
                # Absent when empty, so that the digests of settings of earlier releases stay.
                **({"names": _sorted(self.names)} if self.names else {}),
                **({"share_batch": True} if self.share_batch else {}),
                **({"tenants": self.tenants} if self.tenants else {}),
            }
        )

    @property
    def deadline_s(self) -> int:
        """How far ahead of sealing a request's deadline may lie. Spec: exchange.md, 6.7."""
        return max(self.residence_s, MIN_DEADLINE_S)

    @property
    def digest(self) -> str:
        """SHA-256 of the settings, in hex; evidence binds it as `manifest_digest`."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def may_name(self, owner: str, name: str) -> bool:
        """Return whether the settings let an owner publish models under a name.

        A pattern is a name, or the beginning of names and then `*`. Without `names`, all may.
        """
        return not self.names or any(
            name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
            for pattern in self.names.get(owner, ())
        )

    def policy(self, role: Role) -> Policy | SimulationPolicy:
        """Return the policy for an enclave of this deployment with a role."""
        requirements = self.worker if role is Role.WORKER else self.keybroker
        if self.insecure_simulated_root is None:
            return Policy(
                role=role,
                tee=self.tee,
                deployment=self.name,
                manifest_digest=self.digest,
                requirements=requirements,
            )
        return SimulationPolicy(
            role=role,
            deployment=self.name,
            manifest_digest=self.digest,
            requirements=requirements,
            insecure_root=self.insecure_simulated_root,
        )

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse settings of at most `MAX_DEPLOYMENT_BYTES`.

        Raises: MalformedError, also if the bytes are not exactly those of `to_bytes`.
        """
        if len(text) > MAX_DEPLOYMENT_BYTES:
            raise MalformedError(f"deployment: over {MAX_DEPLOYMENT_BYTES} bytes")
        fields = Fields.from_bytes(text, "deployment", (*_KEYS, *TIMES), _OPTIONAL, versioned=True)
        simulated = fields.get("insecure_simulated_root") is not None
        deployment = cls(
            name=fields.read("deployment", parse_name),
            tee=fields.word("tee", Tee),
            owners=frozenset(fields.list_of("owners", parse_digest, _MAX_SIGNERS)),
            operators=frozenset(fields.list_of("operators", parse_digest, _MAX_SIGNERS)),
            names=fields.read("names", _names) if "names" in fields else {},
            tenants=fields.digest("tenants") if "tenants" in fields else None,
            keybroker=Requirements.from_json(fields.get("keybroker"), "deployment: keybroker"),
            worker=Requirements.from_json(fields.get("worker"), "deployment: worker"),
            insecure_simulated_root=(
                fields.base64("insecure_simulated_root", _MAX_ROOT_BYTES) if simulated else None
            ),
            suites=parse_suites(fields.get("suites"), "deployment: suites"),
            share_batch=fields.get("share_batch") is True,  # any other value is not canonical
            **{name: fields.integer(name) for name in TIMES},
        )
        if deployment.to_bytes() != text:
            raise MalformedError("deployment: not in canonical form")
        return deployment


def _sorted(names: Mapping[str, frozenset[str]]) -> dict[str, object]:
    return {signer: sorted(patterns) for signer, patterns in names.items()}


def _names(value: object) -> dict[str, frozenset[str]]:
    signers = json_object(value)
    fields = Fields(value, "names", (), signers)
    return {
        parse_digest(signer): frozenset(map(_pattern, fields.texts(signer, _MAX_SIGNERS)))
        for signer in signers
    }


def _pattern(text: str) -> str:
    parse_name(f"{text[:-1]}x" if text.endswith("*") else text)
    return text


_OPTIONAL: Final = ("names", "share_batch", "tenants")
_KEYS: Final = (
    "deployment",
    "tee",
    "owners",
    "operators",
    "keybroker",
    "worker",
    "insecure_simulated_root",
    "suites",
)
