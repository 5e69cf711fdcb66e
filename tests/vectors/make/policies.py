"""Writes policies.json: what a verifier demands."""

from __future__ import annotations

from typing import Any

from tests.support.forging.intel import IntelForge
from tests.vectors.make.evidence_parts import MANIFEST, text
from tests.vectors.make.files import VectorFile
from tests.vectors.make.forms import digest, field_faults, name
from tests.vectors.make.verifiers import verifier_cases
from tests.vectors.make.witnesses import witness_tables

HASH, LONG = "11" * 32, "33" * 48
SGX: dict[str, Any] = {
    "tee": "sgx",
    "deployment": "test",
    "manifest_digest": MANIFEST,
    "keybroker": {"measurements": [HASH]},
}
REGISTERS = {"rtmr0": [LONG], "rtmr1": [LONG], "rtmr2": [LONG]}
TDX = {**SGX, "tee": "tdx", "keybroker": {"measurements": [LONG], "tdx": REGISTERS}}
PARTS = {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
FIRMWARE = {"min_tcb": {"Milan": PARTS}}
SNP = {**SGX, "tee": "snp", "keybroker": {"measurements": [LONG], "snp": FIRMWARE}}
ROOT = text(IntelForge().root_der)
SIMULATED = {**SGX, "tee": "simulated", "insecure_simulated_root": ROOT}
SIGNER_ONLY = {"insecure_signer_only": True, "signers": [HASH], "product_id": 1, "min_svn": 1}
WAIVER = {"until": "2026-12-31", "reason": "new microcode is late"}
BAD = "config"
_TEXTS = ("x", 7, [7], [None], {}, True)


def policy_cases(file: VectorFile) -> None:
    """The JSON form."""

    def case(title: str, rule: str, expect: str, description: str, value: Any) -> None:
        file.case(title, f"policy {rule}", expect, description, json=value)

    def demand(title: str, rule: str, expect: str, description: str, table: Any,
               base: dict[str, Any] = SGX) -> None:  # fmt: skip
        case(title, rule, expect, description, {**base, "keybroker": table})

    for title, value in (("sgx", SGX), ("tdx", TDX), ("snp", SNP), ("simulated", SIMULATED)):
        case(title, "2", "ok", "the least that there must be", value)
    forms = {"tee": ("SGX", "nitro", "", 7, None), "deployment": name, "manifest_digest": digest,
             "keybroker": ("x", [], 7, None, {})}  # fmt: skip
    for title, changed in field_faults(SGX, forms):
        case(title, "2", BAD, "not its form", changed)
    for title, value in (
        ("root on hardware", {**SGX, "insecure_simulated_root": ROOT}),
        ("root: null on hardware", {**SGX, "insecure_simulated_root": None}),
        ("no root", {k: v for k, v in SIMULATED.items() if k != "insecure_simulated_root"}),
        ("root: null", {**SIMULATED, "insecure_simulated_root": None}),
        ("root: number", {**SIMULATED, "insecure_simulated_root": 7}),
        ("root: not base64", {**SIMULATED, "insecure_simulated_root": "%"}),
        ("root of 4,097 bytes", {**SIMULATED, "insecure_simulated_root": text(bytes(4097))}),
    ):
        case(title, "2", BAD, "only and always for a simulation", value)
    for title, expect, table in witness_tables():
        case(f"log: {title}", "7.3", expect, "the table `log`", {**SGX, "log": table})
    case("unknown key", "1.2", BAD, "a closed format", {**SGX, "more": 1})
    case("critical", "1.2", BAD, "a closed format", {**SGX, "critical": ["more"], "more": 1})
    case("format 1", "1.2", "ok", "it may be written", {**SGX, "format": 1})
    case("format 2", "1.2", "format", "another format", {**SGX, "format": 2})
    for wrong in ("1", None, True, 1.5):
        case(f"format {wrong!r}", "1.2", BAD, "an integer", {**SGX, "format": wrong})
    for number, suites in enumerate((["x-wing"], ["x25519", "x-wing"]), 1):
        case(f"suites: good {number}", "2", "ok", "which to seal by", {**SGX, "suites": suites})
    for number, suites in enumerate(
        ([], ["x-wing", "x-wing"], ["X-Wing"], ["0x0001"], [1], "x-wing", None, {}), 1
    ):
        case(f"suites: form {number}", "2", BAD, "different ones of two", {**SGX, "suites": suites})
    for value in (True, False):
        case(f"share_batch {value}", "2", "ok", "may rows share", {**SGX, "share_batch": value})
    for wrong in ("true", 1, None, []):
        case(f"share_batch {wrong!r}", "2", BAD, "a flag", {**SGX, "share_batch": wrong})
    case("a list", "1.1", BAD, "one table", [SGX])
    for title, models, expect in (
        ("none", {}, "ok"),
        ("one", {"m": [HASH]}, "ok"),
        ("two packages", {"m": [HASH, MANIFEST]}, "ok"),
        ("empty list", {"m": []}, BAD),
        ("text", {"m": HASH}, BAD),
        ("number", {"m": [7]}, BAD),
        ("short digest", {"m": [HASH[:-1]]}, BAD),
        ("bad name", {"a b": [HASH]}, BAD),
        ("list", [HASH], BAD),
        ("null", None, BAD),
        ("table", {"m": {HASH: True}}, BAD),
    ):
        case(f"models: {title}", "2.1", expect, "digests by name", {**SGX, "models": models})
    keys = [f"{number:064x}" for number in range(257)]
    for title, owners, expect in (
        ("none", {}, "ok"),
        ("one", {"m": [HASH]}, "ok"),
        ("any name", {"*": [HASH], "m": [MANIFEST]}, "ok"),
        ("empty list", {"m": []}, BAD),
        ("text", {"m": HASH}, BAD),
        ("short key", {"m": [HASH[:-1]]}, BAD),
        ("bad name", {"m*": [HASH]}, BAD),
        ("list", [HASH], BAD),
        ("null", None, BAD),
        ("256 keys", {"m": keys[:256]}, "ok"),
        ("257 keys", {"m": keys}, BAD),
    ):
        case(f"owners: {title}", "2.5", expect, "keys by name", {**SGX, "owners": owners})
    case("worker", "2.2", "ok", "an owner's demands", {**SGX, "worker": {"measurements": [HASH]}})
    for title, table in (("empty", {}), ("of TDX", {"measurements": [LONG]}), ("text", "x"),
                         ("unknown key", {"measurements": [HASH], "more": 1})):  # fmt: skip
        case(f"worker: {title}", "2.2", BAD, "its form is checked", {**SGX, "worker": table})
    _code_cases(demand)
    _machine_cases(demand)
    _table_cases(demand)


def _code_cases(demand: Any) -> None:
    base = {"measurements": [HASH]}
    for title, table, expect in (
        ("unknown key", {**base, "more": 1}, BAD),
        ("nothing", {}, BAD),
        ("no measurements", {"signers": [HASH]}, BAD),
        ("empty measurements", {"measurements": []}, BAD),
        ("two measurements", {"measurements": [HASH, MANIFEST]}, "ok"),
        ("one twice", {"measurements": [HASH, HASH]}, "ok"),
        ("capitals", {"measurements": ["AB" * 32]}, BAD),
        ("63 digits", {"measurements": [HASH[:-1]]}, BAD),
        ("65 digits", {"measurements": [HASH + "1"]}, BAD),
        ("96 digits", {"measurements": [LONG]}, BAD),
        ("one of 96 digits", {"measurements": [HASH, LONG]}, BAD),
        ("signers of 96 digits", {**base, "signers": [LONG]}, BAD),
        ("257 measurements", {"measurements": [f"{n:064x}" for n in range(257)]}, BAD),
        ("256 measurements", {"measurements": [f"{n:064x}" for n in range(256)]}, "ok"),
        *((f"measurements: {wrong!r}", {"measurements": wrong}, BAD) for wrong in _TEXTS),
        *((f"signers: {wrong!r}", {**base, "signers": wrong}, BAD) for wrong in _TEXTS),
        *((f"product_id {wrong!r}", {**base, "product_id": wrong}, BAD)
          for wrong in (-1, 65536, "1", True, None, 1.0)),
        *((f"product_id {good}", {**base, "product_id": good}, "ok") for good in (0, 65535)),
        *((f"min_svn {wrong!r}", {**base, "min_svn": wrong}, BAD)
          for wrong in (-1, 65536, "1", True, None, 1.0)),
        ("min_svn 65535", {**base, "min_svn": 65535}, "ok"),
        ("signer only", SIGNER_ONLY, "ok"),
        ("signer only: measurements", {**SIGNER_ONLY, **base}, BAD),
        *((f"signer only: no {key}", {k: v for k, v in SIGNER_ONLY.items() if k != key}, BAD)
          for key in ("signers", "product_id", "min_svn")),
        ("signer only: svn 0", {**SIGNER_ONLY, "min_svn": 0}, BAD),
        *((f"signer only: {wrong!r}", {**base, "insecure_signer_only": wrong}, BAD)
          for wrong in ("true", 1, None)),
    ):  # fmt: skip
        demand(f"code: {title}", "3.1", expect, "whose code", table)
    for base_policy, words in ((TDX, "tdx"), (SNP, "snp")):
        table = base_policy["keybroker"]
        for title, changes in (
            ("product_id", {"product_id": 1}),
            ("short measurement", {"measurements": [HASH]}),
            ("short signer", {"signers": [HASH]}),
        ):
            demand(
                f"{words}: {title}", "3.3", BAD, "of SGX alone", {**table, **changes}, base_policy
            )
        only = {**SIGNER_ONLY, "signers": [LONG], words: table[words]}
        demand(f"{words}: signer only", "3", BAD, "of SGX alone", only, base_policy)
    both = {"measurements": [HASH, LONG]}
    demand("simulated: both lengths", "3.3", "ok", "it imitates any form", both, SIMULATED)


def _machine_cases(demand: Any) -> None:
    base = {"measurements": [HASH]}
    for key, good, bad in (
        ("tcb_statuses", ([], ["SWHardeningNeeded"], ["UpToDate", "ConfigurationNeeded"]),
         (["OutOfDate"], ["UpToDate", "OutOfDateConfigurationNeeded"], ["uptodate"], ["Revoked"],
          "UpToDate", [7], None)),
        ("advisories", ([], ["INTEL-SA-00615"]),
         (["INTEL-SA-615"], ["INTEL-SA-006150"], ["intel-sa-00615"], [""], "INTEL-SA-00615", None)),
        ("platform_flags", ([], ["smt_enabled", "cached_keys", "dynamic_platform"],
                            ["aliases_unchecked"]),
         (["SMT_enabled"], ["smt"], "smt_enabled", None)),
        ("max_collateral_age_s", (0, 316_224_000), (-1, 316_224_001, "1", True, None, 1.0)),
        ("min_tcb_evaluation", (0, 2**31), (-1, 2**31 + 1, "1", True, None)),
        ("insecure_out_of_date", (WAIVER, {**WAIVER, "reason": "x" * 200}),
         ({}, {"until": "2026-12-31"}, {"reason": "x"}, {**WAIVER, "reason": ""},
          {**WAIVER, "reason": 7},
          {**WAIVER, "reason": "x" * 201}, {**WAIVER, "until": "31.12.2026"},
          {**WAIVER, "until": "2026-13-01"}, {**WAIVER, "until": "2026-02-30"},
          {**WAIVER, "until": "20261231"}, {**WAIVER, "until": "2026-W53-4"},
          {**WAIVER, "until": 20261231}, {**WAIVER, "more": 1}, "2026-12-31", None)),
    ):  # fmt: skip
        for expect, values in (("ok", good), (BAD, bad)):
            for number, value in enumerate(values, 1):
                demand(f"{key}: {'good' if expect == 'ok' else 'form'} {number}", "4", expect,
                       "its form and range", {**base, key: value})  # fmt: skip


def _table_cases(demand: Any) -> None:
    tdx, snp = TDX["keybroker"], SNP["keybroker"]
    demand("tdx: no table", "5.1", BAD, "it is required", {"measurements": [LONG]}, TDX)
    demand("tdx for sgx", "5.1", BAD, "it is refused",
           {"measurements": [HASH], "tdx": REGISTERS})  # fmt: skip
    demand("tdx for snp", "5.1", BAD, "it is refused", {**snp, "tdx": REGISTERS}, SNP)
    demand("tdx for a simulation", "5.1", "ok", "it imitates any form", tdx, SIMULATED)
    demand("snp: no table", "6.1", BAD, "it is required", {"measurements": [LONG]}, SNP)
    demand("snp for sgx", "6.1", BAD, "it is refused", {"measurements": [HASH], "snp": FIRMWARE})
    demand("snp for tdx", "6.1", BAD, "it is refused", {**tdx, "snp": FIRMWARE}, TDX)
    demand("snp for a simulation", "6.1", "ok", "it imitates any form", snp, SIMULATED)
    for register in ("rtmr0", "rtmr1", "rtmr2"):
        less = {key: value for key, value in REGISTERS.items() if key != register}
        demand(
            f"no {register}", "5", BAD, "it must be listed or unchecked", {**tdx, "tdx": less}, TDX
        )
        empty = {**REGISTERS, register: []}
        demand(f"{register} empty", "5", BAD, "it must be listed", {**tdx, "tdx": empty}, TDX)
        free = {**less, "insecure_unchecked_registers": [register]}
        demand(f"{register} unchecked", "5", "ok", "it is named", {**tdx, "tdx": free}, TDX)
    for title, changes in (
        ("unknown key", {"more": []}),
        ("unknown register", {"insecure_unchecked_registers": ["rtmr4"]}),
        ("short value", {"rtmr3": ["11" * 47]}),
        ("capitals", {"mr_owner": ["AB" * 48]}),
        ("64 digits", {"rtmr3": [HASH]}),
        ("text", {"mr_config_id": LONG}),
        ("null", {"rtmr3": None}),
    ):
        table = {**REGISTERS, **changes}
        demand(f"tdx: {title}", "5", BAD, "not its form", {**tdx, "tdx": table}, TDX)
    demand("tdx: no table but text", "5", BAD, "a table", {**tdx, "tdx": "x"}, TDX)
    for title, table, expect in (
        ("all", {"min_tcb": {"Milan": PARTS, "Genoa": PARTS, "Turin": {**PARTS, "fmc": 255}},
                 "host_data": [HASH], "vmpl": 3, "insecure_no_revocations": True,
                 "author_keys": [LONG], "insecure_any_tcb": True}, "ok"),
        ("unknown key", {**FIRMWARE, "more": 1}, BAD),
        ("empty", {}, BAD),
        ("no product", {"min_tcb": {}}, BAD),
        ("any TCB", {"insecure_any_tcb": True}, "ok"),
        ("any TCB, no product", {"min_tcb": {}, "insecure_any_tcb": True}, "ok"),
        ("any TCB: false", {"insecure_any_tcb": False}, BAD),
        ("any TCB: number", {**FIRMWARE, "insecure_any_tcb": 1}, BAD),
        ("unknown product", {"min_tcb": {"Rome": PARTS}}, BAD),
        ("no part", {"min_tcb": {"Milan": {}}}, BAD),
        ("a part is missing", {"min_tcb": {"Milan": {k: v for k, v in PARTS.items() if v}}}, BAD),
        ("no fmc for Turin", {"min_tcb": {"Turin": PARTS}}, BAD),
        ("fmc for Genoa", {"min_tcb": {"Genoa": {**PARTS, "fmc": 1}}}, BAD),
        ("parts without a product", {"min_tcb": PARTS}, BAD),
        ("a part beside a product", {"min_tcb": {"Milan": PARTS, "snp": 1}}, BAD),
        ("unknown part", {"min_tcb": {"Milan": {**PARTS, "kernel": 1}}}, BAD),
        *((f"part {bad!r}", {"min_tcb": {"Milan": {**PARTS, "snp": bad}}}, BAD)
          for bad in (256, -1, "1", None)),
        ("parts list", {"min_tcb": {"Milan": [1]}}, BAD),
        ("products list", {"min_tcb": ["Milan"]}, BAD),
        ("author key of 64 digits", {**FIRMWARE, "author_keys": [HASH]}, BAD),
        ("vmpl 4", {**FIRMWARE, "vmpl": 4}, BAD),
        ("vmpl -1", {**FIRMWARE, "vmpl": -1}, BAD),
        ("vmpl text", {**FIRMWARE, "vmpl": "0"}, BAD),
        ("host data of 96 digits", {**FIRMWARE, "host_data": [LONG]}, BAD),
        ("host data short", {**FIRMWARE, "host_data": ["11"]}, BAD),
        ("revocations text", {**FIRMWARE, "insecure_no_revocations": "true"}, BAD),
    ):  # fmt: skip
        demand(f"snp: {title}", "6", expect, "its form", {**snp, "snp": table}, SNP)


def toml_cases(file: VectorFile) -> None:
    """The TOML form."""
    head = f'tee = "sgx"\ndeployment = "test"\nmanifest_digest = "{MANIFEST}"\n'
    table = f'[keybroker]\nmeasurements = ["{HASH}"]\n'
    exception = '[keybroker.insecure_out_of_date]\nreason = "late"\n'
    for title, spelled, expect, description in (
        ("good", head + table, "ok", "the least"),
        ("comments", "# why\n" + head + "\n" + table, "ok", "they say nothing"),
        ("inline table", head + f'keybroker = {{ measurements = ["{HASH}"] }}\n', "ok", "the same"),
        ("dotted key", head + f'keybroker.measurements = ["{HASH}"]\n', "ok", "the same"),
        ("key twice", head + 'deployment = "test"\n' + table, BAD, "no TOML"),
        ("table twice", head + table + table, BAD, "no TOML"),
        ("not TOML", head + "keybroker = {\n", BAD, "no TOML"),
        ("float", head + table + "min_svn = 3.0\n", BAD, "an integer"),
        ("integer", head + table + "min_svn = 3\n", "ok", "an integer"),
        ("hex", head + table + "min_svn = 0x3\n", "ok", "the same integer"),
        ("date", head + table + exception + "until = 2026-12-31\n", BAD, "a text"),
        ("date as text", head + table + exception + 'until = "2026-12-31"\n', "ok", "a text"),
        ("unknown table", head + table + "[more]\n", BAD, "a closed format"),
        ("64 KiB", (head + table).ljust(65_536, "\n"), "ok", "as long as allowed"),
        ("over 64 KiB", (head + table).ljust(65_537, "\n"), BAD, "one byte too many"),
        ("empty", "", BAD, "keys are missing"),
        ("BOM", "\ufeff" + head + table, BAD, "no TOML"),
    ):
        file.case(f"TOML: {title}", "policy 1.1", expect, description, toml=spelled)


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="policies.json",
        description="Policies as JSON (`json`) or as the text of a file (`toml`). `config`: it is "
        "refused before anything is judged by it.",
    )
    file.share("root", ROOT)
    policy_cases(file)
    verifier_cases(file, SGX)
    toml_cases(file)
    return [file]
