"""Owner, pure: verifies a published directory against a policy, by evidence or by passports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealflow.attest.evidence import NO_NONCE
from sealflow.attest.policy import Approval, appraise
from sealflow.clock import MAX_CLOCK_SKEW_MS
from sealflow.documents.directory import Directory, SignedDirectory
from sealflow.errors import EvidenceError, MalformedError, VerificationError
from sealflow.owner.passport.acceptance import PassportApproval, find_passport
from sealflow.owner.passport.passport import MAX_PASSPORTS
from sealflow.owner.trust.log_proof import log_head
from sealflow.owner.witness.cosignature import (
    Cosignature,
    log_checkpoint_text,
    require_cosignatures,
    unverified_cosignatures,
)
from sealflow.seal.enclave import enclave_sealing_key
from sealflow.wire.domain import TrustDomain
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from sealflow.attest.evidence import Evidence
    from sealflow.documents.log_tree import TreeHead
    from sealflow.owner.passport.passport import Passport
    from sealflow.owner.trust.policy_file import TrustPolicy
    from sealflow.seal.keys import SealingKey


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedService:
    """The approval and the directory of a service that was verified against `policy`.

    `valid_until_ms`: Unix milliseconds. `passports`: those that were accepted, instead of evidence
    or besides it. `fresh`: whether the key broker also proved itself for a nonce of this client.
    `log`: the head of the log's tree with the directory's own entry; None if it has no tree.
    `cosignatures`: those that the policy demands.
    """

    approval: Approval | PassportApproval
    directory: Directory
    policy: TrustPolicy
    valid_until_ms: int
    passports: tuple[Passport, ...] = ()
    fresh: bool = False
    log: TreeHead | None = None
    cosignatures: tuple[Cosignature, ...] = ()

    @property
    def evidence_checked(self) -> bool:
        """Whether the evidence was appraised here; false if a passport stands in for it."""
        return isinstance(self.approval, Approval)

    @property
    def keybroker(self) -> SealingKey:
        """The key broker's public key, to which content keys are sealed.

        Raises: EvidenceError if it is not a key of its suite.
        """
        return enclave_sealing_key(self.approval.claims)

    @property
    def simulated(self) -> bool:
        """Whether the TEE is simulated, so that nothing is protected from the operator."""
        return self.approval.claims.domain is TrustDomain.SIMULATED


def verify_directory(
    document: bytes, policy: TrustPolicy, now_ms: int
) -> tuple[VerifiedService, bytes]:
    """Judge the evidence or passports beside a directory, and check its signature and times.

    `now_ms`: Unix milliseconds. Return the verified service and the bytes that were signed.

    Raises: MalformedError, EvidenceError, PolicyError.
    """
    published = SignedDirectory.from_bytes(document)
    tokens = unverified_passports(document) if policy.verifiers else []
    approval, passports = _approve(published.evidence, tokens, policy, now_ms)
    bound = approval.claims.bound
    directory = published.verify_signature(bound.signing_key, bound.tee.domain)
    if (directory.deployment, directory.manifest_digest) != (
        bound.deployment,
        bound.manifest_digest,
    ):
        raise EvidenceError("directory", "it is of another deployment than its evidence")
    if now_ms >= directory.expires_ms:
        raise EvidenceError(
            "directory_expired",
            "the service serves an expired directory: check this machine's clock, then ask the "
            "operator to check the key broker",
        )
    if directory.issued_ms > now_ms + MAX_CLOCK_SKEW_MS:
        raise EvidenceError(
            "directory_early", "it was issued in the future: check this machine's clock"
        )
    log = log_head(directory, published.digest, bound.tee.domain)
    cosignatures = _cosignatures(document, directory, log, policy, now_ms)
    ends = [directory.expires_ms, approval.valid_until_ms, *(each.expires_ms for each in passports)]
    if policy.log is not None and policy.log.max_age_s is not None:
        ends += [1000 * (each.at_s + policy.log.max_age_s) for each in cosignatures]
    verified = VerifiedService(
        approval=approval,
        directory=directory,
        policy=policy,
        valid_until_ms=min(ends),
        passports=passports,
        log=log,
        cosignatures=cosignatures,
    )
    return verified, published.payload


def _cosignatures(
    document: bytes, directory: Directory, log: TreeHead | None, policy: TrustPolicy, now_ms: int
) -> tuple[Cosignature, ...]:
    """Return the cosignatures that the policy demands. Spec: witness.md, section 3."""
    if policy.log is None:
        return ()
    lines = unverified_cosignatures(document)
    domain = policy.tee.domain
    text = None if log is None else log_checkpoint_text(log, directory.log_id, domain)
    return require_cosignatures(lines, text, policy.log, now_ms)


def unverified_passports(document: bytes) -> list[str]:
    """Return the tokens that a published document has beside directory and evidence.

    Raises: MalformedError.
    """
    tokens = parse_object(document, "published document").get("passports", [])
    if (
        not isinstance(tokens, list)
        or len(tokens) > MAX_PASSPORTS
        or not all(isinstance(token, str) for token in tokens)
    ):
        raise MalformedError(
            f"published document: passports is not a list of at most {MAX_PASSPORTS} strings"
        )
    return tokens


def _approve(
    evidence: Evidence, tokens: list[str], policy: TrustPolicy, now_ms: int
) -> tuple[Approval | PassportApproval, tuple[Passport, ...]]:
    """Return the approval and the accepted passports. Spec: passport.md, section 4.

    Each verifier without `instead_of_evidence` must vouch. If one with it does, the evidence is
    not appraised; else it must be what the policy demands.
    """
    besides: list[Passport] = []
    approval: PassportApproval | None = None
    for verifier in policy.verifiers:
        if not verifier.instead_of_evidence:
            found = find_passport(tokens, verifier, evidence, policy, now_ms)
            besides.append(found.claims.passport)
        elif approval is None:
            with suppress(VerificationError):
                approval = find_passport(tokens, verifier, evidence, policy, now_ms)
    if approval is None:
        return appraise(evidence, policy, now_ms, nonce=NO_NONCE), tuple(besides)
    return approval, (approval.claims.passport, *besides)
