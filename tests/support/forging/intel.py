"""A platform of Intel's kind with its collateral and quotes; every part can be replaced alone."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.support.attestation.quote_bodies import sgx_body
from tests.support.forging.certificates import (
    DAY_S,
    NOW_S,
    ForgedCertificate,
    ForgedList,
    moment,
    raw_point,
    raw_signature,
)
from tests.support.forging.pck_extension import FMSPC, SGX_OID, pck_extension

if TYPE_CHECKING:
    from collections.abc import Mapping

QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
QE_SIGNER = b"\x5e" * 32
Json = dict[str, Any]


def intel_time(unix_s: int) -> str:
    """A time as Intel writes it."""
    return moment(unix_s).strftime("%Y-%m-%dT%H:%M:%SZ")


def _certificates() -> dict[str, ForgedCertificate]:
    made = {"root": ("root", "root"), "middle": ("root", "root"), "tcb": ("root", "root")}
    made["pck"] = ("middle", "middle")
    serials = {"root": 101, "middle": 102, "pck": 103, "tcb": 104}
    extra = {"pck": ((SGX_OID, pck_extension(), False),)}
    return {
        name: ForgedCertificate(
            subject=name,
            issuer=issuer,
            key=name,
            signer=signer,
            serial=serials[name],
            ca=name in ("root", "middle"),
            extra=extra.get(name, ()),
        )
        for name, (issuer, signer) in made.items()
    }


def _lists() -> dict[str, ForgedList]:
    issued_s, end_s = NOW_S - DAY_S, NOW_S + 29 * DAY_S
    return {
        name: ForgedList(issuer=name, signer=name, issued_s=issued_s, end_s=end_s)
        for name in ("root", "middle")
    }


def _tcb_info(*, tdx: bool) -> Json:
    tcb: Json = {"sgxtcbcomponents": [{"svn": 5}] * 16, "pcesvn": 13}
    extra: Json = {}
    if tdx:
        tcb["tdxtcbcomponents"] = [{"svn": 5}, *([{"svn": 0}] * 15)]
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        level = {"tcb": {"isvsvn": 5}, "tcbDate": intel_time(NOW_S), "tcbStatus": "UpToDate"}
        extra = {
            "tdxModule": module,
            "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": [level]}],
        }
    return {
        "id": "TDX" if tdx else "SGX",
        "version": 3,
        "issueDate": intel_time(NOW_S - DAY_S),
        "nextUpdate": intel_time(NOW_S + 29 * DAY_S),
        "fmspc": FMSPC,
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 20,
        **extra,
        "tcbLevels": [tcb_level(tcb)],
    }


def tcb_level(tcb: Json, status: str = "UpToDate", advisories: tuple[str, ...] = ()) -> Json:
    """One level of TCB info or QE identity."""
    return {
        "tcb": tcb,
        "tcbDate": intel_time(NOW_S - DAY_S),
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


def _qe_identity(*, tdx: bool) -> Json:
    return {
        "id": "TD_QE" if tdx else "QE",
        "version": 2,
        "issueDate": intel_time(NOW_S - DAY_S),
        "nextUpdate": intel_time(NOW_S + 29 * DAY_S),
        "tcbEvaluationDataNumber": 20,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2 if tdx else 1,
        "tcbLevels": [tcb_level({"isvsvn": 8})],
    }


@dataclass(frozen=True, kw_only=True)
class SignatureData:
    """What follows a quote's body, part by part; a `None` is the right value."""

    signer: str = "attestation"
    attestation_key: str = "attestation"
    qe: Mapping[str, Any] = field(default_factory=dict)
    qe_data: bytes | None = None
    qe_signer: str = "pck"
    auth: bytes = b"\xaa" * 32
    auth_length: int | None = None
    certification: int = 5
    chain: tuple[str, ...] | str = ("pck", "middle", "root")
    chain_length: int | None = None
    inner_tail: bytes = b""
    outer: int = 6
    outer_length: int | None = None
    tail: bytes = b""
    length: int | None = None


@dataclass(frozen=True, kw_only=True)
class IntelForge:
    """One platform, its collateral and its quotes."""

    tdx: bool = False
    certificates: Mapping[str, ForgedCertificate] = field(default_factory=_certificates)
    lists: Mapping[str, ForgedList] = field(default_factory=_lists)
    info: Json = field(default_factory=lambda: _tcb_info(tdx=False))
    identity: Json = field(default_factory=lambda: _qe_identity(tdx=False))
    signers: Mapping[str, str] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    data: SignatureData = field(default_factory=SignatureData)

    @classmethod
    def of_tdx(cls) -> IntelForge:
        """A platform with TDX."""
        return cls(tdx=True, info=_tcb_info(tdx=True), identity=_qe_identity(tdx=True))

    def certificate(self, name: str, *, of: str = "", **changes: Any) -> IntelForge:
        """Replace a certificate; `of` names one to begin with, for a new name."""
        changed = replace(self.certificates[of or name], **changes)
        return replace(self, certificates={**self.certificates, name: changed})

    def crl(self, name: str, **changes: Any) -> IntelForge:
        """Replace the root's or the intermediate's list."""
        return replace(self, lists={**self.lists, name: replace(self.lists[name], **changes)})

    def tcb_info(self, **changes: Any) -> IntelForge:
        """Change keys of TCB info; it is signed afterwards. None takes a key away."""
        return replace(self, info=_changed(self.info, changes))

    def qe_identity(self, **changes: Any) -> IntelForge:
        """Change keys of QE identity; it is signed afterwards. None takes a key away."""
        return replace(self, identity=_changed(self.identity, changes))

    def signed_by(self, **signers: str) -> IntelForge:
        """Sign `tcb_info` or `qe_identity` with another key."""
        return replace(self, signers={**self.signers, **signers})

    def chain(self, **chains: tuple[str, ...]) -> IntelForge:
        """Put other certificates into a chain of the collateral."""
        return replace(self, chains={**self.chains, **chains})

    def collateral_with(self, **parts: Any) -> IntelForge:
        """Replace whole strings of the collateral. None takes one away."""
        return replace(self, parts={**self.parts, **parts})

    def head(self, **fields: Any) -> IntelForge:
        """Change fields of the quote's header."""
        return replace(self, header={**self.header, **fields})

    def quoting(self, **changes: Any) -> IntelForge:
        """Change what follows the quote's body."""
        return replace(self, data=replace(self.data, **changes))

    @property
    def root_der(self) -> bytes:
        """The root that a verifier is told to trust."""
        return self.certificates["root"].der()

    def pem(self, names: tuple[str, ...]) -> str:
        """Certificates in PEM, one after the other."""
        return "".join(self.certificates[name].pem() for name in names)

    def collateral_object(self) -> Json:
        """The nine strings."""
        info, identity = (
            json.dumps(each, separators=(",", ":")) for each in (self.info, self.identity)
        )
        signers = {"tcb_info": "tcb", "qe_identity": "tcb", **self.signers}
        chains = {
            "pck_crl": ("middle", "root"),
            "tcb_info": ("tcb", "root"),
            "qe_identity": ("tcb", "root"),
            **self.chains,
        }
        value = {
            "pck_crl_issuer_chain": self.pem(chains["pck_crl"]),
            "root_ca_crl": self.lists["root"].der().hex(),
            "pck_crl": self.lists["middle"].der().hex(),
            "tcb_info_issuer_chain": self.pem(chains["tcb_info"]),
            "tcb_info": info,
            "tcb_info_signature": raw_signature(signers["tcb_info"], info.encode()).hex(),
            "qe_identity_issuer_chain": self.pem(chains["qe_identity"]),
            "qe_identity": identity,
            "qe_identity_signature": raw_signature(signers["qe_identity"], identity.encode()).hex(),
        }
        return _changed(value, self.parts)

    def collateral(self) -> bytes:
        """The nine strings as JSON."""
        return json.dumps(self.collateral_object(), separators=(",", ":")).encode()

    def quote(self, body: bytes) -> bytes:
        """Sign a body: of 384 bytes for SGX, else of TDX."""
        sgx = len(body) == len(sgx_body())
        fields: Json = {
            "version": 3 if sgx else 4 if len(body) == 584 else 5,
            "key_type": 2,
            "tee_type": 0 if sgx else 0x81,
            "vendor": QE_VENDOR,
            "body_type": {384: 1, 584: 2, 648: 3}[len(body)],
            "body_length": len(body),
            **self.header,
        }
        head = struct.pack(
            "<HHIHH16s20s",
            fields["version"],
            fields["key_type"],
            fields["tee_type"],
            8,
            13,
            fields["vendor"],
            bytes(20),
        )
        if fields["version"] == 5:
            head += struct.pack("<HI", fields["body_type"], fields["body_length"])
        return head + body + self._signature(head + body, tdx=not sgx)

    def _signature(self, signed: bytes, *, tdx: bool) -> bytes:
        data = self.data
        point = raw_point(data.attestation_key)
        binding = hashlib.sha256(point + data.auth).digest() + bytes(32)
        qe = {"signer": QE_SIGNER, "product_id": 2 if tdx else 1, "svn": 8, "attributes": 0x11}
        report = sgx_body(
            binding if data.qe_data is None else data.qe_data, **{"xfrm": 3, **qe, **data.qe}
        )
        chain = (data.chain if isinstance(data.chain, str) else self.pem(data.chain)).encode()
        certified = b"".join(
            (
                report,
                raw_signature(data.qe_signer, report),
                struct.pack("<H", _given(data.auth_length, len(data.auth))),
                data.auth,
                struct.pack("<HI", data.certification, _given(data.chain_length, len(chain))),
                chain,
                data.inner_tail,
            )
        )
        if tdx:
            length = _given(data.outer_length, len(certified))
            certified = struct.pack("<HI", data.outer, length) + certified
        whole = raw_signature(data.signer, signed) + point + certified + data.tail
        return struct.pack("<I", _given(data.length, len(whole))) + whole


def _given(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _changed(value: Json, changes: Mapping[str, Any]) -> Json:
    """Merge changes; None takes a key away, and a function makes the new value of the old."""
    merged = dict(value)
    for name, change in changes.items():
        merged[name] = change(merged[name]) if callable(change) else change
    return {name: each for name, each in merged.items() if each is not None}
