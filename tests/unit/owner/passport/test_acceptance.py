"""A client's decision on a passport: about which key broker, and what the policy demands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import EvidenceError, PolicyError
from sealflow.owner import (
    OutOfDateWaiver,
    Requirements,
    SimulationPolicy,
    SnpRequirements,
    TdxRequirements,
    Tee,
    TrustDomain,
)
from sealflow.owner.passport.acceptance import PassportApproval, accept_passport, find_passport
from sealflow.owner.passport.passport import Tier, verify_passport
from tests.support.passports.tokens import (
    ED25519,
    MEASUREMENT,
    NOW_MS,
    NOW_S,
    OTHER,
    ear,
    hardware_bound,
    hardware_policy,
    passport_claims,
    shown_evidence,
    sign,
    simulated_bound,
)

if TYPE_CHECKING:
    from sealflow.attest.evidence import BoundClaims
    from sealflow.owner import Policy
    from sealflow.owner.passport.passport import Passport, PassportClaims

VERIFIER = ED25519.trusted("hospital", instead_of_evidence=True)
REGISTERS = {"rtmr0": "40" * 48, "rtmr1": "41" * 48, "rtmr2": "42" * 48}
OTHERS = ("rtmr3", "mr_config_id", "mr_owner", "mr_owner_config")
TDX = Requirements(
    measurements=frozenset({"33" * 48}),
    tdx=TdxRequirements(registers={name: frozenset({each}) for name, each in REGISTERS.items()}),
)


def passport(claims: PassportClaims | None = None) -> Passport:
    """A verified passport."""
    return verify_passport(sign(ear(claims)), VERIFIER, NOW_MS)


def accept(
    claims: PassportClaims | None = None,
    policy: Policy | SimulationPolicy | None = None,
    bound: BoundClaims | None = None,
) -> PassportApproval:
    """Decide on a passport."""
    return accept_passport(
        passport(claims), shown_evidence(bound), policy or hardware_policy(), NOW_MS
    )


def codes(
    claims: PassportClaims | None = None,
    policy: Policy | SimulationPolicy | None = None,
    bound: BoundClaims | None = None,
) -> list[str]:
    """Decide on a passport that the policy does not accept; gives the codes of all mismatches."""
    with pytest.raises(PolicyError) as caught:
        accept(claims, policy, bound)
    return [mismatch.code for mismatch in caught.value.mismatches]


def test_approval() -> None:
    """It has the passport's claims, and lasts as long."""
    found = accept()
    assert found.claims.bound == hardware_bound()
    assert found.claims.domain is TrustDomain.HARDWARE
    assert found.valid_until_ms == NOW_MS + 3_600_000
    claims = found.claims
    assert (claims.measurement, claims.signer, claims.svn) == (MEASUREMENT, "22" * 32, 3)
    assert (claims.tcb_status, claims.advisories) == ("UpToDate", ())
    assert claims.to_json()["report_digest"] is None


def test_only_acceptance_makes_an_approval() -> None:
    """An approval that nothing was compared for cannot exist."""
    with pytest.raises(TypeError, match="accept_passport"):
        replace(accept(), _accepted=object())


def test_other_bound_claims() -> None:
    """A passport is about the exact bytes of one key broker's claims."""
    other = shown_evidence(hardware_bound(signing_key=b"t" * 32))
    with pytest.raises(EvidenceError, match="passport_bound"):
        accept_passport(passport(), other, hardware_policy(), NOW_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"deployment": "other"},
        {"manifest_digest": "00" * 32},
        {"tee": Tee.SIMULATED},
        {"role": "worker"},
    ],
)
def test_contradiction(changes: dict[str, Any]) -> None:
    """A passport that says otherwise than the claims that it names is refused."""
    value = ear()
    value["submods"]["keybroker"]["sealflow_passport"] |= {
        name: str(each) for name, each in changes.items()
    }
    found = verify_passport(sign(value), VERIFIER, NOW_MS)
    with pytest.raises(EvidenceError, match="passport_bound"):
        accept_passport(found, shown_evidence(), hardware_policy(), NOW_MS)


def test_bound_claims_that_do_not_parse() -> None:
    """They are refused, though a verifier vouches for their bytes."""
    broken = replace(shown_evidence(), bound=b"{}")
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(EvidenceError, match="bound_claims"):
        accept_passport(
            passport(passport_claims(bound_digest=digest)), broken, hardware_policy(), NOW_MS
        )


def test_key_of_another_trust_domain() -> None:
    """A sealing key of a simulation in claims of hardware is refused."""
    bound = hardware_bound(sealing_suite=0xF002)
    with pytest.raises(EvidenceError, match="another trust domain"):
        accept(passport_claims(bound), None, bound)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"measurement": "12" * 32}, "measurement"),
        ({"svn": 2}, "svn"),
        ({"tcb_status": "OutOfDate"}, "tcb_status"),
        ({"tcb_status": "not rated"}, "tcb_status"),
        ({"qe_status": "SWHardeningNeeded"}, "qe_status"),
        ({"advisories": ("INTEL-SA-00615",)}, "advisories"),
        ({"collateral_issued_ms": NOW_MS - 31 * 86_400_000}, "collateral_age"),
        ({"tier": Tier.CONTRAINDICATED}, "passport_status"),
        ({"tier": Tier.NONE}, "passport_status"),
        ({"form": Tee.TDX}, "tee"),
    ],
)
def test_what_the_policy_compares(changes: dict[str, Any], code: str) -> None:
    """The client compares what a passport says about code and platform; each has its code."""
    assert codes(passport_claims(**changes)) == [code]


def test_all_mismatches() -> None:
    """All are listed, not only the first."""
    claims = passport_claims(measurement="12" * 32, svn=1, tcb_status="OutOfDate")
    assert codes(claims) == ["measurement", "svn", "tcb_status"]


def test_signers() -> None:
    """Signer and product are compared where the policy names them, also without a measurement."""
    wanted = Requirements(
        measurements=frozenset(),
        signers=frozenset({"22" * 32}),
        product_id=7,
        min_svn=3,
        insecure_signer_only=True,
    )
    policy = hardware_policy(requirements=wanted)
    assert accept(passport_claims(measurement="00" * 32), policy).claims.signer == "22" * 32
    assert codes(passport_claims(signer="23" * 32), policy) == ["signer"]
    assert codes(passport_claims(product_id=8), policy) == ["product_id"]
    assert codes(passport_claims(product_id=None), policy) == ["product_id"]


def test_exception_of_the_policy() -> None:
    """A platform that is out of date passes by the policy's exception, as with evidence."""
    today = datetime.fromtimestamp(NOW_S, UTC).date()
    waiver = OutOfDateWaiver(until=today, reason="x")
    wanted = Requirements(measurements=frozenset({MEASUREMENT}), insecure_out_of_date=waiver)
    claims = passport_claims(tcb_status="OutOfDate", tier=Tier.WARNING)
    assert accept(claims, hardware_policy(requirements=wanted)).claims.tcb_status == "OutOfDate"


def test_tdx_registers() -> None:
    """Firmware, kernel and command line are compared; a register that is absent passes for none."""
    bound = hardware_bound(tee=Tee.TDX)
    policy = hardware_policy(tee=Tee.TDX, requirements=TDX)
    whole = {**REGISTERS, **dict.fromkeys(OTHERS, "00" * 48)}
    claims = passport_claims(
        bound, form=Tee.TDX, measurement="33" * 48, signer="", product_id=None, registers=whole
    )
    assert accept(claims, policy, bound).claims.measurement == "33" * 48
    for name in whole:
        absent = {key: each for key, each in whole.items() if key != name}
        assert codes(replace(claims, registers=absent), policy, bound) == [name]
        assert codes(replace(claims, registers={**whole, name: "ff" * 48}), policy, bound) == [name]


def test_amd() -> None:
    """AMD has no status of Intel's; its firmware is the verifier's to check."""
    bound = hardware_bound(tee=Tee.SNP)
    wanted = Requirements(
        measurements=frozenset({"55" * 48}), snp=SnpRequirements(insecure_any_tcb=True)
    )
    claims = passport_claims(
        bound,
        form=Tee.SNP,
        measurement="55" * 48,
        product_id=None,
        svn=0,
        tcb_status="not rated",
        qe_status="not rated",
    )
    policy = hardware_policy(tee=Tee.SNP, requirements=wanted)
    assert accept(claims, policy, bound).claims.tcb_status == "not rated"


def test_simulation_and_hardware() -> None:
    """A passport of a simulation meets no policy for hardware, nor the other way round."""
    simulated = simulated_bound()
    claims = passport_claims(simulated, tier=Tier.CONTRAINDICATED)
    assert codes(claims, None, simulated) == ["tee", "passport_status"]
    assert codes(passport_claims(simulated), None, simulated) == ["tee"]
    policy = SimulationPolicy(
        role=hardware_policy().role,
        deployment="test",
        manifest_digest=hardware_policy().manifest_digest,
        requirements=hardware_policy().requirements,
        insecure_root=b"root",
    )
    assert accept(claims, policy, simulated).claims.domain is TrustDomain.SIMULATED
    assert codes(None, policy) == ["tee"]


def test_finding() -> None:
    """Of several tokens the first acceptable one counts; else the error of the verifier's own."""
    evidence, policy = shown_evidence(), hardware_policy(VERIFIER)
    good = sign(ear())
    over = sign(ear(iat=NOW_S - 3600, exp=NOW_S))
    wrong = sign(ear(passport_claims(svn=1)))
    noise = ["", "x.y.z", sign(ear(), OTHER)]
    for tokens in ([*noise, good], [over, wrong, good], [good, over]):
        assert find_passport(tokens, VERIFIER, evidence, policy, NOW_MS).claims.svn == 3
    for tokens, code in (
        (noise, "passport_missing"),
        ([], "passport_missing"),
        ([*noise, over, wrong], "passport_expired"),
        (["x"] * 8 + [good], "passport_missing"),
    ):
        with pytest.raises(EvidenceError) as caught:
            find_passport(tokens, VERIFIER, evidence, policy, NOW_MS)
        assert caught.value.code == code
    with pytest.raises(PolicyError, match="svn"):
        find_passport([wrong, over], VERIFIER, evidence, policy, NOW_MS)
