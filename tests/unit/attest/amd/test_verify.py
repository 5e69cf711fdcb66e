"""SEV-SNP reports and certificates of every kind of fault, under a test root of AMD."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sealflow.attest.amd.endorsements import Endorsements
from sealflow.attest.amd.verify import verify_amd_report
from sealflow.attest.reports import AmdPlatform, SnpReport
from sealflow.errors import EvidenceError
from tests.support.attestation.snp_authority import AMD, CHIP, DAY, TCB, SnpAuthority, snp_authority

DATA = Path(__file__).parents[3] / "data" / "attestation"
NOW_S = 1_790_000_000
ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)


def judge(
    amd: SnpAuthority,
    report: bytes | None = None,
    endorsements: Endorsements | None = None,
    *,
    at_s: int = NOW_S,
    root: bytes | None = None,
) -> tuple[SnpReport, AmdPlatform]:
    """Verify a report under an authority's own root."""
    genuine = verify_amd_report(
        amd.report() if report is None else report,
        (endorsements or amd.endorsements()).to_bytes(),
        root or amd.root(),
        at_s,
    )
    assert isinstance(genuine.report, SnpReport)
    assert isinstance(genuine.platform, AmdPlatform)
    return genuine.report, genuine.platform


def refused(amd: SnpAuthority, *args: Any, **kwargs: Any) -> str:
    """Verify what must be refused and give the error's text."""
    with pytest.raises(EvidenceError) as caught:
        judge(amd, *args, **kwargs)
    return str(caught.value)


def authority(**changes: object) -> SnpAuthority:
    """An authority that issued everything an hour ago."""
    return snp_authority(NOW_S, **changes)


def test_fields() -> None:
    """All fields that policies judge are read from where they lie."""
    amd = authority()
    report, platform = judge(
        amd,
        amd.report(
            b"\x77" * 64,
            vmpl=2,
            svn=9,
            host_data=b"\x01" * 32,
            id_key=b"\x02" * 48,
            committed=bytes([2, 1, 0, 0, 0, 0, 7, 199]),
        ),
    )
    assert (report.measurement, report.signer) == ("11" * 48, "02" * 48)
    assert (report.svn, report.vmpl, report.guest_policy) == (9, 2, 0x30000)
    assert (report.host_data, report.chip_id) == ("01" * 32, CHIP.hex())
    assert (report.product, report.leaf, report.version) == ("Milan", "vcek", 3)
    assert report.reported_tcb == TCB
    assert report.committed_tcb == {"bootloader": 2, "tee": 1, "snp": 7, "microcode": 199}
    assert report.report_data == b"\x77" * 64
    assert platform.revocations_checked
    assert platform.collateral_issued_s == NOW_S - 3600
    assert platform.collateral_expires_s == NOW_S - 3600 + 30 * 86_400


def test_turin() -> None:
    """Turin orders the parts of its TCB in another way, and has ids of 8 bytes."""
    tcb = (("fmc", 1), *TCB.items())
    amd = authority(product="Turin-B0", tcb=tcb, chip=CHIP[:8], wrap_chip=True)
    report, _ = judge(amd)
    assert report.reported_tcb == dict(tcb)
    assert report.chip_id == CHIP[:8].hex() + "00" * 56


def test_vlek() -> None:
    """A cloud's key signs for chips whose ids it hides."""
    amd = authority(vlek=True)
    report, _ = judge(amd, amd.report(chip=bytes(64), mask_chip=True))
    assert (report.leaf, report.chip_id) == ("vlek", "")


def test_no_revocations() -> None:
    """Without a revocation list the claims say so, and only certificates bound their time."""
    amd = authority()
    _, platform = judge(amd, endorsements=amd.endorsements(crl=b""))
    assert not platform.revocations_checked
    assert platform.collateral_issued_s == NOW_S
    assert platform.collateral_expires_s == NOW_S - 3600 + 700 * 86_400


@pytest.mark.parametrize("version", [0, 1, 6, 2**32 - 1])
def test_versions(version: int) -> None:
    """Reports of versions that nobody knows are refused."""
    amd = authority()
    assert "version" in refused(amd, amd.report(version=version))


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_known_versions(version: int) -> None:
    """Reports of versions 2 to 5 are accepted."""
    amd = authority()
    assert judge(amd, amd.report(version=version))[0].version == version


def test_malformed_reports() -> None:
    """Another size, algorithm, signing key, or bytes behind the signature are refused."""
    amd = authority()
    report = amd.report()
    assert "1184" in refused(amd, report[:-1])
    assert "1184" in refused(amd, report + b"\0")
    assert "1184" in refused(amd, b"")
    assert "P-384" in refused(amd, amd.report(algorithm=2))
    assert "VCEK or VLEK" in refused(amd, amd.report(signing_key=7))
    assert "bytes other than zero follow" in refused(amd, report[:-1] + b"\1")


def test_signature() -> None:
    """Forged, zero and oversized signatures are refused; the twin of a signature is the same."""
    amd = authority()
    report = amd.report()
    assert "not signed by the leaf" in refused(amd, report[:0x2A0] + bytes(512))
    for at in (0x2A0, 0x2A0 + 72):
        large = report[:at] + b"\xff" * 72 + report[at + 72 :]
        assert "not signed by the leaf's key" in refused(amd, large)
    s = int.from_bytes(report[0x2A0 + 72 : 0x2A0 + 144], "little")
    twin = report[: 0x2A0 + 72] + (ORDER - s).to_bytes(72, "little") + bytes(368)
    digests = {
        verify_amd_report(each, amd.endorsements().to_bytes(), amd.root(), NOW_S).report_digest
        for each in (report, twin)
    }
    assert digests == {hashlib.sha256(report[:0x2A0]).hexdigest()}
    der = amd.leaf_key.sign(report[:0x2A0], ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(der)
    other = report[:0x2A0] + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368)
    assert "not signed by the leaf" in refused(amd, other)


def test_binding() -> None:
    """The certificate must be of this chip, this kind of key and this TCB."""
    amd = authority()
    assert "another chip" in refused(amd, amd.report(chip=bytes(64)))
    assert "hides its chip id" in refused(amd, amd.report(mask_chip=True))
    assert "another TCB" in refused(amd, amd.report(reported=bytes([3, 1, 0, 0, 0, 0, 8, 201])))
    assert "names a vlek" in refused(amd, amd.report(signing_key=1))
    cloud = authority(vlek=True)
    assert "names a vcek" in refused(cloud, cloud.report(signing_key=0))
    short = authority(tcb=tuple({**TCB, "snp": 8}.items())[:2])
    assert "another TCB" in refused(short, short.report(reported=bytes([3, 1, 0, 0, 0, 0, 8, 0])))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"leaf_signer": "stranger"}, "not signed by its issuer"),
        ({"leaf_hash": SHA256}, "RSA-PSS and SHA-384"),
        ({"middle_ca": False}, "not a certificate authority"),
        ({"middle_ca": None}, "no basic constraints"),
        ({"leaf_curve": ec.SECP256R1()}, "not on P-384"),
        ({"leaf_life": timedelta(minutes=30)}, "has expired"),
        ({"product": "Naples-B0"}, "root"),
        ({"chip": bytes(63)}, "another type or length"),
        ({"chip": bytes(63), "wrap_chip": True}, "neither 64 nor 8 bytes"),
        ({"drop": f"{AMD}.2"}, "neither a VCEK nor a VLEK"),
        ({"drop": f"{AMD}.4"}, "neither a VCEK nor a VLEK"),
    ],
)
def test_certificates(changes: dict[str, object], why: str) -> None:
    """A chain with any fault is refused, with the reason."""
    amd = authority(**changes)
    good = authority()
    assert why in refused(amd, good.report())


def test_dates() -> None:
    """Certificates count from their first to their last second."""
    amd = authority(leaf_life=DAY)
    first_s = NOW_S - 3600
    judge(amd, at_s=first_s)
    judge(amd, at_s=first_s + 86_400)
    assert "not valid yet" in refused(amd, at_s=first_s - 1)
    assert "has expired" in refused(amd, at_s=first_s + 86_401)


def test_roots() -> None:
    """A self-made root is refused where AMD's are asked for, and a wrong one in a simulation."""
    amd = authority()
    with pytest.raises(EvidenceError, match="root"):
        verify_amd_report(amd.report(), amd.endorsements().to_bytes(), None, NOW_S)
    assert "root" in refused(amd, root=snp_authority(NOW_S + 7).root())


def test_products() -> None:
    """A leaf of another processor line than its root is refused."""
    chain = (DATA / "snp-milan-ask-ark.pem").read_bytes()
    milan = x509.load_pem_x509_certificates(chain)[1].public_bytes(Encoding.DER)
    genoa = authority(product="Genoa-B1")
    mixed = replace(genoa.endorsements(), root=milan)
    with pytest.raises(EvidenceError, match="another product"):
        verify_amd_report(genoa.report(), mixed.to_bytes(), None, NOW_S)


def test_revocations() -> None:
    """The list must be the root's, in date, and not name the intermediate."""
    amd = authority()

    def with_list(crl: bytes) -> Endorsements:
        return amd.endorsements(crl=crl)

    judge(amd, endorsements=with_list(amd.crl(5, 33)))
    revoked = with_list(amd.crl(amd.middle_serial()))
    assert "AMD revoked" in refused(amd, endorsements=revoked)
    for broken in (amd.crl(signer="stranger"), amd.crl(issuer="SEV")):
        assert "not signed by the root" in refused(amd, endorsements=with_list(broken))
    assert "not a revocation list" in refused(amd, endorsements=with_list(b"0"))
    end_s = NOW_S - 3600 + 86_400
    day = with_list(amd.crl(days=1))
    judge(amd, endorsements=day, at_s=end_s - 1)
    assert "list has expired" in refused(amd, endorsements=day, at_s=end_s)
    later = with_list(snp_authority(NOW_S + 7200).crl())
    assert "is in the future" in refused(amd, endorsements=later)


@pytest.mark.parametrize(
    "collateral",
    [
        b"",
        b"{}",
        b'{"leaf":"","intermediate":"","root":"","crl":""}',
        b'{"leaf":5,"intermediate":"","root":"","crl":""}',
        b'{"leaf":"","leaf":"","intermediate":"","root":"","crl":""}',
    ],
)
def test_broken_endorsements(collateral: bytes) -> None:
    """What is no set of certificates is refused."""
    amd = authority()
    with pytest.raises(EvidenceError):
        verify_amd_report(amd.report(), collateral, amd.root(), NOW_S)


def test_round_trip() -> None:
    """Endorsements are read as they were written."""
    endorsements = authority().endorsements()
    assert Endorsements.from_bytes(endorsements.to_bytes()) == endorsements
