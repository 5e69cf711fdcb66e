"""Writes evidence/sgx-levels.json: TCB info and QE identity with one fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.forging.certificates import DAY_S, NOW_S
from tests.support.forging.intel import intel_time, tcb_level
from tests.vectors.make.evidence_parts import NOW_MS, SGX_REQUIREMENTS, policy, sgx
from tests.vectors.make.sgx_collateral import GOOD, POLICY, collateral_case, shared_file

if TYPE_CHECKING:
    from tests.vectors.make.files import VectorFile


_FORMS = ("no dates", "date form", "date of no month", "date without zeros", "version",
          "newer version", "type")  # fmt: skip
"""What is refused before anything is compared."""


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
        ("newer version", {"version": 4}, "is of version 4"),
        ("type", {"tcbType": 1}, "is of another type"),
        ("no levels", {"tcbLevels": []}, "has no level"),
        ("component", {"tcbLevels": [tcb_level(_components(tcb, 5, 6))]}, "wants a newer part"),
        (
            "last component",
            {"tcbLevels": [tcb_level(_components(tcb, 15, 6))]},
            "wants a newer last part",
        ),
        ("PCE", {"tcbLevels": [tcb_level({**tcb, "pcesvn": 14})]}, "wants a newer PCE"),
        (
            "fifteen components",
            {"tcbLevels": [tcb_level({**tcb, "sgxtcbcomponents": [{"svn": 5}] * 15})]},
            "has fifteen components in a level",
        ),
        (
            "revoked",
            {"tcbLevels": [tcb_level(tcb, "Revoked")]},
            "says that the platform is revoked",
        ),
        ("unknown status", {"tcbLevels": [tcb_level(tcb, "Splendid")]}, "has an unknown status"),
        ("no FMSPC", {"fmspc": None}, "names no platform"),
        ("no dates", {"issueDate": None}, "has no date of issue"),
        ("date form", {"issueDate": "2026-09-20 12:00:00"}, "has a date in another form"),
        (
            "date of no month",
            {"issueDate": "2026-13-20T12:00:00Z"},
            "has a date that does not exist",
        ),
        ("date without zeros", {"issueDate": "2026-9-20T12:00:00Z"}, "has a date in another form"),
        ("date", {"nextUpdate": "soon"}, "has an end that is no date"),
    ):
        expect = "collateral" if name in _FORMS else "quote"
        collateral_case(
            file, f"tcb_info: {name}", f"TCB info {description}", GOOD.tcb_info(**changes), expect
        )
    newer = tcb_level(_components(tcb, 0, 9))
    levels = [newer, tcb_level(tcb)]
    collateral_case(
        file,
        "tcb_info: second level",
        "the second level is the first that the platform has",
        GOOD.tcb_info(tcbLevels=levels),
        "ok",
    )
    collateral_case(
        file,
        "tcb_info: other level order",
        "levels count from the highest, however they stand",
        GOOD.tcb_info(tcbLevels=[tcb_level(_components(tcb, 0, 4), "OutOfDate"), tcb_level(tcb)]),
        "ok",
    )
    for depth, expect in ((32, "ok"), (33, "collateral")):
        nested: Any = 0
        for _ in range(depth - 1):
            nested = [nested]
        collateral_case(
            file,
            f"tcb_info: {depth} deep",
            "at most 32 objects and lists within each other",
            GOOD.tcb_info(more=nested),
            expect,
            rule="envelope 2.2",
        )
    collateral_case(
        file,
        "tcb_info: not JSON",
        "it is no JSON",
        GOOD.collateral_with(tcb_info="{"),
        "collateral",
    )
    collateral_case(file, "tcb_info: doubled key", "it has a key twice", GOOD.collateral_with(
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
        expect = "collateral" if name in ("no date", "version") else "quote"
        forge = GOOD.qe_identity(**changes)
        collateral_case(file, f"qe_identity: {name}", f"QE identity {description}", forge, expect)
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
        collateral_case(
            file, f"qe: {name}", f"the quoting enclave has {description}", forge, expect
        )
    levels = [tcb_level({"isvsvn": 9}), tcb_level({"isvsvn": 8})]
    collateral_case(file, "qe_identity: second level", "the second level is the first that it has",
          GOOD.qe_identity(tcbLevels=levels), "ok")  # fmt: skip
    collateral_case(
        file,
        "qe_identity: not JSON",
        "it is no JSON",
        GOOD.collateral_with(qe_identity="[]"),
        "collateral",
    )


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
            f"a second after the end: {name}", "quotes 3.2", "quote", "it is not any more",
            evidence=sgx(forge), policy=POLICY, now_ms=1000 * (day_s + 1),
        )  # fmt: skip
        listed = "list" in name
        file.case(
            f"the second of the end: {name}", "quotes 2.4" if listed else "quotes 3.2",
            "quote" if listed else "ok", "a list is over then, the others are not yet",
            evidence=sgx(forge), policy=POLICY, now_ms=1000 * day_s,
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


def files() -> list[VectorFile]:
    """Make the file."""
    file = shared_file(
        "evidence/sgx-levels.json",
        "Evidence of a simulated SGX platform with one fault in what TCB info or QE identity says, "
        "and the last second of each part of the collateral.",
    )
    for add in (info_cases, identity_cases, time_cases):
        add(file)
    return [file]
