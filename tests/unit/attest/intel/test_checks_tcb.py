"""Which states of Intel's platforms a policy accepts: TCB status, exceptions, advisories, flags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sealflow.attest.policy import appraise
from sealflow.attest.reports import PlatformFlag, TcbStatus
from sealflow.attest.requirements import OutOfDateWaiver
from sealflow.errors import PolicyError
from tests.support.attestation.dcap_authority import DcapAuthority
from tests.support.attestation.dcap_certificates import NOW_S
from tests.support.attestation.policies import (
    NOW_MS,
    SGX,
    change_requirements,
    policy,
    sgx_codes,
    sgx_evidence,
)

TODAY = datetime.fromtimestamp(NOW_S, UTC).date()


@pytest.mark.parametrize("status", [each for each in TcbStatus if "Relaunch" not in each])
def test_statuses(status: TcbStatus) -> None:
    """Each TCB status passes the policy that names it, and no other."""
    lab = DcapAuthority(tcb_status=status)
    for named in TcbStatus:
        if named.out_of_date:
            continue
        wanted = change_requirements(SGX, tcb_statuses=frozenset({named, TcbStatus.UP_TO_DATE}))
        if status in (named, TcbStatus.UP_TO_DATE):
            appraise(sgx_evidence(lab), policy(wanted, lab.root_der), NOW_MS)
        else:
            assert sgx_codes(wanted, lab) == ["tcb_status"]


def test_old_quoting_enclave() -> None:
    """An old quoting enclave is refused also where the platform's own status would do."""
    assert sgx_codes(SGX, DcapAuthority(qe_status="OutOfDate")) == ["tcb_status", "qe_status"]


@pytest.mark.parametrize("days", [0, 1, 30])
def test_exception(days: int) -> None:
    """An out-of-date platform passes while an exception of at most 30 days runs."""
    lab = DcapAuthority(tcb_status="OutOfDate")
    until = OutOfDateWaiver(until=TODAY + timedelta(days=days), reason="new microcode is late")
    wanted = policy(change_requirements(SGX, insecure_out_of_date=until), lab.root_der)
    appraise(sgx_evidence(lab), wanted, NOW_MS)


@pytest.mark.parametrize("days", [-1, 31, 4000])
def test_ended_exception(days: int) -> None:
    """An exception that has ended, or would run for longer, counts for nothing."""
    lab = DcapAuthority(tcb_status="OutOfDateConfigurationNeeded")
    until = OutOfDateWaiver(until=TODAY + timedelta(days=days), reason="new microcode is late")
    assert sgx_codes(change_requirements(SGX, insecure_out_of_date=until), lab) == ["tcb_status"]


def test_exception_is_for_out_of_date_alone() -> None:
    """An exception for out-of-date platforms accepts no other status."""
    until = OutOfDateWaiver(until=TODAY, reason="new microcode is late")
    wanted = change_requirements(SGX, insecure_out_of_date=until)
    assert sgx_codes(wanted, DcapAuthority(tcb_status="ConfigurationNeeded")) == ["tcb_status"]


def test_advisories() -> None:
    """Each advisory must be accepted by name, of platform and of quoting enclave."""
    lab = DcapAuthority(
        advisories=("INTEL-SA-00615", "INTEL-SA-00001"), qe_advisories=("INTEL-SA-00002",)
    )
    wanted = change_requirements(SGX, advisories=frozenset({"INTEL-SA-00615"}))
    with pytest.raises(PolicyError) as caught:
        appraise(sgx_evidence(lab), policy(wanted, lab.root_der), NOW_MS)
    (mismatch,) = caught.value.mismatches
    assert mismatch.got == "INTEL-SA-00001, INTEL-SA-00002"
    names = frozenset({"INTEL-SA-00615", "INTEL-SA-00001", "INTEL-SA-00002"})
    appraise(
        sgx_evidence(lab), policy(change_requirements(SGX, advisories=names), lab.root_der), NOW_MS
    )


def test_flags() -> None:
    """Each flag of the platform must be accepted by name."""
    lab = DcapAuthority(flags=("smt_enabled", "cached_keys"))
    some = change_requirements(SGX, platform_flags=frozenset({PlatformFlag.SMT_ENABLED}))
    assert sgx_codes(some, lab) == ["platform_flags"]
    both = change_requirements(SGX, platform_flags=frozenset(map(PlatformFlag, lab.flags)))
    appraise(sgx_evidence(lab), policy(both, lab.root_der), NOW_MS)
