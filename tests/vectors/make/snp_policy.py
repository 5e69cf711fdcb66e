"""The cases of evidence/snp.json about what a policy accepts of guest and firmware."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.forging.amd import (
    CHIP,
    GUEST_POLICY,
    MILAN,
    PLATFORM_INFO,
    TURIN,
    tcb_bytes,
)
from tests.vectors.make.evidence_parts import SNP_REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.forging.amd import AmdForge


def policy_cases(case: Callable[..., None], good: AmdForge) -> None:
    """What a policy accepts of guest and firmware."""
    rule = "attestation 4.6"

    case("measurement", "attestation 4.2", ["measurement"], "other code",
          measurement=b"\x12" * 48)  # fmt: skip
    signed = {**SNP_REQUIREMENTS, "signers": ["22" * 48], "min_svn": 5}
    case("signer and svn", "attestation 4.2", "ok", "as demanded", required=signed)
    case("signer", "attestation 4.2", ["signer"], "another id key", required=signed,
          id_key=b"\x23" * 48)  # fmt: skip
    case("svn", "attestation 4.2", ["svn"], "an older guest", required=signed, svn=4)
    allowed = (*range(16), 20, 22, 23, 24, 25)
    for bit in (0, 8, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 63):
        case(f"guest policy: bit {bit}", rule, "ok" if bit in allowed else ["guest_policy"],
              "which bits no policy can allow", guest_policy=GUEST_POLICY | 1 << bit)  # fmt: skip
    case("guest policy: reserved one", rule, ["guest_policy"], "bit 17 must be 1",
          guest_policy=1 << 16)  # fmt: skip
    quiet = {name: each for name, each in SNP_REQUIREMENTS.items() if name != "platform_flags"}
    case("SMT", rule, ["platform_flags"], "the guest allows SMT, the policy does not",
          required=quiet)  # fmt: skip
    case("no SMT", rule, "ok", "the guest forbids SMT", required=quiet,
          guest_policy=1 << 17)  # fmt: skip
    case("vmpl", rule, ["vmpl"], "asked for at level 1", vmpl=1)
    case("vmpl accepted", rule, "ok", "the policy says 1", required=_required(vmpl=1), vmpl=1)
    case("vmpl lower", rule, ["vmpl"], "exactly the policy's", required=_required(vmpl=1))
    host = b"\x77" * 32
    listed = _required(host_data=["77" * 32, "78" * 32])
    case("host data", rule, ["host_data"], "not zero", host_data=host)
    case("host data listed", rule, "ok", "one of two", required=listed, host_data=host)
    case("host data zero", rule, ["host_data"], "zero where values are", required=listed)
    _firmware_cases(case, good)
    case("aliases", rule, ["platform_flags"], "memory was not checked for aliases",
          platform_info=PLATFORM_INFO ^ 1 << 5)  # fmt: skip
    flags = {"platform_flags": ["smt_enabled", "aliases_unchecked"]}
    case("aliases accepted", rule, "ok", "the policy names it",
          required={**SNP_REQUIREMENTS, **flags}, platform_info=0)  # fmt: skip
    author = b"\x78" * 48
    case("author key", rule, ["author_key"], "none is accepted", author_key=author)
    listed = _required(author_keys=["78" * 48, "79" * 48])
    case("author key listed", rule, "ok", "one of two", required=listed, author_key=author)
    case("no author key", rule, ["author_key"], "one is demanded", required=listed)
    none = {name: each for name, each in SNP_REQUIREMENTS.items() if name != "snp"}
    case("no table and no list", rule, ["revocations", "tee"], "neither is there",
          replace(good, crl=None), required=none)  # fmt: skip
    case(
        "no table",
        rule,
        ["tee"],
        "a policy without demands on SNP guests",
        required={name: each for name, each in SNP_REQUIREMENTS.items() if name != "snp"},
    )


def _required(**changes: Any) -> dict[str, Any]:
    return {**SNP_REQUIREMENTS, "snp": {**SNP_REQUIREMENTS["snp"], **changes}}


def _firmware_cases(case: Callable[..., None], good: AmdForge) -> None:
    rule = "attestation 4.6"
    for part in MILAN:
        lower = {**MILAN, part: MILAN[part] - 1}
        case(f"reported {part}", rule, ["reported_tcb"], "an older version is reported",
              good.leaf(lower), reported=tcb_bytes(lower))  # fmt: skip
        case(f"committed {part}", rule, ["committed_tcb"], "an older one is committed",
              committed=tcb_bytes(lower))  # fmt: skip
        case(f"launch {part}", rule, ["launch_tcb"], "it was started by an older one",
              launch=tcb_bytes(lower))  # fmt: skip
    new = {"cpu": (0x1A, 1), "chip": CHIP[:8], "launch": tcb_bytes(TURIN)}
    lower = {**TURIN, "fmc": 1}
    for kind, parts in (
        ("reported", {"reported": tcb_bytes(lower), "committed": tcb_bytes(TURIN)}),
        ("committed", {"reported": tcb_bytes(TURIN), "committed": tcb_bytes(lower)}),
    ):
        leaf = good.leaf(lower if kind == "reported" else TURIN, product="Turin", chip=CHIP[:8])
        case(f"{kind} fmc", rule, [f"{kind}_tcb"], "an older version", leaf,
              **parts, **new)  # fmt: skip
    case("product", rule, ["product"], "the policy names another one",
          required=_required(min_tcb={"Turin": TURIN}))  # fmt: skip
    anything = _required(min_tcb={}, insecure_any_tcb=True)
    case("any TCB", rule, "ok", "the policy says so", required=anything)
    both = _required(insecure_any_tcb=True)
    case("any TCB, and one named", rule, ["committed_tcb"], "what is named counts",
          required=both, committed=tcb_bytes({**MILAN, "tee": 0}))  # fmt: skip
    for cpu, least in (((0x19, 1, 1), 219), ((0x19, 1, 2), 68), ((0x19, 1, 0), 0)):
        for version in {max(least - 1, 0), least}:
            tcb = {**MILAN, "microcode": version}
            one = _required(min_tcb={"Milan": {**MILAN, "microcode": 0}})
            bad = ["reported_tcb", "committed_tcb", "launch_tcb"]
            named = f"microcode {version} of stepping {cpu[2]}"
            case(named, rule, "ok" if version == least else bad,
                  "the first one that takes no forged updates", good.leaf(tcb), required=one,
                  tcb=tcb, cpu=cpu)  # fmt: skip
            if version < least:
                case(f"{named}, any TCB", rule, "ok", "the policy says so", good.leaf(tcb),
                      required=anything, tcb=tcb, cpu=cpu)  # fmt: skip
