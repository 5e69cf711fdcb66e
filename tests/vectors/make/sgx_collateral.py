"""Writes evidence/sgx-collateral.json and sgx-levels.json: one fault in the collateral each."""

from __future__ import annotations

import json
from typing import Any

from tests.support.attestation.quote_bodies import sgx_body
from tests.support.forging.certificates import DAY_S, NOW_S
from tests.support.forging.intel import IntelForge, intel_time, tcb_level
from tests.vectors.make.evidence_parts import NOW_MS, SGX_REQUIREMENTS, evidence_of, policy, sgx
from tests.vectors.make.files import VectorFile

GOOD = IntelForge()
POLICY = policy(GOOD.root_der, SGX_REQUIREMENTS)
RULE, FORM = "attestation 3.2", "attestation 6.1"


def list_cases(file: VectorFile) -> None:
    """Both revocation lists."""
    serials = {name: each.serial for name, each in GOOD.certificates.items()}
    for name, words, revocable in (
        ("root", "root's list", ("middle", "tcb", "root")),
        ("middle", "PCK list", ("pck",)),
    ):
        for fault, changes, description in (
            ("signature", {"signer": "stranger"}, "is signed by another key"),
            ("issuer", {"issuer": "other"}, "names another issuer"),
            ("expired", {"end_s": NOW_S - 1}, "ended"),
        ):
            _case(file, f"{name} list: {fault}", f"the {words} {description}",
                  GOOD.crl(name, **changes))  # fmt: skip
        _case(file, f"{name} list: early", f"the {words} is of tomorrow",
              GOOD.crl(name, issued_s=NOW_S + 1), "collateral", rule="attestation 3.3")  # fmt: skip
        for revoked in revocable:
            _case(file, f"{name} list: {revoked} revoked", f"the {words} has the certificate",
                  GOOD.crl(name, revoked=(serials[revoked],)))  # fmt: skip
        _case(file, f"{name} list: others revoked", f"the {words} has other certificates only",
              GOOD.crl(name, revoked=(7, 8)), "ok")  # fmt: skip
    entries = GOOD.collateral_object()
    swapped = {"pck_crl": entries["root_ca_crl"]}
    _case(file, "root list twice", "the PCK list is missing, the root's comes twice",
          GOOD.collateral_with(**swapped))  # fmt: skip
    swapped = {"root_ca_crl": entries["pck_crl"]}
    _case(file, "PCK list twice", "the root's list is missing, the PCK list comes twice",
          GOOD.collateral_with(**swapped))  # fmt: skip


def signer_cases(file: VectorFile) -> None:
    """The chains and signatures of TCB info and QE identity, each alone."""
    for part, words in (("tcb_info", "TCB info"), ("qe_identity", "QE identity")):
        _case(file, f"{part}: signature", f"{words} is signed by another key",
              GOOD.signed_by(**{part: "stranger"}))  # fmt: skip
        body = GOOD.collateral_object()[part]
        _case(file, f"{part}: changed", f"{words} was changed after it was signed",
              GOOD.collateral_with(**{part: body.replace("20", "21", 1)}))  # fmt: skip
        _case(file, f"{part}: spelled anew", f"{words} means the same in other bytes",
              GOOD.collateral_with(**{part: body.replace(",", ", ", 1)}))  # fmt: skip
        for fault, changes, description in (
            ("signed by a stranger", {"signer": "stranger"}, "is not signed by the root"),
            ("other issuer", {"issuer": "other"}, "names another issuer"),
            ("expired", {"end_s": NOW_S - 1}, "ended"),
            ("early", {"start_s": NOW_S + 1}, "begins later"),
            ("a CA", {"ca": True}, "is an authority"),
            ("critical", {"extra": (("1.2.3.4", b"\x05\0", True),)}, "has an unknown extension"),
        ):
            forge = GOOD.certificate("tcb2", of="tcb", **changes).chain(**{part: ("tcb2", "root")})
            _case(file, f"{part} signer: {fault}", f"the certificate for {words} {description}",
                  forge)  # fmt: skip
        stranger = GOOD.certificate("root2", of="root", key="stranger", signer="stranger")
        forge = stranger.certificate("tcb2", of="tcb", signer="stranger")
        _case(file, f"{part}: another root", "a chain of one's own with its root",
              forge.chain(**{part: ("tcb2", "root2")}))  # fmt: skip
        revoked = GOOD.certificate("tcb2", of="tcb", serial=105).chain(**{part: ("tcb2", "root")})
        _case(file, f"{part}: signer revoked", "the root's list has the certificate",
              revoked.crl("root", revoked=(105,)))  # fmt: skip
        pck = GOOD.certificate("tcb2", of="pck", key="tcb", serial=106, extra=())
        _case(file, f"{part}: signed below the intermediate", "by a certificate of the "
              "intermediate's", pck.chain(**{part: ("tcb2", "middle", "root")}), "collateral",
              rule=FORM)  # fmt: skip


def info_cases(file: VectorFile) -> None:
    """What TCB info says."""
    tcb = GOOD.info["tcbLevels"][0]["tcb"]
    for name, changes, description in (
        ("early", {"issueDate": intel_time(NOW_S + 1)}, "is of tomorrow"),
        ("expired", {"nextUpdate": intel_time(NOW_S - 1)}, "ended"),
        ("FMSPC", {"fmspc": "5f0000000000"}, "is of another platform"),
        ("FMSPC long", {"fmspc": "5e000000000000"}, "has an FMSPC of seven bytes"),
        ("id", {"id": "TDX"}, "is for TDX"),
        ("version", {"version": 1}, "is of version 1"),
        ("no levels", {"tcbLevels": []}, "has no level"),
        ("component", {"tcbLevels": [tcb_level(_components(tcb, 5, 6))]}, "wants a newer part"),
        ("last component", {"tcbLevels": [tcb_level(_components(tcb, 15, 6))]},
         "wants a newer last part"),
        ("PCE", {"tcbLevels": [tcb_level({**tcb, "pcesvn": 14})]}, "wants a newer PCE"),
        ("fifteen components",
         {"tcbLevels": [tcb_level({**tcb, "sgxtcbcomponents": [{"svn": 5}] * 15})]},
         "has fifteen components in a level"),
        ("revoked", {"tcbLevels": [tcb_level(tcb, "Revoked")]}, "says that the platform is revoked"),
        ("unknown status", {"tcbLevels": [tcb_level(tcb, "Splendid")]}, "has an unknown status"),
        ("no FMSPC", {"fmspc": None}, "names no platform"),
        ("no dates", {"issueDate": None}, "has no date of issue"),
        ("date form", {"issueDate": "2026-09-20 12:00:00"}, "has a date in another form"),
        ("date", {"nextUpdate": "soon"}, "has an end that is no date"),
    ):  # fmt: skip
        expect = "collateral" if name in ("no dates", "date form") else "quote"
        _case(
            file, f"tcb_info: {name}", f"TCB info {description}", GOOD.tcb_info(**changes), expect
        )
    newer = tcb_level(_components(tcb, 0, 9))
    levels = [newer, tcb_level(tcb)]
    _case(file, "tcb_info: second level", "the second level is the first that the platform has",
          GOOD.tcb_info(tcbLevels=levels), "ok")  # fmt: skip
    _case(file, "tcb_info: other level order", "levels count from the highest, however they stand",
          GOOD.tcb_info(tcbLevels=[tcb_level(_components(tcb, 0, 4), "OutOfDate"), tcb_level(tcb)]),
          "ok")  # fmt: skip
    for depth, expect in ((32, "ok"), (33, "collateral")):
        nested: Any = 0
        for _ in range(depth - 1):
            nested = [nested]
        _case(file, f"tcb_info: {depth} deep", "at most 32 objects and lists within each other",
              GOOD.tcb_info(more=nested), expect, rule="envelope 2.2")  # fmt: skip
    _case(
        file,
        "tcb_info: not JSON",
        "it is no JSON",
        GOOD.collateral_with(tcb_info="{"),
        "collateral",
    )
    _case(file, "tcb_info: doubled key", "it has a key twice", GOOD.collateral_with(
        tcb_info=GOOD.collateral_object()["tcb_info"].replace("{", '{"id":"SGX",', 1)),
        "collateral")  # fmt: skip


def identity_cases(file: VectorFile) -> None:
    """What QE identity says, and what the quoting enclave is."""
    for name, changes, description in (
        ("early", {"issueDate": intel_time(NOW_S + 1)}, "is of tomorrow"),
        ("expired", {"nextUpdate": intel_time(NOW_S - 1)}, "ended"),
        ("id", {"id": "TD_QE"}, "is for TDX"),
        ("version", {"version": 1}, "is of version 1"),
        ("no levels", {"tcbLevels": []}, "has no level"),
        ("level", {"tcbLevels": [tcb_level({"isvsvn": 9})]}, "wants a newer quoting enclave"),
        (
            "revoked",
            {"tcbLevels": [tcb_level({"isvsvn": 8}, "Revoked")]},
            "says that it is revoked",
        ),
        ("unknown status", {"tcbLevels": [tcb_level({"isvsvn": 8}, "Fine")]}, "has an unknown one"),
        ("signer", {"mrsigner": "5f" * 32}, "names another signer"),
        ("product", {"isvprodid": 2}, "names another product"),
        ("no signer", {"mrsigner": None}, "names no signer"),
        ("no date", {"issueDate": None}, "has no date of issue"),
    ):
        expect = "collateral" if name == "no date" else "quote"
        forge = GOOD.qe_identity(**changes)
        _case(file, f"qe_identity: {name}", f"QE identity {description}", forge, expect)
    for name, report, changes, expect, description in (
        ("misc", {"misc_select": 1}, {}, "quote", "a bit of MISCSELECT that the mask covers"),
        ("misc beside the mask", {"misc_select": 1}, {"miscselectMask": "FEFFFFFF"}, "ok",
         "a bit of MISCSELECT that the mask leaves out"),
        ("misc wanted", {}, {"miscselect": "01000000"}, "quote",
         "a bit of MISCSELECT is missing"),
        ("attributes", {"attributes": 0x31}, {}, "quote", "a bit that the mask covers"),
        ("attributes beside the mask", {"attributes": 0x31},
         {"attributesMask": "DBFFFFFFFFFFFFFF0000000000000000"}, "ok",
         "a bit that the mask leaves out"),
        ("xfrm", {"xfrm": 7}, {"attributesMask": "FB" + "FF" * 15,
         "attributes": "11" + "00" * 7 + "03" + "00" * 7}, "quote",
         "a bit of XFRM that the mask covers"),
        ("xfrm beside the mask", {"xfrm": 7}, {}, "ok", "a bit of XFRM that it leaves out"),
        ("newer", {"svn": 9}, {}, "ok", "a newer quoting enclave than the level"),
    ):  # fmt: skip
        forge = GOOD.quoting(qe=report).qe_identity(**changes)
        _case(file, f"qe: {name}", f"the quoting enclave has {description}", forge, expect)
    levels = [tcb_level({"isvsvn": 9}), tcb_level({"isvsvn": 8})]
    _case(file, "qe_identity: second level", "the second level is the first that it has",
          GOOD.qe_identity(tcbLevels=levels), "ok")  # fmt: skip
    _case(file, "qe_identity: not JSON", "it is no JSON", GOOD.collateral_with(qe_identity="[]"),
          "collateral")  # fmt: skip


def form_cases(file: VectorFile) -> None:
    """The collateral's own form."""
    whole = GOOD.collateral_object()
    for name in whole:
        _case(file, f"no {name}", "a string is missing", GOOD.collateral_with(**{name: None}),
              "collateral", rule=FORM)  # fmt: skip
        _case(file, f"{name}: number", "a number instead of a string",
              GOOD.collateral_with(**{name: 7}), "collateral", rule=FORM)  # fmt: skip
    for name, names in (
        ("pck_crl", ("middle", "root")),
        ("tcb_info", ("tcb", "root")),
        ("qe_identity", ("tcb", "root")),
    ):
        for fault, chain in (
            ("without root", names[:1]),
            ("root twice", (*names, "root")),
            ("order", names[::-1]),
            ("empty", ()),
        ):
            _case(file, f"{name} chain: {fault}", "a chain is its signer and the root",
                  GOOD.chain(**{name: chain}), "collateral", rule=FORM)  # fmt: skip
    other = GOOD.certificate("middle2", of="middle", subject="other", key="other", serial=107)
    _case(file, "pck_crl chain: another intermediate", "it is not the one in the quote",
          other.chain(pck_crl=("middle2", "root")), "collateral", rule=FORM)  # fmt: skip
    _case(file, "unknown key", "there are nine keys and no others",
          GOOD.collateral_with(more="x"), "collateral", rule=FORM)  # fmt: skip
    _case(file, "PCK chain of the host's", "a key that some libraries read instead of the quote's",
          GOOD.collateral_with(pck_certificate_chain=GOOD.pem(GOOD.data.chain)), "collateral",
          rule=FORM)  # fmt: skip
    for name in ("pck_crl", "root_ca_crl", "tcb_info_signature", "qe_identity_signature"):
        _case(file, f"{name}: capitals", "hex is lower case",
              GOOD.collateral_with(**{name: str.upper}), "collateral", rule=FORM)  # fmt: skip
        _case(file, f"{name}: odd", "hex has two digits a byte",
              GOOD.collateral_with(**{name: lambda old: old + "0"}), "collateral", rule=FORM)  # fmt: skip
    for name in ("tcb_info_signature", "qe_identity_signature"):
        for fault, change in (("short", lambda old: old[:-2]), ("long", lambda old: old + "00")):
            _case(file, f"{name}: {fault}", "a signature is 64 bytes",
                  GOOD.collateral_with(**{name: change}), "collateral", rule=FORM)  # fmt: skip
    for name in ("pck_crl", "root_ca_crl"):
        _case(file, f"{name}: byte behind", "a byte follows the list",
              GOOD.collateral_with(**{name: lambda old: old + "00"}), "collateral", rule=FORM)  # fmt: skip
        _case(file, f"{name}: not hex", "it is not hex", GOOD.collateral_with(**{name: "zz"}),
              "collateral", rule=FORM)  # fmt: skip
    text = json.dumps(whole)
    for name, spelled in (
        ("empty", ""),
        ("list", "[]"),
        ("twice", text + text),
        ("doubled key", text[:-1] + ', "tcb_info": "{}"}'),
    ):
        raw = spelled.encode()
        file.case(
            f"collateral: {name}", FORM, "collateral", "not an object of nine strings",
            evidence=evidence_of(lambda data: GOOD.quote(sgx_body(data)), raw),
            policy=POLICY, now_ms=NOW_MS,
        )  # fmt: skip


def time_cases(file: VectorFile) -> None:
    """The last second of each part, and what an approval lasts until."""
    good = GOOD.certificate("tcb2", of="tcb")
    day_s = NOW_S + DAY_S
    for name, forge in (
        ("TCB info", good.tcb_info(nextUpdate=intel_time(day_s))),
        ("QE identity", good.qe_identity(nextUpdate=intel_time(day_s))),
        ("PCK list", good.crl("middle", end_s=day_s)),
        ("root's list", good.crl("root", end_s=day_s)),
    ):
        file.case(
            f"valid until: {name}", "attestation 4.7", "ok", "the approval lasts as long as this",
            evidence=sgx(forge), policy=POLICY, now_ms=NOW_MS, valid_until_ms=1000 * day_s,
        )  # fmt: skip
        file.case(
            f"a second before the end: {name}", "attestation 4.7", "ok", "it is still in date",
            evidence=sgx(forge), policy=POLICY, now_ms=1000 * (day_s - 1),
        )  # fmt: skip
        file.case(
            f"a second after the end: {name}", "attestation 3.2", "quote", "it is not any more",
            evidence=sgx(forge), policy=POLICY, now_ms=1000 * (day_s + 1),
        )  # fmt: skip
    aged = policy(GOOD.root_der, {**SGX_REQUIREMENTS, "max_collateral_age_s": 2 * DAY_S})
    file.case(
        "valid until: age", "attestation 4.7", "ok", "the approval lasts until it is too old",
        evidence=sgx(), policy=aged, now_ms=NOW_MS, valid_until_ms=1000 * (NOW_S + DAY_S),
    )  # fmt: skip


def _components(tcb: dict[str, Any], at: int, svn: int) -> dict[str, Any]:
    values = [dict(each) for each in tcb["sgxtcbcomponents"]]
    values[at]["svn"] = svn
    return {**tcb, "sgxtcbcomponents": values}


def _case(
    file: VectorFile,
    name: str,
    description: str,
    forge: IntelForge,
    expect: str = "quote",
    rule: str = RULE,
) -> None:
    file.case(name, rule, expect, description, evidence=sgx(forge), policy=POLICY, now_ms=NOW_MS)


def files() -> list[VectorFile]:
    """Make the files."""
    trust = VectorFile(
        path="evidence/sgx-collateral.json",
        description="Evidence of a simulated SGX platform whose collateral has one fault: its "
        "form, its revocation lists, and the signers of TCB info and QE identity.",
    )
    levels = VectorFile(
        path="evidence/sgx-levels.json",
        description="Evidence of a simulated SGX platform with one fault in what TCB info or QE "
        "identity says, and the last second of each part of the collateral.",
    )
    good = sgx()
    for file in (trust, levels):
        file.share("policy", POLICY)
        for part in ("quote", "bound", "collateral"):
            file.share(part, good[part])
    for add in (list_cases, signer_cases, form_cases):
        add(trust)
    for add in (info_cases, identity_cases, time_cases):
        add(levels)
    return [trust, levels]
