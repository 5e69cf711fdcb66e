"""Writes settings.json: settings of deployments, in their one form."""

from __future__ import annotations

import json
from typing import Any

from sealflow.attest.deployment import TIMES, Deployment
from sealflow.attest.evidence import Tee
from sealflow.attest.requirements import Requirements
from sealflow.attest.vm_requirements import SnpRequirements, TdxRequirements
from tests.support.forging.intel import IntelForge
from tests.vectors.make.directory_parts import OWNER
from tests.vectors.make.evidence_parts import MANIFEST
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import field_faults, name
from tests.vectors.make.policies import HASH, LONG, REGISTERS
from tests.vectors.make.spellings import BAD_JSON


def settings_cases(file: VectorFile) -> None:
    """Settings of deployments, in their one form."""
    root = IntelForge().root_der
    good = Deployment(
        name="test", tee=Tee.SIMULATED, owners=frozenset({OWNER, HASH}),
        operators=frozenset({MANIFEST}),
        keybroker=Requirements(measurements=frozenset({HASH})),
        worker=Requirements(measurements=frozenset({HASH}), min_svn=2),
        insecure_simulated_root=root,
    ).to_bytes()  # fmt: skip
    tdx = TdxRequirements(registers={each: frozenset({LONG}) for each in REGISTERS})
    snp = SnpRequirements(
        min_tcb={"Milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}}
    )
    hardware = {
        Tee.SGX: Requirements(measurements=frozenset({HASH})),
        Tee.TDX: Requirements(measurements=frozenset({LONG}), tdx=tdx),
        Tee.SNP: Requirements(measurements=frozenset({LONG}), snp=snp),
    }

    def case(title: str, expect: str, description: str, value: Any, rule: str = "attestation 5.1",
             ) -> None:  # fmt: skip
        spelled = value if isinstance(value, str) else _canonical(value)
        file.case(title, rule, expect, description, settings=spelled)

    value: dict[str, Any] = json.loads(good)
    case("good", "ok", "in its one form", value)
    for tee, found in hardware.items():
        made = Deployment(name="test", tee=tee, owners=frozenset(), keybroker=found, worker=found)
        case(f"good: {tee}", "ok", "in its one form", made.to_bytes().decode())
    bad = "settings"
    for title, names, expect in (
        ("names", {OWNER: ["lung", "mri-*"]}, "ok"),
        ("any name", {OWNER: ["*"]}, "ok"),
        ("nothing", {OWNER: []}, "ok"),
        ("none", {}, bad),
        ("null", None, bad),
        ("list", [], bad),
        ("not an owner", {"ab" * 32: ["lung"]}, bad),
        ("no key", {"ab": ["lung"]}, bad),
        ("not sorted", {OWNER: ["mri-*", "lung"]}, bad),
        ("one twice", {OWNER: ["lung", "lung"]}, bad),
        ("not a name", {OWNER: ["-x"]}, bad),
        ("star within", {OWNER: ["a*b"]}, bad),
        ("two stars", {OWNER: ["a**"]}, bad),
        ("number", {OWNER: [7]}, bad),
        ("text", {OWNER: "lung"}, bad),
    ):
        case(f"names: {title}", expect, "which names an owner may use", {**value, "names": names},
             "attestation 5.2")  # fmt: skip
    case("tenants", "ok", "the authority of tenants", {**value, "tenants": OWNER}, "attestation 5")
    for title, wrong in (("null", None), ("capitals", OWNER.upper()), ("text", "x"), ("number", 7)):
        case(f"tenants: {title}", bad, "not a key", {**value, "tenants": wrong}, "attestation 5")
    numbers = ("1", True, None, 1.5, -1)
    forms = {"deployment": name, "tee": ("SGX", "", 7, None), "owners": ([7], "x", None, ["ab"]),
             "suites": ([], ["x-wing", "x-wing"], ["X-Wing"], [1], "x-wing", None),
             "operators": ([7], "x", None, ["AB" * 32]), "keybroker": ({}, "x", None),
             "worker": ({}, "x", None), "insecure_simulated_root": ("%", 7),
             **dict.fromkeys(TIMES, numbers)}  # fmt: skip
    for title, changed in field_faults(value, forms):
        case(title, bad, "not its form", changed)
    for time, (least, most) in TIMES.items():
        for wrong in (least - 1, most + 1):
            case(f"{time} {wrong}", bad, "out of its range", _fitting(value, {time: wrong}),
                 "keybroker 1")  # fmt: skip
    for title, times in (
        ("grace", {"grace_s": 899}),
        ("skew", {"epoch_s": 299, "directory_s": 299, "lease_s": 598}),
        ("lease", {"lease_s": 7201}),
        ("long grace", {"epoch_s": 300, "directory_s": 300, "lease_s": 600, "grace_s": 7201}),
        ("directory", {"directory_s": 3601}),
    ):
        case(f"times: {title}", bad, "they contradict each other", {**value, **times},
             "keybroker 1.1")  # fmt: skip
    for title, times in (
        ("grace", {"grace_s": 900}),
        ("skew", {"epoch_s": 300, "directory_s": 300, "lease_s": 600}),
        ("lease", {"lease_s": 7200}),
        ("long grace", {"epoch_s": 300, "directory_s": 300, "lease_s": 600, "grace_s": 7200}),
        ("directory", {"directory_s": 3600}),
    ):
        case(f"times: {title}, just so", "ok", "they fit", {**value, **times}, "keybroker 1.1")
    case("no root", bad, "a simulation names its root", {**value, "insecure_simulated_root": None})
    case("root on hardware", bad, "hardware has none", {**value, "tee": "sgx"})
    long = {**value["worker"], "measurements": [LONG]}
    case("demands of another TEE", bad, "96 digits", {
        **value, "tee": "sgx", "insecure_simulated_root": None, "worker": long})  # fmt: skip
    case("share_batch", "ok", "written only if true", {**value, "share_batch": True},
         "attestation 5.4")  # fmt: skip
    for wrong in (False, 1, "true", None):
        case(f"share_batch {wrong!r}", bad, "true, or absent", {**value, "share_batch": wrong},
             "attestation 5.4")  # fmt: skip
    case("unknown key", bad, "a closed format", {**value, "more": 1})
    case("format 2", "format", "another format", {**value, "format": 2})
    case("no format", bad, "it is required", {k: v for k, v in value.items() if k != "format"})
    for title, spelled in (
        ("spaces", json.dumps(value, sort_keys=True)),
        ("order of keys", json.dumps(dict(reversed(value.items())), separators=(",", ":"))),
        ("order of a list", _canonical({**value, "owners": value["owners"][::-1]})),
        ("one twice", _canonical({**value, "owners": [*value["owners"], value["owners"][1]]})),
        ("default left out", _canonical({**value, "worker": {"measurements": [HASH]}})),
        ("line end", good.decode() + "\n"),
        ("escaped", good.decode().replace("test", "\\u0074est", 1)),
    ):
        case(f"spelling: {title}", bad, "there is one form", spelled, "envelope 2.11")
    for fault, change, description in BAD_JSON:
        try:
            case(f"JSON: {fault}", bad, description, change(good).decode(), "envelope 2.2")
        except UnicodeDecodeError:
            continue
    long = {**value, "owners": [f"{each:064x}" for each in range(1000)]}
    case("over 64 KiB", bad, "as few owners as allowed, and still too long", long)
    many = [f"{each:064x}" for each in range(1025)]
    case("1,025 owners", bad, "one too many", {**value, "owners": many})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _fitting(value: dict[str, Any], wrong: dict[str, int]) -> dict[str, Any]:
    """Settings of which one time is out of range, and the others fit as far as they can."""
    wide = {"epoch_s": 604_800, "grace_s": 172_800, "residence_s": 1, "clock_skew_s": 0,
            "lease_s": 4, "directory_s": 4}  # fmt: skip
    if wrong.get("epoch_s", 10**9) < 5:
        wide |= {"directory_s": 4, "lease_s": 4}
    if wrong.get("grace_s", 10**9) < 2:
        wide |= {"residence_s": 1, "clock_skew_s": 0}
    return {**value, **wide, **wrong}


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="settings.json",
        description="Settings of a deployment as text; they have one spelling.",
    )
    settings_cases(file)
    return [file]
