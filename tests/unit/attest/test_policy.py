"""Which genuine claims a policy accepts, for all three kinds of hardware, by way of simulations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sealflow.attest.checks.sgx import check_sgx
from sealflow.attest.checks.snp import check_snp
from sealflow.attest.checks.tdx import check_tdx
from sealflow.attest.claims import Claims, TrustRoot, form, verify
from sealflow.attest.evidence import Evidence, Role, Tee
from sealflow.attest.policy import (
    Approval,
    Policy,
    SimulationPolicy,
    appraise,
    policy_digest,
)
from sealflow.attest.reports import PlatformFlag, SgxReport, SnpReport, TcbStatus, TdxReport
from sealflow.attest.requirements import DAY_S, OutOfDateException, Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import EvidenceError, MalformedError, PolicyError
from sealflow.wire.world import World
from tests.sim.claims import MANIFEST, NONCE, bound_claims, evidence_of
from tests.sim.dcap_lab import NOW_S, SEPT_VE_DISABLE, Lab, sgx_body, tdx_body
from tests.sim.snp_authority import GUEST_POLICY, SnpAuthority, snp_authority

NOW_MS = 1000 * NOW_S
TODAY = datetime.fromtimestamp(NOW_S, UTC).date()
SGX = Requirements(measurements=frozenset({"11" * 32}))
TDX = Requirements(
    measurements=frozenset({"33" * 48}),
    tdx=TdxRequirements(
        registers={
            "rtmr0": frozenset({"40" * 48}),
            "rtmr1": frozenset({"41" * 48}),
            "rtmr2": frozenset({"42" * 48, "52" * 48}),
        }
    ),
)
SNP = Requirements(
    measurements=frozenset({"11" * 48}),
    platform_flags=frozenset({PlatformFlag.SMT_ENABLED}),
    snp=SnpRequirements(min_tcb={"snp": 8, "microcode": 200}),
)


def policy(requirements: Requirements, root: bytes, **changes: Any) -> SimulationPolicy:
    """A policy for workers of the test deployment."""
    values: dict[str, Any] = {
        "role": Role.WORKER,
        "deployment": "test",
        "manifest_digest": MANIFEST,
        **changes,
    }
    return SimulationPolicy(requirements=requirements, insecure_root=root, **values)


def sgx_evidence(lab: Lab, **body: Any) -> Evidence:
    """Evidence of an SGX enclave."""
    return evidence_of(
        bound_claims(), lambda data: lab.quote(sgx_body(data, **body)), lab.collateral()
    )


def tdx_evidence(lab: Lab, **body: Any) -> Evidence:
    """Evidence of a trust domain."""
    return evidence_of(
        bound_claims(), lambda data: lab.quote(tdx_body(data, **body)), lab.collateral()
    )


def snp_evidence(amd: SnpAuthority, crl: bytes | None = None, **body: Any) -> Evidence:
    """Evidence of an SNP guest."""
    collateral = amd.endorsements(crl=crl).encode()
    return evidence_of(bound_claims(), lambda data: amd.report(data, **body), collateral)


def codes(evidence: Evidence, wanted: SimulationPolicy, nonce: str | None = None) -> list[str]:
    """Appraise what a policy must refuse and give the codes of all mismatches."""
    with pytest.raises(PolicyError) as caught:
        appraise(evidence, wanted, NOW_MS, nonce=nonce)
    for mismatch in caught.value.mismatches:
        assert mismatch.code in str(mismatch)
        assert set(mismatch.as_json()) == {"code", "field", "expected", "got", "hint"}
        assert all(each or key == "field" for key, each in mismatch.as_json().items())
    return [mismatch.code for mismatch in caught.value.mismatches]


def sgx_codes(requirements: Requirements, lab: Lab | None = None, **body: Any) -> list[str]:
    """Judge an SGX enclave that must be refused."""
    lab = lab or Lab()
    return codes(sgx_evidence(lab, **body), policy(requirements, lab.root_der))


def tdx_codes(requirements: Requirements, **body: Any) -> list[str]:
    """Judge a trust domain that must be refused."""
    lab = Lab(tee="TDX")
    return codes(tdx_evidence(lab, **body), policy(requirements, lab.root_der))


def snp_codes(requirements: Requirements, crl: bytes | None = None, **body: Any) -> list[str]:
    """Judge an SNP guest that must be refused."""
    amd = snp_authority(NOW_S)
    return codes(snp_evidence(amd, crl, **body), policy(requirements, amd.root()))


def but(requirements: Requirements, **changes: Any) -> Requirements:
    """The same demands with others in their place."""
    names = Requirements.__dataclass_fields__
    return Requirements(**{name: getattr(requirements, name) for name in names} | changes)


def test_sgx() -> None:
    """An enclave that meets the policy is approved until its collateral is too old."""
    lab = Lab()
    approval = appraise(sgx_evidence(lab), policy(SGX, lab.root_der), NOW_MS, nonce=NONCE)
    claims = approval.claims
    assert (claims.world, form(claims.report)) == (World.SIMULATED, Tee.SGX)
    assert (claims.measurement, claims.signer, claims.svn) == ("11" * 32, "22" * 32, 1)
    assert (claims.tcb_status, claims.advisories) == ("UpToDate", ())
    assert claims.as_json()["form"] == "sgx"
    assert approval.until_ms == NOW_MS + 29 * DAY_S * 1000
    short = policy(but(SGX, max_collateral_age_s=2 * DAY_S), lab.root_der)
    assert appraise(sgx_evidence(lab), short, NOW_MS).until_ms == NOW_MS + DAY_S * 1000


def test_tdx() -> None:
    """A trust domain that meets the policy is approved."""
    lab = Lab(tee="TDX")
    claims = appraise(tdx_evidence(lab), policy(TDX, lab.root_der), NOW_MS).claims
    assert (form(claims.report), claims.measurement, claims.signer) == (Tee.TDX, "33" * 48, "")
    registers = claims.as_json()["registers"]
    assert isinstance(registers, dict)
    assert registers["rtmr1"] == "41" * 48


def test_snp() -> None:
    """An SNP guest that meets the policy is approved."""
    amd = snp_authority(NOW_S)
    claims = appraise(snp_evidence(amd), policy(SNP, amd.root()), NOW_MS).claims
    assert (form(claims.report), claims.measurement) == (Tee.SNP, "11" * 48)
    assert (claims.tcb_status, claims.advisories) == ("not rated", ())
    assert claims.as_json()["registers"] == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"role": Role.KEY_BROKER}, "role"),
        ({"deployment": "other"}, "deployment"),
        ({"manifest_digest": "ef" * 32}, "manifest_digest"),
    ],
)
def test_bound(changes: dict[str, Any], code: str) -> None:
    """An enclave of another role, deployment or settings is refused."""
    lab = Lab()
    assert codes(sgx_evidence(lab), policy(SGX, lab.root_der, **changes)) == [code]


def test_nonce() -> None:
    """Evidence made for another challenge is refused where freshness counts."""
    lab = Lab()
    assert codes(sgx_evidence(lab), policy(SGX, lab.root_der), nonce="00" * 32) == ["nonce"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"measurements": frozenset({"12" * 32})}, "measurement"),
        ({"signers": frozenset({"23" * 32})}, "signer"),
        ({"product_id": 2}, "product_id"),
        ({"min_svn": 2}, "svn"),
        ({"min_tcb_evaluation": 21}, "tcb_evaluation"),
        ({"max_collateral_age_s": DAY_S - 1}, "collateral_age"),
    ],
)
def test_sgx_code(changes: dict[str, Any], code: str) -> None:
    """Other code, signer, product, an older release or older collateral is refused."""
    assert sgx_codes(but(SGX, **changes)) == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"attributes": 0x04}, "attributes"),
        ({"attributes": 0x01}, "attributes"),
        ({"attributes": 0x15}, "attributes"),
        ({"attributes": 0x25}, "attributes"),
        ({"attributes": 0x0805}, "attributes"),
        ({"attributes": 1 << 63 | 0x05}, "attributes"),
        ({"xfrm": 0x01}, "xfrm"),
        ({"xfrm": 0x03 | 1 << 20}, "xfrm"),
        ({"misc_select": 4}, "misc_select"),
        ({"config_id": b"\1" + bytes(63)}, "config_id"),
        ({"config_svn": 1}, "config_id"),
    ],
)
def test_sgx_state(body: dict[str, Any], code: str) -> None:
    """An enclave started in any other than a known production state is refused."""
    assert sgx_codes(SGX, **body) == [code]


def test_signer_only() -> None:
    """Any code of a signer passes where a policy says so by an insecure option, and only then."""
    wanted = but(
        SGX,
        measurements=frozenset(),
        signers=frozenset({"22" * 32}),
        product_id=1,
        min_svn=1,
        insecure_signer_only=True,
    )
    lab = Lab()
    appraise(sgx_evidence(lab, measurement=b"\x99" * 32), policy(wanted, lab.root_der), NOW_MS)
    assert sgx_codes(wanted, signer=b"\x23" * 32) == ["signer"]
    assert sgx_codes(wanted, product_id=2) == ["product_id"]
    assert sgx_codes(wanted, svn=0) == ["svn"]


@pytest.mark.parametrize("status", [each for each in TcbStatus if "Relaunch" not in each])
def test_statuses(status: TcbStatus) -> None:
    """Each TCB status passes the policy that names it, and no other."""
    lab = Lab(tcb_status=status)
    for named in TcbStatus:
        if named.out_of_date:
            continue
        wanted = but(SGX, tcb_statuses=frozenset({named, TcbStatus.UP_TO_DATE}))
        if status in (named, TcbStatus.UP_TO_DATE):
            appraise(sgx_evidence(lab), policy(wanted, lab.root_der), NOW_MS)
        else:
            assert sgx_codes(wanted, lab) == ["tcb_status"]


def test_old_quoting_enclave() -> None:
    """An old quoting enclave is refused also where the platform's own status would do."""
    assert sgx_codes(SGX, Lab(qe_status="OutOfDate")) == ["tcb_status", "qe_status"]


@pytest.mark.parametrize("days", [0, 1, 30])
def test_exception(days: int) -> None:
    """An out-of-date platform passes while an exception of at most 30 days runs."""
    lab = Lab(tcb_status="OutOfDate")
    until = OutOfDateException(until=TODAY + timedelta(days=days), reason="new microcode is late")
    wanted = policy(but(SGX, insecure_out_of_date=until), lab.root_der)
    appraise(sgx_evidence(lab), wanted, NOW_MS)


@pytest.mark.parametrize("days", [-1, 31, 4000])
def test_ended_exception(days: int) -> None:
    """An exception that has ended, or would run for longer, counts for nothing."""
    lab = Lab(tcb_status="OutOfDateConfigurationNeeded")
    until = OutOfDateException(until=TODAY + timedelta(days=days), reason="new microcode is late")
    assert sgx_codes(but(SGX, insecure_out_of_date=until), lab) == ["tcb_status"]


def test_exception_is_for_out_of_date_alone() -> None:
    """An exception for out-of-date platforms accepts no other status."""
    until = OutOfDateException(until=TODAY, reason="new microcode is late")
    wanted = but(SGX, insecure_out_of_date=until)
    assert sgx_codes(wanted, Lab(tcb_status="ConfigurationNeeded")) == ["tcb_status"]


def test_advisories() -> None:
    """Each advisory must be accepted by name, of platform and of quoting enclave."""
    lab = Lab(advisories=("INTEL-SA-00615", "INTEL-SA-00001"), qe_advisories=("INTEL-SA-00002",))
    wanted = but(SGX, advisories=frozenset({"INTEL-SA-00615"}))
    with pytest.raises(PolicyError) as caught:
        appraise(sgx_evidence(lab), policy(wanted, lab.root_der), NOW_MS)
    (mismatch,) = caught.value.mismatches
    assert mismatch.got == "INTEL-SA-00001, INTEL-SA-00002"
    names = frozenset({"INTEL-SA-00615", "INTEL-SA-00001", "INTEL-SA-00002"})
    appraise(sgx_evidence(lab), policy(but(SGX, advisories=names), lab.root_der), NOW_MS)


def test_flags() -> None:
    """Each flag of the platform must be accepted by name."""
    lab = Lab(flags=("smt_enabled", "cached_keys"))
    some = but(SGX, platform_flags=frozenset({PlatformFlag.SMT_ENABLED}))
    assert sgx_codes(some, lab) == ["platform_flags"]
    both = but(SGX, platform_flags=frozenset(map(PlatformFlag, lab.flags)))
    appraise(sgx_evidence(lab), policy(both, lab.root_der), NOW_MS)


def test_all_mismatches() -> None:
    """A verdict lists everything that is wrong, not only the first thing."""
    lab = Lab(tcb_status="OutOfDate", advisories=("INTEL-SA-00001",), flags=("smt_enabled",))
    wanted = but(
        SGX,
        measurements=frozenset({"12" * 32}),
        signers=frozenset({"23" * 32}),
        product_id=2,
        min_svn=2,
        min_tcb_evaluation=21,
        max_collateral_age_s=1,
    )
    found = codes(
        sgx_evidence(lab, attributes=0x15),
        policy(
            wanted, lab.root_der, role=Role.KEY_BROKER, deployment="x", manifest_digest="a" * 64
        ),
        nonce="00" * 32,
    )
    assert found == [
        "role",
        "deployment",
        "manifest_digest",
        "nonce",
        "measurement",
        "signer",
        "product_id",
        "svn",
        "attributes",
        "tcb_status",
        "advisories",
        "platform_flags",
        "tcb_evaluation",
        "collateral_age",
    ]


@pytest.mark.parametrize("name", ["rtmr0", "rtmr1", "rtmr2", "rtmr3"])
def test_registers(name: str) -> None:
    """A trust domain with other firmware, kernel, command line or run-time log is refused."""
    registers = [b"\x40" * 48, b"\x41" * 48, b"\x52" * 48, bytes(48)]
    registers[int(name[-1])] = b"\x66" * 48
    assert tdx_codes(TDX, registers=tuple(registers)) == [name]


@pytest.mark.parametrize("name", ["mr_config_id", "mr_owner", "mr_owner_config"])
def test_host_settings(name: str) -> None:
    """Settings that the host gave a trust domain must be named, else be zero."""
    names = ("mr_config_id", "mr_owner", "mr_owner_config")
    config = tuple(b"\x09" * 48 if each == name else bytes(48) for each in names)
    assert tdx_codes(TDX, config=config) == [name]
    assert TDX.tdx is not None
    named = TdxRequirements(registers={**TDX.tdx.registers, name: frozenset({"09" * 48})})
    lab = Lab(tee="TDX")
    wanted = policy(but(TDX, tdx=named), lab.root_der)
    appraise(tdx_evidence(lab, config=config), wanted, NOW_MS)


def test_unchecked_registers() -> None:
    """A register passes unchecked where a policy says so by an insecure option, and only then."""
    assert TDX.tdx is not None
    free = TdxRequirements(
        registers=TDX.tdx.registers, insecure_unchecked_registers=frozenset({"rtmr0"})
    )
    registers = (b"\x66" * 48, b"\x41" * 48, b"\x42" * 48, bytes(48))
    lab = Lab(tee="TDX")
    wanted = policy(but(TDX, tdx=free), lab.root_der)
    appraise(tdx_evidence(lab, registers=registers), wanted, NOW_MS)
    others = (*registers[:1], b"\x66" * 48, *registers[2:])
    assert tdx_codes(but(TDX, tdx=free), registers=others) == ["rtmr1"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"xfam": 0x01}, "xfam"),
        ({"xfam": 0x03 | 1 << 3}, "xfam"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 63}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 62}, "attributes"),
    ],
)
def test_tdx_state(body: dict[str, Any], code: str) -> None:
    """A trust domain with features that leak or that nobody knows is refused."""
    assert tdx_codes(TDX, **body) == [code]


def test_no_table() -> None:
    """Virtual machines pass no policy that says nothing of their registers and firmware."""
    plain = but(TDX, tdx=None)
    assert tdx_codes(plain) == ["tee"]
    assert snp_codes(but(SNP, snp=None)) == ["tee"]
    assert snp_codes(but(SNP, snp=None), b"") == ["tee", "revocations"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"guest_policy": GUEST_POLICY | 1 << 19}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 18}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 21}, "guest_policy"),
        ({"guest_policy": GUEST_POLICY | 1 << 26}, "guest_policy"),
        ({"guest_policy": 0x1_0000}, "guest_policy"),
        ({"vmpl": 1}, "vmpl"),
        ({"host_data": b"\1" * 32}, "host_data"),
        ({"committed": bytes([3, 1, 0, 0, 0, 0, 7, 200])}, "committed_tcb"),
        ({"measurement": b"\x12" * 48}, "measurement"),
    ],
)
def test_snp_state(body: dict[str, Any], code: str) -> None:
    """A guest that allows debugging, migration or the unknown, or old firmware, is refused."""
    assert snp_codes(SNP, **body) == [code]


def test_snp_demands() -> None:
    """Firmware, id key, guest version, SMT and revocations are judged by the policy's demands."""
    high = SnpRequirements(min_tcb={"snp": 9, "fmc": 1})
    assert snp_codes(but(SNP, snp=high)) == [
        "reported_tcb",
        "committed_tcb",
        "reported_tcb",
        "committed_tcb",
    ]
    assert snp_codes(but(SNP, signers=frozenset({"07" * 48}))) == ["signer"]
    assert snp_codes(but(SNP, min_svn=6)) == ["svn"]
    assert snp_codes(but(SNP, platform_flags=frozenset())) == ["platform_flags"]
    assert snp_codes(but(SNP, product_id=1)) == ["product_id"]
    assert snp_codes(SNP, b"") == ["revocations"]
    amd = snp_authority(NOW_S)
    without = policy(but(SNP, snp=SnpRequirements(insecure_no_revocations=True)), amd.root())
    appraise(snp_evidence(amd, b""), without, NOW_MS)
    no_smt = policy(but(SNP, platform_flags=frozenset()), amd.root())
    appraise(snp_evidence(amd, guest_policy=1 << 17), no_smt, NOW_MS)


def test_host_data() -> None:
    """Host data that a policy names is accepted."""
    amd = snp_authority(NOW_S)
    named = SnpRequirements(host_data=frozenset({"01" * 32}), vmpl=2)
    wanted = policy(but(SNP, snp=named), amd.root())
    claims = appraise(snp_evidence(amd, host_data=b"\1" * 32, vmpl=2), wanted, NOW_MS).claims
    assert isinstance(claims.report, SnpReport)
    assert list(check_snp(claims.report, named, {PlatformFlag.SMT_ENABLED})) == []


def test_hints_name_the_danger() -> None:
    """The hint says what a debug or migratable guest means."""
    amd = snp_authority(NOW_S)
    for bit, word in ((19, "debugging"), (18, "migration")):
        evidence = snp_evidence(amd, guest_policy=GUEST_POLICY | 1 << bit)
        with pytest.raises(PolicyError, match=word):
            appraise(evidence, policy(SNP, amd.root()), NOW_MS)


def test_classes() -> None:
    """No production policy is of a simulation, and no simulation meets one."""
    with pytest.raises(MalformedError, match="simulation"):
        Policy(
            role=Role.WORKER,
            tee=Tee.SIMULATED,
            deployment="test",
            manifest_digest=MANIFEST,
            requirements=SGX,
        )
    production = Policy(
        role=Role.WORKER,
        tee=Tee.SGX,
        deployment="test",
        manifest_digest=MANIFEST,
        requirements=SGX,
    )
    lab = Lab()
    with pytest.raises(EvidenceError, match="world"):
        appraise(sgx_evidence(lab), production, NOW_MS)
    hardware = bound_claims(tee=Tee.SGX)
    evidence = evidence_of(hardware, lambda data: lab.quote(sgx_body(data)), lab.collateral())
    with pytest.raises(EvidenceError, match="quote"):
        appraise(evidence, production, NOW_MS)
    with pytest.raises(EvidenceError, match="world"):
        appraise(evidence, policy(SGX, lab.root_der), NOW_MS)


def test_binding() -> None:
    """A quote counts for the claims that it was made for, to the bit, and for nothing else."""
    lab = Lab()
    good = sgx_evidence(lab)
    other = bound_claims(signing_key=b"x" * 32).encode()
    stolen = Evidence(tee=good.tee, quote=good.quote, bound=other, collateral=good.collateral)
    with pytest.raises(EvidenceError, match="report_data"):
        appraise(stolen, policy(SGX, lab.root_der), NOW_MS)
    for bound in (b"{}", good.bound + b" x", b"\xff"):
        broken = Evidence(tee=good.tee, quote=good.quote, bound=bound, collateral=good.collateral)
        with pytest.raises(EvidenceError, match="bound_claims"):
            appraise(broken, policy(SGX, lab.root_der), NOW_MS)


def test_proofs_cannot_be_made() -> None:
    """Claims and approvals cannot be made by hand."""
    lab = Lab()
    claims = verify(sgx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS)
    with pytest.raises(TypeError, match="verify"):
        Claims(
            world=claims.world,
            bound=claims.bound,
            report=claims.report,
            platform=claims.platform,
            report_digest=claims.report_digest,
            _verified=object(),
        )
    with pytest.raises(TypeError, match="appraise"):
        Approval(claims=claims, policy_digest="", until_ms=0, _appraised=object())


def test_policy_digest() -> None:
    """Every demand of a policy changes its digest."""
    root = Lab().root_der
    policies = [
        policy(SGX, root),
        policy(SGX, b"other"),
        policy(SGX, root, role=Role.KEY_BROKER),
        policy(SGX, root, deployment="other"),
        policy(SGX, root, models={"m": frozenset({"aa" * 32})}),
        policy(but(SGX, min_svn=1), root),
        policy(TDX, root),
    ]
    assert len(set(map(policy_digest, policies))) == len(policies)
    production = Policy(
        role=Role.WORKER, tee=Tee.SGX, deployment="t", manifest_digest=MANIFEST, requirements=SGX
    )
    assert production.root == TrustRoot()
    assert policy_digest(production) != policy_digest(policy(SGX, b"", deployment="t"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": 0x07}, "attributes"),
        ({"attributes": 0x05 | 1 << 4}, "attributes"),
        ({"attributes": 0x05 | 1 << 5}, "attributes"),
    ],
)
def test_sgx_without_library(changes: dict[str, Any], code: str) -> None:
    """What the library refuses first is refused by our own checks too."""
    lab = Lab()
    report = verify(sgx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS).report
    assert isinstance(report, SgxReport)
    assert list(check_sgx(report)) == []
    assert [each.code for each in check_sgx(replace(report, **changes))] == [code]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": SEPT_VE_DISABLE | 1}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 5}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 29}, "attributes"),
        ({"attributes": SEPT_VE_DISABLE | 1 << 40}, "attributes"),
        ({"attributes": 0}, "attributes"),
        ({"seam_signer": "01" * 48}, "seam_signer"),
        ({"seam_attributes": 1}, "seam_attributes"),
        ({"service_td": "01" * 48}, "service_td"),
    ],
)
def test_tdx_without_library(changes: dict[str, Any], code: str) -> None:
    """What the library refuses first is refused by our own checks too."""
    lab = Lab(tee="TDX")
    report = verify(tdx_evidence(lab), TrustRoot(insecure_root=lab.root_der), NOW_MS).report
    assert isinstance(report, TdxReport)
    assert list(check_tdx(report, TDX.tdx)) == []
    assert [each.code for each in check_tdx(replace(report, **changes), TDX.tdx)] == [code]
