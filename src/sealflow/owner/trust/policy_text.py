"""Owner, pure: describes a policy in words, a line for each demand or omission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Tee
from sealflow.attest.policy import SimulationPolicy
from sealflow.attest.reports import RTMRS, TDX_REGISTERS, TcbStatus
from sealflow.attest.requirements import DAY_S
from sealflow.owner.trust.name_owners import ANY_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sealflow.attest.requirements import Requirements
    from sealflow.attest.verifiers import TrustedVerifier, WitnessRequirements
    from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
    from sealflow.owner.trust.policy_file import TrustPolicy

_TEES: Final = {
    Tee.SGX: "An SGX enclave on Intel hardware, in production mode.",
    Tee.TDX: "A TDX guest (TD) on Intel hardware, in production mode.",
    Tee.SNP: "An SEV-SNP guest on AMD hardware, without debugging and migration.",
    Tee.SIMULATED: (
        "A SIMULATED TEE: nothing is protected from the operator of the machines. For trials only."
    ),
}
_CODE: Final = {
    Tee.SGX: "code (MRENCLAVE)",
    Tee.TDX: "firmware (MRTD)",
    Tee.SNP: "launch digest",
    Tee.SIMULATED: "code",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """One demand of a policy in words.

    Attributes:
        about: What it is about, such as `hardware` or `key broker: TCB status`.
        text: The demand, or what is left open.
        weakens: Whether it gives up protection that a stricter policy has.

    Example:
        >>> describe_policy(load_policy(".sealflow/client.toml"))[1]
        PolicyLine(about='deployment', text='sealflow', weakens=False)
    """

    about: str
    text: str
    weakens: bool = False


def describe_policy(policy: TrustPolicy, worker: Requirements | None = None) -> list[PolicyLine]:
    """Say in words all that a policy demands, and what it leaves open.

    Args:
        policy: What clients demand of the service.
        worker: What a model's owner demands of workers, in addition.

    Returns:
        The demands in the order of a policy file's keys.

    Example:
        >>> [line.about for line in describe_policy(load_policy(".sealflow/client.toml"))][:3]
        ['hardware', 'deployment', 'settings']
    """
    simulated = isinstance(policy, SimulationPolicy)
    lines = [
        PolicyLine(about="hardware", text=_TEES[policy.tee], weakens=simulated),
        PolicyLine(about="deployment", text=policy.deployment),
        PolicyLine(about="settings", text=f"exactly those of digest {policy.manifest_digest}"),
    ]
    if policy.models:
        lines += [
            PolicyLine(about=f"model {name}", text=f"only package {_either(digests)}")
            for name, digests in sorted(policy.models.items())
        ]
    elif not policy.owners:
        text = "any that the deployment's owners publish; a name stays with its first owner"
        lines.append(PolicyLine(about="models", text=text))
    lines += _owners(policy)
    lines += [_verifier(verifier) for verifier in policy.verifiers]
    if policy.log is not None:
        lines.append(_witnesses(policy.log))
    lines.append(PolicyLine(about="cipher suites", text=", else ".join(policy.suites)))
    if policy.share_batch:
        text = "may be shared with other clients, if a request asks for it: models can mix rows"
        lines.append(PolicyLine(about="batches", text=text, weakens=True))
    lines += _requirements("key broker", policy.tee, policy.requirements)
    if worker is not None:
        text = "demanded of workers that get your models, not of those that can open your requests"
        lines.append(PolicyLine(about="workers", text=text))
        lines += _requirements("workers", policy.tee, worker)
    return lines


def _owners(policy: TrustPolicy) -> Iterator[PolicyLine]:
    for name, owners in sorted(policy.owners.items()):
        about = "owner of every other model" if name == ANY_NAME else f"owner of model {name}"
        yield PolicyLine(about=about, text=f"only {_either(owners)}")
    if (policy.models or policy.owners) and ANY_NAME not in policy.owners:
        yield PolicyLine(about="other models", text="none")


def _verifier(verifier: TrustedVerifier) -> PolicyLine:
    key = f"key {verifier.key_id[:16]}…"
    if verifier.instead_of_evidence:
        text = f"its passport is enough, by {key}: trusted as the hardware vendor's root is"
    else:
        text = f"its passport is demanded besides evidence, by {key}"
    about = f"verifier {verifier.name}"
    return PolicyLine(about=about, text=text, weakens=verifier.instead_of_evidence)


def _witnesses(wanted: WitnessRequirements) -> PolicyLine:
    names = ", ".join(each.name for each in wanted.witnesses)
    age = "" if wanted.max_age_s is None else f", within {wanted.max_age_s} s"
    text = f"signed by at least {wanted.required} of the witnesses {names}{age}"
    return PolicyLine(about="log", text=text)


def _requirements(who: str, tee: Tee, wanted: Requirements) -> Iterator[PolicyLine]:
    days = wanted.max_collateral_age_s / DAY_S
    demands = (
        *_code(tee, wanted),
        *(() if wanted.tdx is None else _tdx(wanted.tdx)),
        *(() if wanted.snp is None else _snp(wanted.snp)),
        *(() if tee is Tee.SNP else _intel(wanted)),
        ("collateral", f"issued at most {days:g} days ago", False),
    )
    for about, text, weakens in demands:
        yield PolicyLine(about=f"{who}: {about}", text=text, weakens=weakens)


def _code(tee: Tee, wanted: Requirements) -> Iterator[tuple[str, str, bool]]:
    if wanted.insecure_signer_only:
        yield "code", "any code of the signers below, also future code", True
    else:
        yield _CODE[tee], _either(wanted.measurements), False
    if wanted.signers:
        yield "signer", _either(wanted.signers), False
    if wanted.product_id is not None:
        yield "product", f"number {wanted.product_id} of its signer", False
    if wanted.min_svn:
        yield "release", f"security version {wanted.min_svn} or later", False
    if wanted.platform_flags:
        yield "machine", f"may have {_and(wanted.platform_flags)}", True


def _intel(wanted: Requirements) -> Iterator[tuple[str, str, bool]]:
    weak = wanted.tcb_statuses != {TcbStatus.UP_TO_DATE}
    yield "TCB status", _either(wanted.tcb_statuses), weak
    if wanted.advisories:
        yield "advisories", f"may be open: {_and(wanted.advisories)}", True
    exception = wanted.insecure_out_of_date
    if exception is not None:
        text = f"also OutOfDate until {exception.until}, at most 30 days from now: "
        yield "exception", text + exception.reason, True
    if wanted.min_tcb_evaluation:
        yield "TCB evaluation", f"number {wanted.min_tcb_evaluation} or later", False


def _tdx(wanted: TdxRequirements) -> Iterator[tuple[str, str, bool]]:
    for name in TDX_REGISTERS:
        if name in wanted.insecure_unchecked_registers:
            what = "firmware, kernel or command line" if name in RTMRS else "the host's settings"
            yield name, f"any value: {what} are not checked", True
        else:
            yield name, _either(wanted.registers.get(name) or {"zero"}), False


def _snp(wanted: SnpRequirements) -> Iterator[tuple[str, str, bool]]:
    for product, parts in wanted.min_tcb.items():
        text = ", ".join(f"{name} {svn}" for name, svn in parts.items())
        yield f"firmware of {product}", f"at least {text}: reported, committed, at launch", False
    if wanted.insecure_any_tcb:
        yield "firmware", "else any version, also with known vulnerabilities", True
    yield "host data", _either(wanted.host_data or {"zero"}), False
    yield "author key", _either(wanted.author_keys or {"none"}), False
    yield "privilege level", f"VMPL {wanted.vmpl}", False
    if wanted.insecure_no_revocations:
        yield "revocations", "not checked: a key that AMD revoked is accepted", True


def _either(values: Collection[str]) -> str:
    return " or ".join(sorted(map(str, values)))


def _and(values: Collection[str]) -> str:
    return ", ".join(sorted(map(str, values)))
