"""Owner: the trust report: what was proved about a service, for programs and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.clock import now_ms
from sealflow.owner.trust import trust_text
from sealflow.owner.trust.policy_text import describe_policy

if TYPE_CHECKING:
    from sealflow.attest.evidence import Tee
    from sealflow.documents.directory import DirectoryModel
    from sealflow.documents.revocation import Revoked
    from sealflow.owner.trust.policy_text import PolicyLine
    from sealflow.owner.trust.trust_text import ProvenFact, Visibility
    from sealflow.owner.trust.verified_service import VerifiedService


class TrustReport:
    """The proof of a service, as of its verification. Only `Client.verify` makes one.

    Measurements and digests are lower-case hex. Times are Unix milliseconds.

    Example:
        >>> report = client.verify()
        >>> print(report)
        <SIMULATED, NOT PROTECTED: TrustReport of sealflow: SIMULATED Intel SGX: no hardware at all>
        >>> report.simulated, report.tcb_status
        (True, 'UpToDate')
    """

    __slots__ = ("_verified",)

    def __init__(self, _verified: VerifiedService) -> None:
        self._verified = _verified

    def __repr__(self) -> str:
        """Show which deployment and hardware, and loudly when it is a simulation."""
        mark = "SIMULATED, NOT PROTECTED: " if self.simulated else ""
        return f"<{mark}TrustReport of {self.deployment}: {self.hardware}>"

    @property
    def simulated(self) -> bool:
        """Whether the enclaves are a simulation: nothing is protected from the operator."""
        return self._verified.simulated

    @property
    def tee(self) -> Tee:
        """The kind of trusted execution environment that made the evidence."""
        return self._verified.approval.claims.bound.tee

    @property
    def hardware(self) -> str:
        """The hardware in words; a simulation says that it is one, and what it imitates."""
        return trust_text.hardware(self._verified.approval.claims)

    @property
    def deployment(self) -> str:
        """The name of the deployment."""
        return self._verified.directory.deployment

    @property
    def manifest_digest(self) -> str:
        """The SHA-256 of the deployment's settings, which the policy names."""
        return self._verified.directory.manifest_digest

    @property
    def measurement(self) -> str:
        """The key broker's code: MRENCLAVE, MRTD or launch digest."""
        return self._verified.approval.claims.measurement

    @property
    def signer(self) -> str:
        """Whose code it is: MRSIGNER or the digest of the id key; empty for TDX."""
        return self._verified.approval.claims.signer

    @property
    def svn(self) -> int:
        """The security version of that code; 0 for TDX."""
        return self._verified.approval.claims.svn

    @property
    def tcb_status(self) -> str:
        """Intel's verdict on the platform, a `TcbStatus`; `not rated` for AMD."""
        return str(self._verified.approval.claims.tcb_status)

    @property
    def advisories(self) -> tuple[str, ...]:
        """Intel's security advisories that apply to the platform, such as `INTEL-SA-00615`."""
        return self._verified.approval.claims.advisories

    @property
    def evidence_checked(self) -> bool:
        """Whether this machine appraised the evidence; false if a passport stands in for it."""
        return self._verified.evidence_checked

    @property
    def fresh(self) -> bool:
        """Whether the key broker made evidence for a nonce of this client, at this verification."""
        return self._verified.fresh

    @property
    def verifiers(self) -> tuple[str, ...]:
        """The names of the verifiers whose passports were accepted; the policy trusts them."""
        return tuple(passport.verifier.name for passport in self._verified.passports)

    @property
    def witnesses(self) -> tuple[str, ...]:
        """The names of the witnesses whose cosignatures were demanded and accepted."""
        return tuple(each.witness.name for each in self._verified.cosignatures)

    @property
    def software(self) -> str:
        """The release of Sealflow that the key broker says it is."""
        return self._verified.approval.claims.bound.software

    @property
    def instance(self) -> str:
        """The key broker's instance id: 32 hex digits, new at each start."""
        return self._verified.approval.claims.bound.instance

    @property
    def policy_digest(self) -> str:
        """The SHA-256 of the policy that was met."""
        return self._verified.approval.policy_digest

    @property
    def directory_version(self) -> int:
        """The version of the signed directory; each new one counts on."""
        return self._verified.directory.version

    @property
    def directory_issued_ms(self) -> int:
        """When the key broker signed the directory."""
        return self._verified.directory.issued_ms

    @property
    def valid_until_ms(self) -> int:
        """Until when this report counts; clients verify anew before."""
        return self._verified.valid_until_ms

    @property
    def models(self) -> tuple[DirectoryModel, ...]:
        """The models that the service answers for, with inputs, outputs and package digests."""
        return self._verified.directory.models

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that requests are sealed to, or were; one can be revoked by it."""
        return tuple(key.kid for key in self._verified.directory.keys)

    @property
    def log_id(self) -> str:
        """The digest of the first entry of the key broker's log; see `AuditedLog.log_id`."""
        return self._verified.directory.log_id

    @property
    def revoked(self) -> tuple[Revoked, ...]:
        """Workers, models and keys that were revoked."""
        return self._verified.directory.revoked

    @property
    def visibility(self) -> tuple[Visibility, ...]:
        """The parties of the service, and whether each can see requests and replies in clear."""
        return trust_text.visibility(simulated=self.simulated)

    @property
    def not_proved(self) -> tuple[tuple[str, str], ...]:
        """The questions that no report answers, each with the reason."""
        return trust_text.NOT_PROVED

    @property
    def weakened(self) -> tuple[PolicyLine, ...]:
        """The demands that the policy gives up and a stricter one makes."""
        return tuple(line for line in describe_policy(self._verified.policy) if line.weakens)

    def proven_facts(self) -> tuple[ProvenFact, ...]:
        """Return the proven facts, each with its proof and its age at the time of the call.

        Returns:
            The facts, the most important first.

        Example:
            >>> [fact.name for fact in client.verify().proven_facts()][:2]
            ['hardware', 'code']
        """
        verified = self._verified
        return trust_text.proven_facts(
            verified.approval.claims, verified.directory, now_ms(), verified.passports
        )

    def to_json(self) -> dict[str, object]:
        """Return all of it for machines, as `sealflow verify --json` prints it.

        Returns:
            The keys of docs/reference/verify.md, but for `url`.
        """
        approval, directory = self._verified.approval, self._verified.directory
        return {
            "verified": True,
            "simulated": self.simulated,
            "hardware": self.hardware,
            "sees_plaintext": {each.who: each.sees for each in self.visibility},
            "weakened": {line.about: line.text for line in self.weakened},
            "not_proved": [what for what, _ in self.not_proved],
            "deployment": self.deployment,
            **approval.claims.to_json(),
            "evidence_checked": self.evidence_checked,
            "fresh": self.fresh,
            "verifiers": list(self.verifiers),
            "witnesses": list(self.witnesses),
            "manifest_digest": self.manifest_digest,
            "software": self.software,
            "instance": self.instance,
            "policy_digest": self.policy_digest,
            "directory_version": self.directory_version,
            "directory_issued_ms": self.directory_issued_ms,
            "valid_until_ms": self.valid_until_ms,
            "models": [
                {**model.to_json(), "share_batch": model.share_batch} for model in self.models
            ],
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
