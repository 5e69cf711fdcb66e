"""Writes evidence/appraisal.json: genuine SGX evidence that a policy refuses for one reason."""

from __future__ import annotations

from typing import Any

from sealflow.attest.evidence import Role
from sealflow.attest.reports import PlatformFlag, TcbStatus
from tests.support.forging.certificates import DAY_S, NOW_S
from tests.support.forging.intel import IntelForge, intel_time, tcb_level
from tests.support.forging.pck_extension import SGX_OID, pck_extension
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SGX_REQUIREMENTS,
    claims,
    policy,
    sgx,
)
from tests.vectors.make.files import VectorFile

GOOD = IntelForge()
ROOT = GOOD.root_der
ADVISORIES = ("INTEL-SA-00615", "INTEL-SA-00289")
OUT_OF_DATE = {"until": "2026-09-30", "reason": "new microcode is late"}
NOW_DAY = intel_time(NOW_S)[:10]


def _requirements(**changes: Any) -> dict[str, Any]:
    return {**SGX_REQUIREMENTS, **changes}


def claim_cases(file: VectorFile) -> None:
    """Bound claims against the policy."""

    def case(
        name: str,
        expect: str | list[str],
        description: str,
        bound: Any,
        role: Role = Role.KEY_BROKER,
        **more: Any,
    ) -> None:
        evidence = sgx(bound=bound.to_bytes(), role=role)
        inputs = {"policy": policy(ROOT, SGX_REQUIREMENTS), "now_ms": NOW_MS, **more}
        file.case(name, "attestation 4.1", expect, description, evidence=evidence, **inputs)

    case("role", ["role"], "a worker where a key broker must be", claims(role=Role.WORKER),
         role=Role.WORKER)  # fmt: skip
    case("deployment", ["deployment"], "another deployment", claims(deployment="other"))
    case("deployment's case", ["deployment"], "names differ by case", claims(deployment="Test"))
    case("manifest digest", ["manifest_digest"], "other settings",
         claims(manifest_digest="ce" + "cd" * 31))  # fmt: skip
    nonce = "ab" * 32
    case("nonce", "ok", "fresh evidence for a nonce", claims(nonce=nonce), nonce=nonce)
    case("other nonce", ["nonce"], "evidence for another nonce", claims(nonce="ac" * 32),
         nonce=nonce)  # fmt: skip
    case("zero nonce", ["nonce"], "published evidence where fresh evidence must be", claims(),
         nonce=nonce)  # fmt: skip
    case("nonce not asked for", ["nonce"], "published evidence has a nonce of zeros",
         claims(nonce=nonce))  # fmt: skip


def code_cases(file: VectorFile) -> None:
    """Whose code it is."""
    all_of = _requirements(signers=["22" * 32], product_id=1, min_svn=1)
    signer_only = {
        "insecure_signer_only": True, "signers": ["22" * 32], "product_id": 1, "min_svn": 1,
    }  # fmt: skip
    for name, body, required, expect, description in (
        ("all of it", {}, all_of, "ok", "code, signer, product and svn as demanded"),
        ("measurement", {"measurement": b"\x12" * 32}, all_of, ["measurement"], "other code"),
        ("second measurement", {"measurement": b"\x12" * 32},
         _requirements(measurements=["11" * 32, "12" * 32]), "ok", "one of two"),
        ("signer", {"signer": b"\x23" * 32}, all_of, ["signer"], "another signer"),
        ("any signer", {"signer": b"\x23" * 32}, _requirements(), "ok", "none is demanded"),
        ("empty signers", {"signer": b"\x23" * 32}, _requirements(signers=[]), "ok",
         "an empty list demands none"),
        ("product", {"product_id": 2}, all_of, ["product_id"], "another product"),
        ("product 0", {"product_id": 1}, _requirements(product_id=0), ["product_id"],
         "a demand of 0 is a demand"),
        ("any product", {"product_id": 2}, _requirements(), "ok", "none is demanded"),
        ("svn", {"svn": 0}, all_of, ["svn"], "an older release"),
        ("newer svn", {"svn": 2}, all_of, "ok", "a newer release"),
        ("signer only", {"measurement": b"\x12" * 32}, signer_only, "ok", "any code of a signer"),
        ("signer only: signer", {"signer": b"\x23" * 32}, signer_only, ["signer"], "of another"),
        ("signer only: product", {"product_id": 2}, signer_only, ["product_id"], "another"),
        ("signer only: svn", {"svn": 0}, signer_only, ["svn"], "an older release"),
    ):  # fmt: skip
        _case(file, name, "attestation 4.2", expect, description, GOOD, required, body)


def status_cases(file: VectorFile) -> None:
    """The verdicts of Intel on platform and quoting enclave."""
    tcb = GOOD.info["tcbLevels"][0]["tcb"]
    statuses = [each.value for each in TcbStatus if "Relaunch" not in each.value]
    for status in statuses:
        forge = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, status)])
        good = status == "UpToDate"
        _case(file, f"tcb_status: {status}", "attestation 4.3", "ok" if good else ["tcb_status"],
              "UpToDate alone is accepted, unless the policy says more", forge)  # fmt: skip
        if not good and not TcbStatus(status).out_of_date:
            accepting = _requirements(tcb_statuses=["UpToDate", status])
            _case(file, f"tcb_status: {status} accepted", "attestation 4.3", "ok",
                  "the policy names it", forge, accepting)  # fmt: skip
    enclave = GOOD.qe_identity(tcbLevels=[tcb_level({"isvsvn": 8}, "OutOfDate")])
    _case(file, "qe_status: OutOfDate", "attestation 4.3", ["qe_status", "tcb_status"],
          "a quoting enclave that is out of date makes the platform so", enclave)  # fmt: skip
    for status in ("ConfigurationNeeded", "OutOfDateConfigurationNeeded"):
        forge = GOOD.qe_identity(tcbLevels=[tcb_level({"isvsvn": 8}, status)])
        _case(file, f"qe_status: {status}", "quotes 4.9", ["qe_status"],
              "the platform's own status stays", forge)  # fmt: skip
    old = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, "ConfigurationNeeded")])
    old = old.qe_identity(tcbLevels=[tcb_level({"isvsvn": 8}, "OutOfDate")])
    _case(file, "qe_status: OutOfDate, platform not configured", "attestation 4.3",
          ["qe_status", "tcb_status"], "both count", old,
          _requirements(tcb_statuses=["UpToDate", "ConfigurationNeeded"]))  # fmt: skip
    only = _requirements(tcb_statuses=["SWHardeningNeeded"])
    _case(file, "status: UpToDate not named", "attestation 4.3", ["tcb_status", "qe_status"],
          "a list without UpToDate does not accept it", GOOD, only)  # fmt: skip
    old = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, "OutOfDate")])
    older = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, "OutOfDateConfigurationNeeded")])
    old_qe = GOOD.qe_identity(tcbLevels=[tcb_level({"isvsvn": 8}, "OutOfDate")])
    for name, forge, until, expect, description in (
        ("in time", old, OUT_OF_DATE["until"], "ok", "before its last day"),
        ("for configuration", older, OUT_OF_DATE["until"], "ok", "it covers both statuses"),
        ("for the QE", old_qe, OUT_OF_DATE["until"], "ok", "it covers the quoting enclave"),
        ("last day", old, NOW_DAY, "ok", "the last day counts, in UTC"),
        ("over", old, "2026-09-20", ["tcb_status"], "it ended yesterday"),
        ("30 days ahead", old, "2026-10-21", "ok", "the first day on which it counts"),
        ("31 days ahead", old, "2026-10-22", ["tcb_status"], "it counts in its last 30 days only"),
    ):
        required = _requirements(insecure_out_of_date={**OUT_OF_DATE, "until": until})
        _case(file, f"exception: {name}", "attestation 4.3", expect, description, forge, required)
    required = _requirements(insecure_out_of_date=OUT_OF_DATE)
    needed = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, "ConfigurationNeeded")])
    _case(file, "exception: other status", "attestation 4.3", ["tcb_status"],
          "it covers what is out of date and nothing else", needed, required)  # fmt: skip


def platform_cases(file: VectorFile) -> None:
    """Advisories, flags, evaluation number and age."""
    tcb = GOOD.info["tcbLevels"][0]["tcb"]
    one = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, advisories=ADVISORIES[:1])])
    both = GOOD.tcb_info(tcbLevels=[tcb_level(tcb, advisories=ADVISORIES)])
    of_qe = GOOD.qe_identity(tcbLevels=[tcb_level({"isvsvn": 8}, advisories=ADVISORIES[:1])])
    accepting = _requirements(advisories=list(ADVISORIES[:1]))
    for name, forge, required, expect, description in (
        ("one", one, SGX_REQUIREMENTS, ["advisories"], "one that no policy names"),
        ("accepted", one, accepting, "ok", "the policy names it"),
        ("one of two", both, accepting, ["advisories"], "the policy names one of two"),
        ("of the QE", of_qe, SGX_REQUIREMENTS, ["advisories"], "those of QE identity count too"),
        ("of the QE accepted", of_qe, accepting, "ok", "the policy names it"),
    ):
        _case(file, f"advisories: {name}", "attestation 4.3", expect, description, forge, required)
    of_amd = {PlatformFlag.ALIASES_UNCHECKED}
    for flag in (each for each in PlatformFlag if each not in of_amd):
        extra = ((SGX_OID, pck_extension(flags=(flag.value,)), False),)
        forge = GOOD.certificate("pck", extra=extra)
        others = [each.value for each in PlatformFlag if each not in (flag, *of_amd)]
        for name, accepted, expect in (
            ("", [], ["platform_flags"]),
            (" accepted", [flag.value], "ok"),
            (" and others accepted", others, ["platform_flags"]),
        ):
            _case(file, f"flag {flag.value}{name}", "attestation 4.3", expect,
                  "a flag of the PCK certificate", forge,
                  _requirements(platform_flags=accepted))  # fmt: skip
    for least, expect in ((19, "ok"), (20, "ok"), (21, ["tcb_evaluation"])):
        _case(file, f"evaluation {least}", "attestation 4.3", expect, "the number is 20", GOOD,
              _requirements(min_tcb_evaluation=least))  # fmt: skip
    for name, forge in (
        ("TCB info", GOOD.tcb_info(tcbEvaluationDataNumber=19)),
        ("QE identity", GOOD.qe_identity(tcbEvaluationDataNumber=19)),
    ):
        _case(
            file,
            f"evaluation of {name}",
            "attestation 3.4",
            ["tcb_evaluation"],
            "the lower one of both counts",
            forge,
            _requirements(min_tcb_evaluation=20),
        )
    old_s = NOW_S - 31 * DAY_S
    for name, forge in (
        ("TCB info", GOOD.tcb_info(issueDate=intel_time(old_s))),
        ("QE identity", GOOD.qe_identity(issueDate=intel_time(old_s))),
        ("PCK list", GOOD.crl("middle", issued_s=old_s)),
    ):
        _case(file, f"age of {name}", "attestation 3.4", ["collateral_age"],
              "30 days at most, of the oldest part", forge)  # fmt: skip
        _case(file, f"age of {name} accepted", "attestation 4.3", "ok", "the policy says more",
              forge, _requirements(max_collateral_age_s=31 * DAY_S))  # fmt: skip
    _case(file, "age of the root's list", "attestation 3.4", "ok", "its age does not count",
          GOOD.crl("root", issued_s=NOW_S - 300 * DAY_S))  # fmt: skip
    for age_s, expect in ((DAY_S, "ok"), (DAY_S - 1, ["collateral_age"])):
        _case(file, f"age of {age_s} s", "attestation 4.3", expect, "it is a day old", GOOD,
              _requirements(max_collateral_age_s=age_s))  # fmt: skip


def report_cases(file: VectorFile) -> None:
    """What no policy can allow, in the report's body."""
    good = 0x05
    for name, code, body, expect in (
        ("attributes: no INIT", "attributes", {"attributes": 0x04}, False),
        ("attributes: 32 bits", "attributes", {"attributes": 0x01}, False),
        *((f"attributes: bit {bit}", "attributes", {"attributes": good | 1 << bit},
           bit in (6, 7, 10)) for bit in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 63)),
        ("xfrm: no x87", "xfrm", {"xfrm": 0x02}, False),
        ("xfrm: no SSE", "xfrm", {"xfrm": 0x01}, False),
        *((f"xfrm: bit {bit}", "xfrm", {"xfrm": 3 | 1 << bit},
           bit in (2, 3, 4, 5, 6, 7, 9, 11, 12, 17, 18))
          for bit in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 62, 63)),
        *((f"misc_select: bit {bit}", "misc_select", {"misc_select": 1 << bit}, bit in (0, 1))
          for bit in (0, 1, 2, 31)),
        ("config_id", "config_id", {"config_id": b"\1" + bytes(63)}, False),
        ("config_id: last byte", "config_id", {"config_id": bytes(63) + b"\1"}, False),
        ("config_svn", "config_id", {"config_svn": 1}, False),
    ):  # fmt: skip
        _case(file, name, "attestation 4.4", "ok" if expect else [code],
              "accepted, whatever the policy" if expect else "no policy can allow it", GOOD,
              body=body)  # fmt: skip
    _case(file, "many things", "attestation 4", ["attributes", "measurement", "svn", "xfrm"],
          "all mismatches are named", GOOD, _requirements(min_svn=2),
          {"measurement": b"\x12" * 32, "attributes": 0x15, "xfrm": 1 << 40 | 3})  # fmt: skip


def _case(
    file: VectorFile,
    name: str,
    rule: str,
    expect: str | list[str],
    description: str,
    forge: IntelForge,
    required: dict[str, Any] = SGX_REQUIREMENTS,
    body: dict[str, Any] | None = None,
) -> None:
    file.case(
        name, rule, expect, description, evidence=sgx(forge, body),
        policy=policy(ROOT, required), now_ms=NOW_MS,
    )  # fmt: skip


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="evidence/appraisal.json",
        description="Genuine evidence of a simulated SGX platform, and policies that accept it or "
        "refuse it for one reason. Where `nonce` is absent, none was sent.",
    )
    file.share("root", policy(ROOT, {})["insecure_simulated_root"])
    file.share("policy", policy(ROOT, SGX_REQUIREMENTS))
    good = sgx()
    for part in ("quote", "bound", "collateral"):
        file.share(part, good[part])
    for add in (claim_cases, code_cases, status_cases, platform_cases, report_cases):
        add(file)
    return [file]
