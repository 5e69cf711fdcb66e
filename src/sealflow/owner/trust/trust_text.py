"""Owner: a trust report in words: who can see the data, what was proved, what was not.

Pure: the same claims and time give the same words. Words for people; for machines see
`TrustReport.to_json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.claims import tee_of_report
from sealflow.attest.evidence import Tee
from sealflow.attest.reports import AmdPlatform, SgxReport
from sealflow.clock import utc_text
from sealflow.wire.domain import TrustDomain

if TYPE_CHECKING:
    from sealflow.attest.claims import Claims
    from sealflow.documents.directory import Directory

_HARDWARE: Final = {
    Tee.SGX: "Intel SGX",
    Tee.TDX: "Intel TDX",
    Tee.SNP: "AMD SEV-SNP",
}

NOT_PROVED: Final = (
    ("that you get an answer", "whoever carries messages can drop, delay or repeat them"),
    (
        "that nobody learns when you ask",
        "the operator sees who connects when, which model, and sizes to within about 12 %",
    ),
    (
        "that the processor keeps its secrets",
        "side channels and attacks on its buses break any enclave; a good TCB status means fewer",
    ),
    (
        "that the code is free of errors",
        "a measurement says which code runs: whoever named it in your policy has to know it",
    ),
    (
        "that the model is honest",
        "its owner decides what it answers; the directory says which package answers",
    ),
    ("that a request runs once", "the operator can have two workers run one; you take one reply"),
    ("that this machine is sound", "its clock, your policy file and this program are trusted"),
)
"""What no report proves, and why."""


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


def hardware(claims: Claims) -> str:
    """Name the hardware; a simulation says that it is one, and what it imitates."""
    name = _HARDWARE[tee_of_report(claims.report)]
    return f"SIMULATED {name}: no hardware at all" if _simulated(claims) else name


def visibility(*, simulated: bool) -> tuple[Visibility, ...]:
    """Say who can see requests and replies in clear."""
    owner = "its model computes on your data inside, and nothing but the reply comes out"
    if simulated:
        operator = "the simulation's keys lie on the operator's disk: it can read everything"
    else:
        operator = "holds ciphertext; the processor keeps it out of the enclaves"
    return (
        Visibility(who="this machine", sees=True, why="seals requests and opens replies"),
        Visibility(
            who="enclaves of the deployment",
            sees=True,
            why="the key broker gives keys only to workers that meet the deployment's settings",
        ),
        Visibility(who="operator, administrators, cloud", sees=simulated, why=operator),
        Visibility(who="gateway, queue, engine, network", sees=False, why="carry ciphertext alone"),
        Visibility(who="owner of the model", sees=False, why=owner),
    )


def proven_facts(claims: Claims, directory: Directory, now_ms: int) -> tuple[ProvenFact, ...]:
    """Say what was proved, by what, and how old that is. `now_ms`: Unix ms."""
    simulated = _simulated(claims)
    root = "a root that the policy names as insecure" if simulated else "its maker's root"
    vendor = "AMD" if isinstance(claims.platform, AmdPlatform) else "Intel"
    vendor = f"the simulated {vendor}" if simulated else vendor
    found = [
        ProvenFact(
            name="hardware", value=hardware(claims), by=f"quote and certificates under {root}"
        ),
        ProvenFact(name="code", value=claims.measurement, by="the quote; the policy names it"),
    ]
    if claims.signer:
        version = f", version {claims.svn}" if isinstance(claims.report, SgxReport) else ""
        found.append(ProvenFact(name="signer", value=f"{claims.signer}{version}", by="the quote"))
    advisories = ", ".join(claims.advisories) or "no advisories"
    found += [
        ProvenFact(name="TCB status", value=f"{claims.tcb_status}; {advisories}", by=vendor),
        ProvenFact(
            name="status is of",
            value=_age(claims.platform.collateral_issued_s * 1000, now_ms),
            by=f"{vendor}; the policy limits its age",
        ),
        ProvenFact(
            name="settings", value=claims.bound.manifest_digest, by="the quote; the policy names it"
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
            or "no key in force",
            by="the directory",
        ),
    ]
    return tuple(found)


def _simulated(claims: Claims) -> bool:
    return claims.domain is TrustDomain.SIMULATED


def _age(issued_ms: int, now_ms: int) -> str:
    seconds = max(0, now_ms - issued_ms) // 1000
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{utc_text(issued_ms)} ({count} {name}{'' if count == 1 else 's'} old)"
    return f"{utc_text(issued_ms)} ({seconds} s old)"
