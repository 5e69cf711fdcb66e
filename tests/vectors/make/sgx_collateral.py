"""Writes evidence/sgx-collateral.json: lists, signers and form of collateral, one fault each."""

from __future__ import annotations

import json

from tests.support.attestation.quote_bodies import sgx_body
from tests.support.forging.certificates import NOW_S
from tests.support.forging.intel import IntelForge
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
            collateral_case(file, f"{name} list: {fault}", f"the {words} {description}",
                  GOOD.crl(name, **changes))  # fmt: skip
        collateral_case(file, f"{name} list: early", f"the {words} is of tomorrow",
              GOOD.crl(name, issued_s=NOW_S + 1), "collateral", rule="attestation 3.3")  # fmt: skip
        for revoked in revocable:
            collateral_case(
                file,
                f"{name} list: {revoked} revoked",
                f"the {words} has the certificate",
                GOOD.crl(name, revoked=(serials[revoked],)),
            )
        collateral_case(
            file,
            f"{name} list: others revoked",
            f"the {words} has other certificates only",
            GOOD.crl(name, revoked=(7, 8)),
            "ok",
        )
    entries = GOOD.collateral_object()
    swapped = {"pck_crl": entries["root_ca_crl"]}
    collateral_case(file, "root list twice", "the PCK list is missing, the root's comes twice",
          GOOD.collateral_with(**swapped))  # fmt: skip
    swapped = {"root_ca_crl": entries["pck_crl"]}
    collateral_case(file, "PCK list twice", "the root's list is missing, the PCK list comes twice",
          GOOD.collateral_with(**swapped))  # fmt: skip


def signer_cases(file: VectorFile) -> None:
    """The chains and signatures of TCB info and QE identity, each alone."""
    for part, words in (("tcb_info", "TCB info"), ("qe_identity", "QE identity")):
        collateral_case(file, f"{part}: signature", f"{words} is signed by another key",
              GOOD.signed_by(**{part: "stranger"}))  # fmt: skip
        body = GOOD.collateral_object()[part]
        collateral_case(file, f"{part}: changed", f"{words} was changed after it was signed",
              GOOD.collateral_with(**{part: body.replace("20", "21", 1)}))  # fmt: skip
        collateral_case(file, f"{part}: spelled anew", f"{words} means the same in other bytes",
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
            collateral_case(
                file, f"{part} signer: {fault}", f"the certificate for {words} {description}", forge
            )
        stranger = GOOD.certificate("root2", of="root", key="stranger", signer="stranger")
        forge = stranger.certificate("tcb2", of="tcb", signer="stranger")
        collateral_case(file, f"{part}: another root", "a chain of one's own with its root",
              forge.chain(**{part: ("tcb2", "root2")}), "collateral")  # fmt: skip
        revoked = GOOD.certificate("tcb2", of="tcb", serial=105).chain(**{part: ("tcb2", "root")})
        collateral_case(file, f"{part}: signer revoked", "the root's list has the certificate",
              revoked.crl("root", revoked=(105,)))  # fmt: skip
        pck = GOOD.certificate("tcb2", of="pck", key="tcb", serial=106, extra=())
        collateral_case(file, f"{part}: signed below the intermediate", "by a certificate of the "
              "intermediate's", pck.chain(**{part: ("tcb2", "middle", "root")}), "collateral",
              rule=FORM)  # fmt: skip


def form_cases(file: VectorFile) -> None:
    """The collateral's own form."""
    whole = GOOD.collateral_object()
    for name in whole:
        collateral_case(
            file,
            f"no {name}",
            "a string is missing",
            GOOD.collateral_with(**{name: None}),
            "collateral",
            rule=FORM,
        )
        collateral_case(file, f"{name}: number", "a number instead of a string",
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
            collateral_case(file, f"{name} chain: {fault}", "a chain is its signer and the root",
                  GOOD.chain(**{name: chain}), "collateral", rule=FORM)  # fmt: skip
    other = GOOD.certificate("middle2", of="middle", subject="other", key="other", serial=107)
    collateral_case(file, "pck_crl chain: another intermediate", "it is not the one in the quote",
          other.chain(pck_crl=("middle2", "root")), "collateral", rule=FORM)  # fmt: skip
    collateral_case(file, "unknown key", "there are nine keys and no others",
          GOOD.collateral_with(more="x"), "collateral", rule=FORM)  # fmt: skip
    collateral_case(
        file,
        "PCK chain of the host's",
        "a key that some libraries read instead of the quote's",
        GOOD.collateral_with(pck_certificate_chain=GOOD.pem(GOOD.data.chain)),
        "collateral",
        rule=FORM,
    )
    for name in ("pck_crl", "root_ca_crl", "tcb_info_signature", "qe_identity_signature"):
        collateral_case(file, f"{name}: capitals", "hex is lower case",
              GOOD.collateral_with(**{name: str.upper}), "collateral", rule=FORM)  # fmt: skip
        collateral_case(
            file,
            f"{name}: odd",
            "hex has two digits a byte",
            GOOD.collateral_with(**{name: lambda old: old + "0"}),
            "collateral",
            rule=FORM,
        )
    for name in ("tcb_info_signature", "qe_identity_signature"):
        for fault, change in (("short", lambda old: old[:-2]), ("long", lambda old: old + "00")):
            collateral_case(file, f"{name}: {fault}", "a signature is 64 bytes",
                  GOOD.collateral_with(**{name: change}), "collateral", rule=FORM)  # fmt: skip
    for name in ("pck_crl", "root_ca_crl"):
        collateral_case(
            file,
            f"{name}: byte behind",
            "a byte follows the list",
            GOOD.collateral_with(**{name: lambda old: old + "00"}),
            "collateral",
            rule=FORM,
        )
        collateral_case(
            file,
            f"{name}: not hex",
            "it is not hex",
            GOOD.collateral_with(**{name: "zz"}),
            "collateral",
            rule=FORM,
        )
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


def collateral_case(
    file: VectorFile,
    name: str,
    description: str,
    forge: IntelForge,
    expect: str = "quote",
    rule: str = RULE,
) -> None:
    """Add a case."""
    file.case(name, rule, expect, description, evidence=sgx(forge), policy=POLICY, now_ms=NOW_MS)


def shared_file(path: str, description: str) -> VectorFile:
    """A file that shares the genuine parts."""
    file = VectorFile(path=path, description=description)
    file.share("policy", POLICY)
    good = sgx()
    for part in ("quote", "bound", "collateral"):
        file.share(part, good[part])
    return file


def files() -> list[VectorFile]:
    """Make the file."""
    file = shared_file(
        "evidence/sgx-collateral.json",
        "Evidence of a simulated SGX platform whose collateral has one fault: its form, its "
        "revocation lists, and the signers of TCB info and QE identity.",
    )
    for add in (list_cases, signer_cases, form_cases):
        add(file)
    return [file]
