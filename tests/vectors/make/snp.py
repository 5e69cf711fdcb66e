"""Writes evidence/snp.json: reports of SEV-SNP and AMD's endorsements, one fault each."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support.forging.amd import (
    AMD,
    CHIP,
    MILAN,
    TURIN,
    AmdForge,
    leaf_extensions,
)
from tests.support.forging.certificates import DAY_S, NOW_S
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SNP_REQUIREMENTS,
    evidence_of,
    policy,
)
from tests.vectors.make.files import VectorFile
from tests.vectors.make.snp_policy import policy_cases

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = AmdForge()
ROOT = GOOD.root_der
POLICY = policy(ROOT, SNP_REQUIREMENTS)
CLOUD = GOOD.leaf(cloud=True)
SIGNED = 0x2A0


def report_cases(file: VectorFile) -> None:
    """The report's own form and its signature."""
    rule = "attestation 3.5"
    for version in (2, 3, 4, 5):
        _case(file, f"version {version}", rule, "ok", "known", version=version)
    for version in (1, 6):
        _case(file, f"version {version}", rule, "quote", "unknown", version=version)
    _case(file, "algorithm", rule, "quote", "not ECDSA P-384", algorithm=2)
    for kind in (2, 7):
        _case(file, f"signing key {kind}", rule, "quote", "neither VCEK nor VLEK", signing_key=kind)

    def signature(
        name: str, change: Callable[[bytes], bytes], expect: str, description: str
    ) -> None:
        _case(file, name, rule, expect, description, signature=change)

    order_bits = SIGNED + 48
    signature("short", lambda all_: all_[:-1], "quote", "1,183 bytes: not a report")
    signature("long", lambda all_: all_ + b"\0", "quote", "1,185 bytes: not a report")
    signature("byte behind s", lambda all_: all_[:-1] + b"\1", "quote", "it is not zero")
    signature("r over 384 bits", partial(_put, order_bits, 1), "quote_signature", "a 49th byte")
    signature("s over 384 bits", partial(_put, order_bits + 72, 1), "quote_signature", "likewise")
    signature("r flipped", partial(_put, SIGNED, None), "quote_signature", "one bit")
    signature("s flipped", partial(_put, SIGNED + 72, None), "quote_signature", "one bit")
    signature("body flipped", partial(_put, 0x91, None), "quote_signature", "one bit")
    signature("reserved flipped", partial(_put, 0x29F, None), "quote_signature", "its last byte")
    signature("zero", lambda all_: all_[:SIGNED] + bytes(512), "quote_signature", "r and s are 0")


def certificate_cases(file: VectorFile) -> None:
    """Leaf, intermediate and root."""
    rule = "attestation 3.5"
    for name, words in (("leaf", "VCEK"), ("middle", "ASK")):
        for fault, changes, description in (
            ("signature", {"signer": "stranger"}, "is signed by another key"),
            ("issuer", {"issuer": "other"}, "names another issuer"),
            ("expired", {"end_s": NOW_S - 1}, "ended"),
            ("early", {"start_s": NOW_S + 1}, "begins later"),
            ("hash", {"algorithm": "sha256"}, "is signed with SHA-256"),
            ("padding", {"pkcs1": True}, "is signed with PKCS #1 v1.5"),
        ):
            _case(file, f"{name}: {fault}", rule, "certificate", f"the {words} {description}",
                  GOOD.certificate(name, **changes))  # fmt: skip
    _case(file, "middle: no CA", rule, "certificate", "the ASK may not issue",
          GOOD.certificate("middle", ca=False))  # fmt: skip
    _case(file, "middle: unconstrained", rule, "certificate", "the ASK has no basic constraints",
          GOOD.certificate("middle", ca=None))  # fmt: skip
    for fault, changes in (
        ("expired", {"end_s": NOW_S - 1}),
        ("early", {"start_s": NOW_S + 1}),
        ("no CA", {"ca": False}),
        ("not by itself", {"signer": "stranger"}),
        ("hash", {"algorithm": "sha256"}),
    ):
        forge = GOOD.certificate("root", **changes)
        _case(file, f"root: {fault}", rule, "certificate", "the ARK that the policy trusts", forge,
              trusted=forge.root_der)  # fmt: skip
    stranger = GOOD.certificate("root", key="stranger", signer="stranger")
    _case(file, "root: another key", rule, "root", "a root of that name that nobody trusts",
          stranger.certificate("middle", signer="stranger").listing(signer="stranger"))  # fmt: skip
    again = GOOD.certificate("root", serial=12)
    _case(file, "root: another certificate", rule, "root", "the same key in other bytes", again)
    _case(file, "leaf: P-256", rule, "certificate", "the chip's key is on another curve",
          GOOD.certificate("leaf", curve="p256"))  # fmt: skip
    for line in ("Rome-B0", "milan"):
        _case(file, f"product {line}", rule, "root", "no known product",
              GOOD.leaf(product=line))  # fmt: skip
    for line in ("Milan", "Milan-B0", "Genoa", "Genoa-B1"):
        _case(file, f"product {line}", rule, "ok", "with or without a stepping",
              GOOD.leaf(product=line))  # fmt: skip
    for oid, words in ((f"{AMD}.2", "product"), (f"{AMD}.4", "chip")):
        extra = tuple(each for each in leaf_extensions() if each[0] != oid)
        _case(file, f"leaf: no {words}", rule, "certificate", "an extension is missing",
              GOOD.certificate("leaf", extra=extra))  # fmt: skip
    both = (*leaf_extensions(), (f"{AMD}.5", b"\x16\x05cloud"))
    _case(file, "leaf: chip and cloud", rule, "certificate", "neither VCEK nor VLEK",
          GOOD.certificate("leaf", extra=both))  # fmt: skip
    _leaf_forms(file)
    short = tuple((o, v[:-1] if o == f"{AMD}.4" else v) for o, v in leaf_extensions())
    _case(file, "leaf: short chip", rule, "certificate", "63 bytes of a chip",
          GOOD.certificate("leaf", extra=short))  # fmt: skip


def _leaf_forms(file: VectorFile) -> None:
    """Extensions of the leaf in another type or length."""
    for name, oid, value in (
        ("product in UTF-8", f"{AMD}.2", b"\x0c\x08Milan-B0"),
        ("product's length", f"{AMD}.2", b"\x16\x09Milan-B0"),
        ("empty product", f"{AMD}.2", b"\x16\x00"),
        ("version as text", f"{AMD}.3.1", b"\x04\x01\x03"),
        ("version's length", f"{AMD}.3.1", b"\x02\x02\x03"),
        ("wrapped chip of 32 bytes", f"{AMD}.4", b"\x04\x20" + CHIP[:32]),
        ("wrapped chip as text", f"{AMD}.4", b"\x16\x40" + CHIP),
    ):
        extra = tuple((each, value if each == oid else old) for each, old in leaf_extensions())
        _case(file, f"leaf: {name}", "quotes 5.4", "certificate", "not the type or length of AMD's",
              GOOD.certificate("leaf", extra=extra))  # fmt: skip
    _case(file, "leaf: RSA", "quotes 5.3", "certificate", "the chip's key is none of a curve",
          GOOD.certificate("leaf", key="ASK"))  # fmt: skip


def binding_cases(file: VectorFile) -> None:
    """Whether the leaf is that of this report."""
    rule = "attestation 3.5"
    _case(file, "VLEK", rule, "ok", "a key of a cloud", CLOUD, signing_key=1)
    _case(file, "VLEK, hidden chip", rule, "ok", "no chip is bound", CLOUD, signing_key=1,
          hidden_chip=True, chip=bytes(64))  # fmt: skip
    _case(file, "VLEK for VCEK", rule, "binding", "the report names a VCEK", CLOUD)
    _case(file, "VCEK for VLEK", rule, "binding", "the report names a VLEK", signing_key=1)
    _case(file, "chip", rule, "binding", "another chip", chip=bytes([*CHIP[:63], 0]))
    _case(file, "hidden chip", rule, "binding", "a chip that hides its id", hidden_chip=True)
    wrapped = b"\x04\x40" + CHIP
    _case(file, "wrapped chip", rule, "ok", "in an OCTET STRING", GOOD.leaf(chip=wrapped))
    turin = {"product": "Turin", "chip": CHIP[:8]}
    new = {"tcb": TURIN, "cpu": (0x1A, 1)}
    _case(file, "Turin", rule, "ok", "a chip id of eight bytes, zeros behind",
          GOOD.leaf(TURIN, **turin), chip=CHIP[:8], **new)  # fmt: skip
    _case(file, "Turin: bytes behind", rule, "binding", "bytes behind the eight",
          GOOD.leaf(TURIN, **turin), chip=CHIP[:9], **new)  # fmt: skip
    for part in TURIN:
        other = {**TURIN, part: TURIN[part] + 1}
        _case(file, f"Turin leaf: {part}", rule, "binding", "a leaf of another version",
              GOOD.leaf(other, **turin), chip=CHIP[:8], **new)  # fmt: skip
    for part in MILAN:
        other = {**MILAN, part: MILAN[part] + 1}
        _case(file, f"leaf: {part}", rule, "binding", "a leaf of a newer version", GOOD.leaf(other))
        older = {**MILAN, part: MILAN[part] - 1}
        _case(file, f"leaf: older {part}", rule, "binding", "a leaf of an older version",
              GOOD.leaf(older))  # fmt: skip
        less = {name: each for name, each in MILAN.items() if name != part}
        _case(file, f"leaf: no {part}", rule, "binding", "a leaf that does not say it",
              GOOD.leaf(less))  # fmt: skip


def list_cases(file: VectorFile) -> None:
    """The revocation list."""
    rule = "attestation 3.6"
    for name, changes, expect, description in (
        ("signature", {"signer": "stranger"}, "revocations", "signed by another key"),
        ("by the ASK", {"signer": "ASK"}, "revocations", "signed by the intermediate"),
        ("issuer", {"issuer": "other"}, "revocations", "of another issuer"),
        ("expired", {"end_s": NOW_S - 1}, "revocations", "ended"),
        ("early", {"issued_s": NOW_S + 1}, "revocations", "of tomorrow"),
        ("revoked", {"revoked": (22,)}, "revoked", "it has the intermediate"),
        ("others revoked", {"revoked": (11, 33, 44)}, "ok", "it has others only"),
    ):
        _case(file, f"list: {name}", rule, expect, description, GOOD.listing(**changes))
    without = replace(GOOD, crl=None)
    _case(file, "list: none", "attestation 4.6", ["revocations"], "a list is needed", without)
    table = {**SNP_REQUIREMENTS["snp"], "insecure_no_revocations": True}
    _case(file, "list: none accepted", "attestation 4.6", "ok", "the policy does without", without,
          required={**SNP_REQUIREMENTS, "snp": table})  # fmt: skip
    _case(file, "list: not DER", rule, "revocations", "no list", GOOD.with_parts(crl=b"no list"))
    old = GOOD.listing(issued_s=NOW_S - 31 * DAY_S)
    _case(file, "list: age", "attestation 4.3", ["collateral_age"], "30 days at most", old)
    for name in ("leaf", "intermediate", "root"):
        _case(file, f"{name}: not DER", "attestation 6.2", "certificate", "no certificate",
              GOOD.with_parts(**{name: b"nothing"}))  # fmt: skip
    big = ("1.3.6.1.4.1.55555.1", bytes(16_384))
    for name, extra in (("leaf", (*leaf_extensions(), big)), ("middle", (big,)), ("root", (big,))):
        _case(file, f"{name}: over 16 KiB", "attestation 6.2", "collateral", "too long",
              GOOD.certificate(name, extra=extra))  # fmt: skip
    value = json.loads(GOOD.collateral())
    for name, changed in (
        *((f"no {part}", {k: v for k, v in value.items() if k != part}) for part in value),
        ("unknown key", {**value, "more": ""}),
        ("number", {**value, "crl": 7}),
        ("not base64", {**value, "crl": "%"}),
        ("unused bits", {**value, "crl": "AB=="}),
    ):
        _case(file, f"collateral: {name}", "attestation 6.2", "collateral", "not the four parts",
              raw=json.dumps(changed).encode())  # fmt: skip
    ends = GOOD.certificate("leaf", end_s=NOW_S + DAY_S)
    for name, forge in (("leaf", ends), ("list", GOOD.listing(end_s=NOW_S + DAY_S))):
        _case(file, f"valid until: {name}", "attestation 4.7", "ok", "as long as this", forge,
              valid_until_ms=1000 * (NOW_S + DAY_S))  # fmt: skip


def _put(at: int, value: int | None, whole: bytes) -> bytes:
    byte = whole[at] ^ 1 if value is None else value
    return whole[:at] + bytes([byte]) + whole[at + 1 :]


def _case(
    file: VectorFile,
    name: str,
    rule: str,
    expect: str | list[str],
    description: str,
    forge: AmdForge = GOOD,
    *,
    required: dict[str, Any] = SNP_REQUIREMENTS,
    trusted: bytes = ROOT,
    raw: bytes | None = None,
    valid_until_ms: int | None = None,
    **report: Any,
) -> None:
    evidence = evidence_of(
        lambda data: forge.report(data, **report), forge.collateral() if raw is None else raw
    )
    more = {} if valid_until_ms is None else {"valid_until_ms": valid_until_ms}
    file.case(
        name, rule, expect, description, evidence=evidence,
        policy=policy(trusted, required), now_ms=NOW_MS, **more,
    )  # fmt: skip


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="evidence/snp.json",
        description="Evidence with a report of a simulated SEV-SNP chip, and policies; one fault "
        "in each case.",
    )
    file.share("policy", POLICY)
    file.share("root", POLICY["insecure_simulated_root"])
    good = evidence_of(GOOD.report, GOOD.collateral())
    for part in ("quote", "bound", "collateral"):
        file.share(part, good[part])
    for add in (report_cases, certificate_cases, binding_cases, list_cases):
        add(file)
    policy_cases(partial(_case, file), GOOD)
    return [file]
