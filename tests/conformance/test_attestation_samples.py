"""Every sample of real hardware gives its recorded verdict. Origins: tests/data/attestation."""

from __future__ import annotations

import pytest

from sealflow.attest.amd.checks import check_snp
from sealflow.attest.amd.verify import verify_amd_report
from sealflow.attest.intel.checks import check_intel, check_sgx, check_tdx
from sealflow.attest.reports import (
    TDX_REGISTERS,
    AmdPlatform,
    IntelPlatform,
    PlatformFlag,
    SgxReport,
    SnpReport,
    TcbStatus,
    TdxReport,
)
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from sealflow.errors import EvidenceError
from sealflow.owner import Requirements
from tests.support.attestation.hardware_samples import (
    GENUINE,
    INDEX,
    QUOTES,
    REJECTED,
    REPORTS,
    appraise_sample,
    endorsements,
    parse_seconds,
    read_sample,
)

STRICT = Requirements(measurements=frozenset({"00" * 32}))


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_quotes(name: str) -> None:
    """A genuine quote gives what is recorded of its code, its platform and its report data."""
    entry, genuine = QUOTES[name], appraise_sample(name)
    report, platform = genuine.report, genuine.platform
    assert isinstance(platform, IntelPlatform)
    assert platform.tcb_status == entry["expect"]["tcb_status"]
    assert list(platform.advisories) == entry["expect"]["advisory_ids"]
    collateral = INDEX["collateral"][entry["collateral"]]
    assert platform.tcb_evaluation == collateral["tcb_evaluation_data_number"]
    assert platform.collateral_expires_s == parse_seconds(collateral["valid_to"])
    assert report.report_data.hex() == entry["report_data"]
    if entry["tee"] == "SGX":
        assert isinstance(report, SgxReport)
        recorded = tuple(
            entry[key] for key in ("mr_enclave", "mr_signer", "isv_prod_id", "isv_svn")
        )
        assert (report.measurement, report.signer, report.product_id, report.svn) == recorded
        assert report.attributes.to_bytes(8, "little") + report.xfrm.to_bytes(
            8, "little"
        ) == bytes.fromhex(entry["attributes"])
        assert list(check_sgx(report)) == []
    else:
        assert isinstance(report, TdxReport)
        assert report.measurement == entry["mr_td"]
        for number in range(4):
            assert report.registers[f"rtmr{number}"] == entry[f"rt_mr{number}"]
        assert report.registers["mr_config_id"] == entry["mr_config_id"]
        assert report.attributes.to_bytes(8, "little").hex() == entry["td_attributes"]
        accepted = TdxRequirements(
            registers={each: frozenset({report.registers[each]}) for each in TDX_REGISTERS}
        )
        assert list(check_tdx(report, accepted)) == []


@pytest.mark.parametrize("name", GENUINE)
def test_strict_policy(name: str) -> None:
    """A strict policy refuses each of them for what the recorded strict verdict names."""
    platform = appraise_sample(name).platform
    assert isinstance(platform, IntelPlatform)
    codes = {each.code for each in check_intel(platform, STRICT, 1000 * QUOTES[name]["verify_at"])}
    verdict = QUOTES[name]["expect"]["strict_policy"]
    assert ("tcb_status" in codes) == (f"TCB status {platform.tcb_status}" in verdict)
    assert codes
    if platform.tcb_status is TcbStatus.UP_TO_DATE:
        assert codes == {"platform_flags"}
        assert "Dynamic platform" in verdict


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_quotes(name: str) -> None:
    """A quote that was recorded as rejected is rejected for the recorded reason."""
    quote = read_sample(name)
    if name == "tdx-v4-nomatchingtcb.quote":
        # This one carries a note of its makers behind its end, which we refuse before all else.
        with pytest.raises(EvidenceError, match="other than zero follow it"):
            appraise_sample(name)
        quote = quote[: quote.index(b"\nextra bytes")]
    with pytest.raises(EvidenceError) as caught:
        appraise_sample(name, quote=quote)
    recorded: str = QUOTES[name]["expect"]["error"]
    assert str(caught.value) == "quote: " + recorded.removeprefix("Verification failed: ")


@pytest.mark.parametrize("name", GENUINE)
def test_window(name: str) -> None:
    """A genuine quote is refused one second outside of its collateral's validity."""
    window = INDEX["collateral"][QUOTES[name]["collateral"]]
    first_s, last_s = parse_seconds(window["valid_from"]), parse_seconds(window["valid_to"])
    for inside_s in (first_s, last_s - 1):
        appraise_sample(name, at_s=inside_s)
    for outside_s in (first_s - 1, last_s + 1):
        with pytest.raises(EvidenceError):
            appraise_sample(name, at_s=outside_s)


def test_padding() -> None:
    """Zeros behind a quote, as some clouds pad it, change neither verdict nor identity."""
    name = "tdx-v4-uptodate.quote"
    quote = read_sample(name).rstrip(b"\0")
    assert appraise_sample(name, quote=quote.ljust(8000, b"\0")) == appraise_sample(name)


@pytest.mark.parametrize("name", GENUINE)
def test_flipped_bits(name: str) -> None:
    """No flipped bit in the signed part of a genuine quote is accepted."""
    quote = read_sample(name)
    for at in range(0, 48 + 384, 23):
        changed = bytearray(quote)
        changed[at] ^= 1
        with pytest.raises(EvidenceError):
            appraise_sample(name, quote=bytes(changed))


@pytest.mark.parametrize("name", REPORTS)
def test_snp_reports(name: str) -> None:
    """A report of real hardware verifies under AMD's root and gives what is recorded of it."""
    entry = REPORTS[name]
    at_s = parse_seconds(entry["leaf_valid"][0]) + 1
    genuine = verify_amd_report(read_sample(name), endorsements(name).to_bytes(), None, at_s)
    report, platform = genuine.report, genuine.platform
    assert isinstance(report, SnpReport)
    assert isinstance(platform, AmdPlatform)
    assert (report.version, report.product) == (entry["version"], "Milan")
    assert (report.guest_policy, report.vmpl) == (int(entry["policy"], 16), entry["vmpl"])
    assert (report.measurement, report.svn) == (entry["measurement"], entry["guest_svn"])
    assert (report.host_data, report.chip_id) == (entry["host_data"], entry["chip_id"])
    assert (report.signer, report.author_key) == (
        entry["id_key_digest"],
        entry["author_key_digest"],
    )
    assert report.report_data.hex() == entry["report_data"]
    reported = bytes.fromhex(entry["reported_tcb"])
    assert report.reported_tcb["microcode"] == reported[0 if reported[7] < reported[0] else 7]
    assert not platform.revocations_checked
    assert platform.collateral_expires_s == parse_seconds(entry["leaf_valid"][1])


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("snp-milan.report", []),
        ("snp-milan-debug.report", ["guest_policy"]),
        ("snp-milan-vlek.report", ["vmpl", "reported_tcb"]),
    ],
)
def test_snp_policy(name: str, codes: list[str]) -> None:
    """The debug guest and the guest at another privilege level are refused, and only they."""
    at_s = parse_seconds(REPORTS[name]["leaf_valid"][0]) + 1
    report = verify_amd_report(read_sample(name), endorsements(name).to_bytes(), None, at_s).report
    assert isinstance(report, SnpReport)
    wanted = SnpRequirements(
        min_tcb={"Milan": {"bootloader": 2, "tee": 0, "snp": 5, "microcode": 0x44}}
    )
    found = check_snp(report, wanted, set(PlatformFlag))
    assert [each.code for each in found] == codes


@pytest.mark.parametrize("name", REPORTS)
def test_snp_dates(name: str) -> None:
    """A report is refused one second outside of its certificate's validity."""
    first_s, last_s = map(parse_seconds, REPORTS[name]["leaf_valid"])
    for outside_s in (first_s - 1, last_s + 1):
        with pytest.raises(EvidenceError, match="certificate"):
            verify_amd_report(read_sample(name), endorsements(name).to_bytes(), None, outside_s)


def test_snp_chains_of_others() -> None:
    """A report is refused under the certificate of another chip, and of another kind of key."""
    at_s = parse_seconds("2025-01-01T00:00:00+00:00")
    for name in REPORTS:
        for other in REPORTS.keys() - {name}:
            with pytest.raises(EvidenceError):
                verify_amd_report(read_sample(name), endorsements(other).to_bytes(), None, at_s)


@pytest.mark.parametrize("name", REPORTS)
def test_snp_flipped_bits(name: str) -> None:
    """No flipped bit in the signed part, nor in the signature, is accepted."""
    report, collateral = read_sample(name), endorsements(name).to_bytes()
    at_s = parse_seconds(REPORTS[name]["leaf_valid"][0]) + 1
    for at in range(0, 0x2A0 + 144, 13):
        changed = bytearray(report)
        changed[at] ^= 1
        with pytest.raises(EvidenceError):
            verify_amd_report(bytes(changed), collateral, None, at_s)
