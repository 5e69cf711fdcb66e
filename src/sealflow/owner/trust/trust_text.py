"""Owner, pure: the texts of a trust report: who sees the data, what was proved, what was not.

The texts are for people; `TrustReport.to_json` is for machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.claims import tee_of_report
from sealflow.attest.evidence import Tee
from sealflow.attest.reports import AmdPlatform
from sealflow.clock import utc_text
from sealflow.owner.passport.acceptance import VouchedClaims
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.attest.claims import Claims
    from sealflow.documents.directory import Directory
    from sealflow.owner.passport.passport import Passport

_HARDWARE: Final = {
    Tee.SGX: "Intel SGX",
    Tee.TDX: "Intel TDX",
    Tee.SNP: "AMD SEV-SNP",
}

NOT_PROVED: Final = (
    ("that you get a reply", "gateway, queue and network can drop, delay or repeat messages"),
    (
        "that nobody learns when you ask",
        "the operator sees who connects, when, to which model, and sizes to within about 12 %",
    ),
    (
        "that the processor keeps its secrets",
        "side channels and bus attacks can break any enclave; a good TCB status means fewer",
    ),
    (
        "that the code is free of errors",
        "a measurement identifies code; the author of your policy must know what that code does",
    ),
    (
        "that the model is honest",
        "its owner decides what it computes, even from what earlier requests left in its memory",
    ),
    (
        "that a model's owner accepts the worker that opens a request",
        "all workers of the deployment hold the same keys; an owner's demands bind its models",
    ),
    ("that a request runs once", "two workers may run it; the client accepts one reply"),
    ("that this machine is secure", "its clock, your policy file and this program are trusted"),
)
"""Claims that no trust report proves, each with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """One party, and whether it sees requests and replies in clear.

    Attributes:
        who: The party, such as `owner of the model`.
        sees: Whether it sees them.
        why: Why it does or does not.

    Example:
        >>> [party.who for party in client.verify().visibility if party.sees][0]
        'this machine'
    """

    who: str
    sees: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenFact:
    """One thing that was proved.

    Attributes:
        name: What it is, such as `code`.
        value: Its value, for people.
        by: What vouches for it.

    Example:
        >>> fact = client.verify().proven_facts()[1]
        >>> fact.name, fact.by
        ('code', 'the quote; the policy names it')
    """

    name: str
    value: str
    by: str


def hardware(claims: Claims | VouchedClaims) -> str:
    """Return the name of the hardware; for a simulated TEE, of the hardware that it imitates."""
    name = _HARDWARE[_form(claims)]
    return f"SIMULATED {name}: no hardware at all" if _simulated(claims) else name


def visibility(*, simulated: bool) -> tuple[Visibility, ...]:
    """Return for each party whether it can see requests and replies in clear, and why."""
    owner = "the model runs in the enclave, which sends only the reply, and only to you"
    if simulated:
        operator = "the keys of the simulation are on the operator's disk: it can read everything"
    else:
        operator = "has ciphertext only; the processor protects the enclaves' memory"
    return (
        Visibility(who="this machine", sees=True, why="seals requests and opens replies"),
        Visibility(
            who="enclaves of the deployment",
            sees=True,
            why="any worker that meets the deployment's settings can open a request for any model",
        ),
        Visibility(who="operator, administrators, cloud", sees=simulated, why=operator),
        Visibility(who="gateway, queue, engine, network", sees=False, why="have ciphertext only"),
        Visibility(who="owner of the model", sees=False, why=owner),
    )


def proven_facts(
    claims: Claims | VouchedClaims,
    directory: Directory,
    now_ms: int,
    passports: Sequence[Passport] = (),
) -> tuple[ProvenFact, ...]:
    """Return the proven facts, each with its proof. `now_ms`: Unix milliseconds, for ages."""
    simulated = _simulated(claims)
    form = _form(claims)
    if isinstance(claims, VouchedClaims):
        name = claims.passport.verifier.name
        quote = vendor = f"the passport of {name}"
        proof = f"{quote} alone: the policy trusts {name} as it would a vendor's root"
        issued_ms = claims.passport.claims.collateral_issued_ms
    else:
        root = "a root that the policy names as insecure" if simulated else "its vendor's root"
        quote, proof = "the quote", f"quote and certificates under {root}"
        vendor = "AMD" if isinstance(claims.platform, AmdPlatform) else "Intel"
        vendor = f"the simulated {vendor}" if simulated else vendor
        issued_ms = claims.platform.collateral_issued_s * 1000
    found = [
        ProvenFact(name="hardware", value=hardware(claims), by=proof),
        ProvenFact(name="code", value=claims.measurement, by=f"{quote}; the policy names it"),
    ]
    if claims.signer:
        version = f", version {claims.svn}" if form is Tee.SGX else ""
        found.append(ProvenFact(name="signer", value=f"{claims.signer}{version}", by=quote))
    advisories = ", ".join(claims.advisories) or "no advisories"
    shared = [f"{each.name}:{each.version}" for each in directory.models if each.share_batch]
    found += [
        ProvenFact(name="TCB status", value=f"{claims.tcb_status}; {advisories}", by=vendor),
        ProvenFact(
            name="status is of",
            value=_age(issued_ms, now_ms),
            by=f"{vendor}; the policy limits its age",
        ),
        ProvenFact(
            name="settings", value=claims.bound.manifest_digest, by=f"{quote}; the policy names it"
        ),
        *(
            ProvenFact(
                name="passport",
                value=f"of {each.verifier.name}, {_age(each.issued_ms, now_ms)}",
                by=f"the verifier's key {each.verifier.key_id[:16]}…; the policy names it",
            )
            for each in passports
        ),
        ProvenFact(
            name="directory",
            value=f"version {directory.version}, {_age(directory.issued_ms, now_ms)}",
            by="the signing key that the quote names",
        ),
        ProvenFact(
            name="requests are sealed to",
            value=", ".join(
                f"{key.kid[:16]}… {'post-quantum' if key.suite.post_quantum else 'X25519'}"
                for key in directory.keys
                if key.not_before_ms <= now_ms < key.retire_ms
            )
            or "no active key",
            by="the directory",
        ),
        ProvenFact(
            name="your rows share batches",
            value=f"with others' only if you ask for it, in {', '.join(shared)}"
            if shared
            else "with no other client's",
            by="the directory; workers' code",
        ),
    ]
    return tuple(found)


def _form(claims: Claims | VouchedClaims) -> Tee:
    """Return the TEE whose format the quote has."""
    if isinstance(claims, VouchedClaims):
        return claims.passport.claims.form
    return tee_of_report(claims.report)


def _simulated(claims: Claims | VouchedClaims) -> bool:
    return claims.domain is TrustDomain.SIMULATED


def _age(issued_ms: int, now_ms: int) -> str:
    seconds = max(0, now_ms - issued_ms) // 1000
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{utc_text(issued_ms)} ({count} {name}{'' if count == 1 else 's'} old)"
    return f"{utc_text(issued_ms)} ({seconds} s old)"
