"""Writes evidence/tdx.json: quotes of TDX, its modules and registers, one fault each."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from tests.support.forging.certificates import NOW_S
from tests.support.forging.intel import IntelForge, intel_time, tcb_level
from tests.support.forging.pck_extension import FMSPC
from tests.vectors.make.evidence_parts import NOW_MS, TDX_REQUIREMENTS, policy, tdx, text
from tests.vectors.make.files import VectorFile

GOOD = IntelForge.of_tdx()
ROOT = GOOD.root_der
POLICY = policy(ROOT, TDX_REQUIREMENTS)
ZERO = bytes(48)
GENUINE = (*tuple(bytes([each]) * 48 for each in (64, 65, 66)), ZERO)
NEWER = {"service_td": ZERO}
SEPT_VE_DISABLE = 1 << 28


def quote_cases(file: VectorFile) -> None:
    """Versions, bodies and certification data."""
    rule = "attestation 3.2"
    _case(file, "version 4", rule, "ok", "TDX 1.0")
    _case(file, "version 5 of 1.5", rule, "ok", "TDX 1.5", body=NEWER)
    _case(file, "version 5 of 1.0", rule, "ok", "TDX 1.0 in the newer layout", GOOD.head(version=5))
    _case(file, "version 6", rule, "quote", "an unknown version", GOOD.head(version=6))
    _case(file, "version 4 of a 1.5 body", rule, "quote", "its body is of version 5",
          GOOD.head(version=4), NEWER)  # fmt: skip
    _case(file, "version 3", rule, "quote", "SGX's version", GOOD.head(version=3))
    for kind in (1, 2, 4):
        _case(file, f"body type {kind}", rule, "quote", "a body of 1.5 has type 3",
              GOOD.head(body_type=kind), NEWER)  # fmt: skip
    for length in (584, 647, 649):
        _case(file, f"body length {length}", rule, "quote", "a body of 1.5 has 648 bytes",
              GOOD.head(body_length=length), NEWER)  # fmt: skip
    _case(file, "SGX's TEE type", rule, "quote", "TDX has 0x81", GOOD.head(tee_type=0))
    _case(file, "key type", rule, "quote", "ECDSA on P-384", GOOD.head(key_type=3))
    _case(file, "vendor", rule, "quote", "another maker", GOOD.head(vendor=bytes(16)))
    _case(file, "outer length", rule, "quote", "the certification data is said to be longer",
          GOOD.quoting(outer_length=9000))  # fmt: skip
    _case(file, "outer length short", rule, "quote", "it ends within the QE report",
          GOOD.quoting(outer_length=300))  # fmt: skip
    _case(file, "outer type", rule, "quote", "it is 6", GOOD.quoting(outer=5))
    _case(file, "byte in the outer data", rule, "quote", "behind the chain",
          GOOD.quoting(inner_tail=b"\0"))  # fmt: skip
    _case(file, "byte behind the outer data", rule, "quote", "within the signature data",
          GOOD.quoting(tail=b"\0"))  # fmt: skip
    _case(file, "certification 1", rule, "quote", "no chain", GOOD.quoting(certification=1))
    _case(file, "signature", rule, "quote", "by another key", GOOD.quoting(signer="stranger"))
    _case(file, "QE signature", rule, "quote", "not by the PCK", GOOD.quoting(qe_signer="stranger"))
    _case(file, "QE report data", rule, "quote", "names no key", GOOD.quoting(qe_data=bytes(64)))
    _case(file, "QE debug", rule, "quote", "a debug quoting enclave",
          GOOD.quoting(qe={"attributes": 0x13}).qe_identity(
              attributes="13" + "00" * 15, attributesMask="00" * 16))  # fmt: skip
    _case(file, "PCK signature", rule, "quote", "not by the intermediate",
          GOOD.certificate("pck", signer="stranger"))  # fmt: skip
    quote = b64decode(tdx()["quote"])
    for name, changed, expect in (
        ("zeros behind", quote + bytes(9), "ok"),
        ("byte behind", quote + b"\1", "quote"),
        ("body cut", quote[: 48 + 583], "quote"),
        ("cut", quote[:-1], "quote"),
        ("register flipped", _flipped(quote, 48 + 376), "quote"),
    ):
        evidence = {**tdx(), "quote": text(changed)}
        file.case(name, rule, expect, "bytes of the quote", evidence=evidence, policy=POLICY,
                  now_ms=NOW_MS)  # fmt: skip


def collateral_cases(file: VectorFile) -> None:
    """TCB info with its modules, and QE identity."""
    rule, levels = "attestation 3.2", GOOD.info["tcbLevels"]
    tcb, module = levels[0]["tcb"], GOOD.info["tdxModule"]
    [identity] = GOOD.info["tdxModuleIdentities"]

    def identities(**changes: Any) -> IntelForge:
        return GOOD.tcb_info(tdxModuleIdentities=[{**identity, **changes}])

    def at_level(svn: int, status: str = "UpToDate") -> IntelForge:
        return identities(tcbLevels=[tcb_level({"isvsvn": svn}, status)])

    def components(at: int, svn: int) -> IntelForge:
        values = [dict(each) for each in tcb["tdxtcbcomponents"]]
        values[at]["svn"] = svn
        return GOOD.tcb_info(tcbLevels=[tcb_level({**tcb, "tdxtcbcomponents": values})])

    for name, forge, expect, description in (
        ("id", GOOD.tcb_info(id="SGX"), "quote", "TCB info is for SGX"),
        ("version", GOOD.tcb_info(version=2), "collateral", "TCB info of version 2 knows no TDX"),
        ("FMSPC", GOOD.tcb_info(fmspc=FMSPC.replace("5e", "5f")), "quote", "of another platform"),
        ("early", GOOD.tcb_info(issueDate=intel_time(NOW_S + 1)), "quote", "of tomorrow"),
        ("signature", GOOD.signed_by(tcb_info="stranger"), "quote", "by another key"),
        ("third TDX component", components(2, 1), "quote", "a level that wants a newer part"),
        ("last TDX component", components(15, 1), "quote", "a level that wants a newer part"),
        ("first TDX component", components(0, 6), "ok", "the module's own identity counts instead"),
        ("second TDX component", components(1, 2), "ok", "the module's version says which"),
        ("fifteen TDX components", GOOD.tcb_info(tcbLevels=[tcb_level({**tcb,
            "tdxtcbcomponents": tcb["tdxtcbcomponents"][:15]})]), "quote", "one is missing"),
        ("no module", GOOD.tcb_info(tdxModule=None), "quote", "it says nothing of the module"),
        ("no module of that version", identities(id="TDX_02"), "quote", "another version"),
        ("module's id in capitals", identities(id="tdx_01"), "ok", "however it is spelled"),
        ("module signer", identities(mrsigner="01" * 48), "quote", "another signer"),
        ("module attributes", identities(attributes="01" + "00" * 7), "quote", "bits are wanted"),
        ("module svn", at_level(6), "quote", "it wants a newer module"),
        ("module revoked", at_level(5, "Revoked"), "quote", "the module is revoked"),
        ("module out of date", at_level(5, "OutOfDate"), ["tcb_status"], "the module counts"),
        ("no identities", GOOD.tcb_info(tdxModuleIdentities=[]), "quote",
         "the module's version has none"),
        ("unused module signer", GOOD.tcb_info(tdxModule={**module, "mrsigner": "01" * 48}), "ok",
         "the identity of this version counts"),
        ("out of date", GOOD.tcb_info(tcbLevels=[tcb_level(tcb, "OutOfDate")]), ["tcb_status"],
         "the platform's level"),
    ):  # fmt: skip
        _case(file, f"tcb_info: {name}", rule, expect, description, forge)
    for name, changes in (
        ("id", {"id": "QE"}),
        ("version", {"version": 1}),
        ("signer", {"mrsigner": "5f" * 32}),
        ("product", {"isvprodid": 1}),
        ("level", {"tcbLevels": [tcb_level({"isvsvn": 9})]}),
    ):
        expect = "collateral" if name == "version" else "quote"
        _case(file, f"qe_identity: {name}", rule, expect, "not of this quoting enclave",
              GOOD.qe_identity(**changes))  # fmt: skip
    sgx = IntelForge()
    mixed = GOOD.collateral_with(**{
        name: sgx.collateral_object()[name] for name in ("qe_identity", "qe_identity_signature")
    })  # fmt: skip
    _case(file, "QE identity of SGX", rule, "quote", "genuine, and of the other TEE", mixed)


def relaunch_cases(file: VectorFile) -> None:
    """What TDX 1.5 says of the module that runs now, beside the one that launched the TD."""
    rule = "quotes 4.10"
    [identity] = GOOD.info["tdxModuleIdentities"]
    levels = [tcb_level({"isvsvn": 5}), tcb_level({"isvsvn": 4}, "OutOfDate")]
    tcb = GOOD.info["tcbLevels"][0]["tcb"]
    older = GOOD.tcb_info(tdxModuleIdentities=[{**identity, "tcbLevels": levels}])
    unset = older.tcb_info(tcbLevels=[tcb_level(tcb, "ConfigurationNeeded")])
    gone = GOOD.tcb_info(tdxModuleIdentities=[{**identity, "tcbLevels": [
        levels[0], tcb_level({"isvsvn": 4}, "Revoked")]}])  # fmt: skip
    new, old = bytes([5, 1]) + bytes(14), bytes([4, 1]) + bytes(14)
    for title, forge, launched, second, statuses, expect in (
        ("both new", older, 5, new, ["UpToDate"], "ok"),
        ("both old", older, 4, old, ["UpToDate", "TDRelaunchAdvised"], ["tcb_status"]),
        ("launched by the old", older, 4, new, ["UpToDate"], ["tcb_status"]),
        ("launched by the old, accepted", older, 4, new, ["TDRelaunchAdvised", "UpToDate"], "ok"),
        ("configuration", unset, 4, new, ["UpToDate", "TDRelaunchAdvised"], ["tcb_status"]),
        ("configuration, accepted", unset, 4, new,
         ["UpToDate", "TDRelaunchAdvisedConfigurationNeeded"], "ok"),
        ("no level now", older, 5, bytes([3, 1]) + bytes(14), ["UpToDate"], "quote"),
        ("no such module now", older, 5, bytes([5, 2]) + bytes(14), ["UpToDate"], "quote"),
        ("revoked now", gone, 5, old, ["UpToDate"], "quote"),
    ):  # fmt: skip
        _case(file, f"relaunch: {title}", rule, expect, "of TDX 1.5", forge,
              {**NEWER, "launched_svn": launched, "second_svn": second},
              {**TDX_REQUIREMENTS, "tcb_statuses": statuses})  # fmt: skip


def body_cases(file: VectorFile) -> None:
    """What no policy can allow, and the registers."""
    good = SEPT_VE_DISABLE
    for bit in (0, 1, 7):
        _case(file, f"attributes: bit {bit}", "attestation 3.2", "quote", "a TD under debug",
              body={"attributes": good | 1 << bit})  # fmt: skip
    for bit in (8, 26, 29, 32):
        _case(file, f"attributes: bit {bit}", "attestation 3.2", "quote", "a bit that is reserved",
              body={"attributes": good | 1 << bit})  # fmt: skip
    _case(file, "attributes: none", "attestation 3.2", "quote", "without SEPT_VE_DISABLE",
          body={"attributes": 0})  # fmt: skip
    for bit, expect in ((30, "ok"), (31, "ok"), (62, ["attributes"]), (63, ["attributes"])):
        _case(file, f"attributes: bit {bit}", "attestation 4.5", expect, "PKS, KL; not PERFMON",
              body={"attributes": good | 1 << bit})  # fmt: skip
    allowed = (2, 5, 6, 7, 8, 9, 11, 12, 14, 15, 17, 18)
    _case(file, "xfam: no x87", "attestation 4.5", ["xfam"], "it is needed", body={"xfam": 2})
    _case(file, "xfam: no SSE", "attestation 4.5", ["xfam"], "it is needed", body={"xfam": 1})
    for bit in (2, 3, 4, 5, 8, 9, 10, 11, 13, 14, 16, 17, 18, 19, 63):
        _case(file, f"xfam: bit {bit}", "attestation 4.5", "ok" if bit in allowed else ["xfam"],
              "known features", body={"xfam": 3 | 1 << bit})  # fmt: skip
    [identity] = GOOD.info["tdxModuleIdentities"]
    signed = GOOD.tcb_info(tdxModuleIdentities=[{**identity, "mrsigner": "01" * 48}])
    _case(file, "seam_signer", "attestation 4.5", ["seam_signer"], "a module that Intel lists, of "
          "another signer", signed, {"seam_signer": b"\1" * 48})  # fmt: skip
    bent = GOOD.tcb_info(tdxModuleIdentities=[{**identity, "attributes": "01" + "00" * 7}])
    _case(file, "seam_attributes", "attestation 4.5", ["seam_attributes"], "a module that Intel "
          "lists, with a bit", bent, {"seam_attributes": 1})  # fmt: skip
    _case(file, "service_td", "attestation 3.2", "quote", "a service TD",
          body={"service_td": b"\1" + bytes(47)})  # fmt: skip
    _case(file, "measurement", "attestation 4.2", ["measurement"], "another TD",
          body={"measurement": b"\x34" * 48})  # fmt: skip
    wrong = b"\x99" * 48
    for number in range(4):
        registers = (*GENUINE[:number], wrong, *GENUINE[number + 1 :])
        body = {"registers": registers}
        name = f"rtmr{number}"
        _case(file, name, "attestation 4.5", [name], "not a listed value", body=body)
        listed = {**TDX_REQUIREMENTS["tdx"], name: ["98" * 48, "99" * 48]}
        _case(file, f"{name} listed", "attestation 4.5", "ok", "one of two values", body=body,
              required={**TDX_REQUIREMENTS, "tdx": listed})  # fmt: skip
        _unchecked(file, name, body)
    for at, name in enumerate(("mr_config_id", "mr_owner", "mr_owner_config")):
        config = tuple(wrong if each == at else ZERO for each in range(3))
        body = {"config": config}
        _case(file, name, "attestation 4.5", [name], "not zero", body=body)
        listed = {**TDX_REQUIREMENTS["tdx"], name: ["99" * 48]}
        required = {**TDX_REQUIREMENTS, "tdx": listed}
        _case(file, f"{name} listed", "attestation 4.5", "ok", "the listed value", body=body,
              required=required)  # fmt: skip
        _case(file, f"{name} zero", "attestation 4.5", [name], "zero where a value is listed",
              required=required)  # fmt: skip
        _unchecked(file, name, body)
    _case(file, "no table", "attestation 4.5", ["tee"], "a policy without demands on TDs",
          required={"measurements": ["33" * 48]})  # fmt: skip


def _unchecked(file: VectorFile, name: str, body: dict[str, Any]) -> None:
    table = {**TDX_REQUIREMENTS["tdx"], "insecure_unchecked_registers": [name]}
    table.pop(name, None)
    _case(file, f"{name} unchecked", "attestation 4.5", "ok", "the policy says that it may be any",
          body=body, required={**TDX_REQUIREMENTS, "tdx": table})  # fmt: skip


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _case(
    file: VectorFile,
    name: str,
    rule: str,
    expect: str | list[str],
    description: str,
    forge: IntelForge = GOOD,
    body: dict[str, Any] | None = None,
    required: dict[str, Any] = TDX_REQUIREMENTS,
) -> None:
    file.case(
        name, rule, expect, description, evidence=tdx(forge, body),
        policy=policy(ROOT, required), now_ms=NOW_MS,
    )  # fmt: skip


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="evidence/tdx.json",
        description="Evidence with a TDX quote of a simulated platform, and policies; one fault "
        "in each case. Chains and lists are those of SGX: see sgx.json, sgx-collateral.json.",
    )
    file.share("policy", POLICY)
    file.share("root", POLICY["insecure_simulated_root"])
    good = tdx()
    for part in ("quote", "bound", "collateral"):
        file.share(part, good[part])
    for add in (quote_cases, collateral_cases, relaunch_cases, body_cases):
        add(file)
    return [file]
