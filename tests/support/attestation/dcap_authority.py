"""SGX and TDX quotes with collateral under a test root of Intel, right or wrong in any part.

The simulated platform in `src` makes flawless SGX quotes; here tests change each part.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealflow.attest.simulated.platform import raw_signature
from tests.support.attestation.dcap_certificates import (
    DAY_S,
    ISSUED,
    NOW_S,
    SERIALS,
    certificate,
    key,
    moment,
    name_of,
)
from tests.support.attestation.quote_bodies import QE_SIGNER, sgx_body, tdx_body

QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")


@dataclass(frozen=True, kw_only=True)
class DcapAuthority:
    """One platform with its collateral at the time `at_s`; tests change any field."""

    tee: str = "SGX"
    at_s: int = NOW_S
    tcb_status: str = "UpToDate"
    qe_status: str = "UpToDate"
    older_status: str = ""
    advisories: tuple[str, ...] = ()
    qe_advisories: tuple[str, ...] = ()
    evaluation: int = 20
    qe_evaluation: int = 20
    tcb_age_s: int = DAY_S
    qe_age_s: int = DAY_S
    crl_age_s: int = DAY_S
    life_s: int = 30 * DAY_S
    revoked: frozenset[str] = frozenset()
    fmspc: str = "5e0000000000"
    info_id: str = ""
    flags: tuple[str, ...] = ()
    qe_attributes: int = 0x11
    certification: int = 5
    root: str = "root"
    chain: tuple[str, ...] = ("pck", "middle", "root")
    changes: dict[str, Any] = field(default_factory=dict)

    def replace(self, **changes: Any) -> DcapAuthority:
        """Return the same platform with other fields."""
        return replace(self, **changes)

    @property
    def root_der(self) -> bytes:
        """The root that a verifier must be told to trust."""
        return self._certificate("root").public_bytes(Encoding.DER)

    def collateral(self) -> bytes:
        """What the library takes, as JSON."""
        info, identity = json.dumps(self._tcb_info()), json.dumps(self._qe_identity())
        value = {
            "pck_crl_issuer_chain": self._pem("middle", "root"),
            "root_ca_crl": self._crl("root").hex(),
            "pck_crl": self._crl("middle").hex(),
            "tcb_info_issuer_chain": self._pem("tcb", "root"),
            "tcb_info": info,
            "tcb_info_signature": raw_signature(key("tcb"), info.encode()).hex(),
            "qe_identity_issuer_chain": self._pem("tcb", "root"),
            "qe_identity": identity,
            "qe_identity_signature": raw_signature(key("tcb"), identity.encode()).hex(),
            **self.changes,
        }
        return json.dumps(value).encode()

    def quote(self, body: bytes, *, version: int | None = None, algorithm: int = 2) -> bytes:
        """Sign a quote: of SGX for bodies of 384 bytes, else of TDX."""
        tdx = len(body) != len(sgx_body())
        number = version or (3 if not tdx else 4 if len(body) == len(tdx_body()) else 5)
        header = struct.pack(
            "<HHIHH16s20s", number, algorithm, 0x81 if tdx else 0, 8, 13, QE_VENDOR, bytes(20)
        )
        kind = {384: 1, 584: 2, 648: 3}.get(len(body), 4)
        middle = struct.pack("<HI", kind, len(body)) if number == 5 else b""
        signed = header + middle + body
        point = key("attestation").public_key()
        raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        auth = b"\xaa" * 32
        binding = hashlib.sha256(raw + auth).digest() + bytes(32)
        report = sgx_body(
            binding,
            signer=QE_SIGNER,
            product_id=2 if tdx else 1,
            svn=8,
            attributes=self.qe_attributes,
            xfrm=0x03,
        )
        chain = self._pem(*self.chain).encode()
        certified = (
            report
            + raw_signature(key("pck"), report)
            + struct.pack("<H", len(auth))
            + auth
            + struct.pack("<HI", self.certification, len(chain))
            + chain
        )
        if tdx:
            certified = struct.pack("<HI", 6, len(certified)) + certified
        signature = raw_signature(key("attestation"), signed) + raw + certified
        return signed + struct.pack("<I", len(signature)) + signature

    def _certificate(self, name: str) -> x509.Certificate:
        if name == "stranger":
            # Another root under the root's name.
            return certificate("root", name, self.at_s, self.flags)
        return certificate(name, self.root, self.at_s, self.flags)

    def _pem(self, *names: str) -> str:
        return "".join(
            self._certificate(name).public_bytes(Encoding.PEM).decode() for name in names
        )

    def _crl(self, issuer: str) -> bytes:
        # As Intel's: the root's list is of the year, the other of the month.
        age_s, life_s = self.crl_age_s, self.life_s
        if issuer == "root":
            age_s, life_s = 100 * DAY_S, 365 * DAY_S
        issued = moment(self.at_s - age_s)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name_of(issuer))
            .last_update(issued)
            .next_update(issued + timedelta(seconds=life_s))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key()),
                critical=False,
            )
        )
        for name in self.revoked & ISSUED[issuer]:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(SERIALS[name])
                .revocation_date(issued)
                .build()
            )
        return builder.sign(key(issuer), SHA256()).public_bytes(Encoding.DER)

    def _tcb_info(self) -> dict[str, Any]:
        components = [{"svn": 5}] * 16
        tcb: dict[str, Any] = {"sgxtcbcomponents": components, "pcesvn": 13}
        zeros, ones = "00" * 48, "FF" * 8
        extra: dict[str, Any] = {}
        if self.tee == "TDX":
            tcb["tdxtcbcomponents"] = [{"svn": 5}, {"svn": 0}, *([{"svn": 0}] * 14)]
            module = {"mrsigner": zeros, "attributes": "00" * 8, "attributesMask": ones}
            modules = [
                {"tcb": {"isvsvn": svn}, "tcbDate": self._time(0), "tcbStatus": status}
                for svn, status in ((5, "UpToDate"), (4, self.older_status))
                if status
            ]
            extra = {
                "tdxModule": module,
                "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": modules}],
            }
        levels = [self._level(tcb, self.tcb_status)]
        if self.older_status:
            older = {**tcb, "tdxtcbcomponents": [{"svn": 4}, *([{"svn": 0}] * 15)]}
            levels.append(self._level(older, self.older_status))
        return {
            "id": self.info_id or self.tee,
            "version": 3,
            "issueDate": self._time(-self.tcb_age_s),
            "nextUpdate": self._time(self.life_s - self.tcb_age_s),
            "fmspc": self.fmspc,
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": self.evaluation,
            **extra,
            "tcbLevels": levels,
        }

    def _level(self, tcb: dict[str, Any], status: str) -> dict[str, Any]:
        return {
            "tcb": tcb,
            "tcbDate": self._time(-self.tcb_age_s),
            "tcbStatus": status,
            "advisoryIDs": list(self.advisories),
        }

    def _qe_identity(self) -> dict[str, Any]:
        level = {
            "tcb": {"isvsvn": 8},
            "tcbDate": self._time(-self.qe_age_s),
            "tcbStatus": self.qe_status,
            "advisoryIDs": list(self.qe_advisories),
        }
        return {
            "id": "TD_QE" if self.tee == "TDX" else "QE",
            "version": 2,
            "issueDate": self._time(-self.qe_age_s),
            "nextUpdate": self._time(self.life_s - self.qe_age_s),
            "tcbEvaluationDataNumber": self.qe_evaluation,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": QE_SIGNER.hex().upper(),
            "isvprodid": 2 if self.tee == "TDX" else 1,
            "tcbLevels": [level],
        }

    def _time(self, offset_s: int) -> str:
        return moment(self.at_s + offset_s).strftime("%Y-%m-%dT%H:%M:%SZ")
