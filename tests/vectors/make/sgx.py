"""Writes evidence/sgx.json: quotes of SGX and the certificates inside, one fault each."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from sealflow.attest.evidence import Role, Tee
from sealflow.wire.domain import TrustDomain
from tests.support.attestation.quote_bodies import sgx_body
from tests.support.forging.certificates import NOW_S
from tests.support.forging.intel import IntelForge
from tests.support.forging.pck_extension import SGX_OID, pck_extension
from tests.vectors.make.evidence_parts import (
    NOW_MS,
    SGX_REQUIREMENTS,
    claims,
    policy,
    sgx,
    text,
)
from tests.vectors.make.files import VectorFile

GOOD = IntelForge()
POLICY = policy(GOOD.root_der, SGX_REQUIREMENTS)
FORM, CHAIN, KEY = "attestation 3.2", "attestation 3.2", "attestation 3.2"
LATER, EARLIER = NOW_S + 100, NOW_S - 100


def altered(evidence: dict[str, Any], **parts: bytes) -> dict[str, Any]:
    """Evidence with other bytes in a part."""
    return {**evidence, **{name: text(value) for name, value in parts.items()}}


def quote_cases(file: VectorFile) -> None:
    """The quote's own form."""
    good = sgx()
    quote = b64decode(good["quote"])
    end = 48 + 384

    def case(name: str, expect: str, description: str, evidence: Any) -> None:
        file.case(name, FORM, expect, description, evidence=evidence, policy=POLICY, now_ms=NOW_MS)

    case("good", "ok", "a genuine quote", good)
    case("zeros behind", "ok", "zeros follow the quote", altered(good, quote=quote + bytes(100)))
    case("byte behind", "quote", "one other byte follows", altered(good, quote=quote + b"\1"))
    case(
        "byte behind zeros", "quote", "zeros and one other byte follow",
        altered(good, quote=quote + bytes(99) + b"\1"),
    )  # fmt: skip
    case("empty", "quote", "no bytes at all", altered(good, quote=b""))
    case("header cut", "quote", "it ends within its header", altered(good, quote=quote[:47]))
    case("body cut", "quote", "it ends within its body", altered(good, quote=quote[: end - 1]))
    case("length cut", "quote", "it ends before the length", altered(good, quote=quote[: end + 3]))
    case("cut", "quote", "its last byte is missing", altered(good, quote=quote[:-1]))
    for version in (2, 4, 5, 6):
        forge = GOOD.head(version=version)
        case(f"version {version}", "quote", "an SGX quote has version 3", sgx(forge))
    case("tee type", "quote", "neither SGX nor TDX", sgx(GOOD.head(tee_type=1)))
    case("key type", "quote", "ECDSA on P-384", sgx(GOOD.head(key_type=3)))
    case("vendor", "quote", "another maker's quoting enclave", sgx(GOOD.head(vendor=bytes(16))))
    for name, changes, description in (
        ("signature data longer", {"length": 4200}, "its length is over what follows"),
        ("signature data shorter", {"length": 500}, "its length ends within the QE report"),
        ("auth length", {"auth_length": 33}, "the QE's data is said to be one byte longer"),
        ("auth length over", {"auth_length": 65535}, "the QE's data is said to be longer than all"),
        ("chain length", {"chain_length": 2**31}, "the chain is said to be longer than all"),
        ("certification 1", {"certification": 1}, "the platform's id, not a chain"),
        ("certification 4", {"certification": 4}, "a PCK certificate, not a chain"),
        ("certification 6", {"certification": 6}, "a QE report, not a chain"),
        ("no chain", {"chain": ""}, "no certificate"),
        ("chain not PEM", {"chain": "no certificates"}, "text instead of certificates"),
    ):
        case(name, "quote", description, sgx(GOOD.quoting(**changes)))


def signature_cases(file: VectorFile) -> None:
    """Who signed what."""

    def case(name: str, description: str, evidence: Any, expect: str = "quote") -> None:
        file.case(name, KEY, expect, description, evidence=evidence, policy=POLICY, now_ms=NOW_MS)

    good = sgx()
    quote = bytearray(b64decode(good["quote"]))
    for name, at in (("header", 30), ("body", 48 + 300)):
        flipped = bytearray(quote)
        flipped[at] ^= 1
        case(f"{name} flipped", f"one bit of the {name}", altered(good, quote=bytes(flipped)))
    case("quote signature", "signed by another key", sgx(GOOD.quoting(signer="stranger")))
    mine = {"signer": "stranger", "attestation_key": "stranger"}
    genuine = b64decode(good["quote"])[48 + 384 + 4 + 128 + 320 :][:64]
    case(
        "attestation key",
        "another key than the one that the QE report names, and it signed the quote",
        sgx(GOOD.quoting(**mine, qe_data=genuine)),
    )
    case(
        "auth data",
        "other data of the QE than the one that the QE report names",
        sgx(GOOD.quoting(auth=b"\xbb" * 32, qe_data=genuine)),
    )
    case("QE report data zero", "it names no key", sgx(GOOD.quoting(qe_data=bytes(64))))
    case("QE signature", "not by the PCK's key", sgx(GOOD.quoting(qe_signer="stranger")))
    for name, body, expect in (
        ("debug", {"attributes": 0x07}, "quote"),
        ("QE debug", None, "quote"),
    ):
        forge = GOOD if body else GOOD.quoting(qe={"attributes": 0x13}).qe_identity(
            attributes="13" + "00" * 15, attributesMask="00" * 16
        )  # fmt: skip
        case(name, "no policy can allow it", sgx(forge, body), expect)


def chain_cases(file: VectorFile) -> None:
    """The PCK's chain, each certificate in turn."""

    def case(
        name: str, description: str, forge: IntelForge, expect: str = "quote", **parts: Any
    ) -> None:
        file.case(
            name, CHAIN, expect, description, evidence=sgx(forge, **parts), policy=POLICY,
            now_ms=NOW_MS,
        )  # fmt: skip

    for name, words in (("pck", "PCK"), ("middle", "intermediate")):
        case(f"{name} signature", f"the {words} is signed by another key than its issuer's",
             GOOD.certificate(name, signer="stranger"))  # fmt: skip
        case(f"{name} issuer", f"the {words} names another issuer",
             GOOD.certificate(name, issuer="other"))  # fmt: skip
        case(f"{name} expired", f"the {words} ended", GOOD.certificate(name, end_s=EARLIER))
        case(f"{name} early", f"the {words} begins later", GOOD.certificate(name, start_s=LATER))
        unknown = (*GOOD.certificates[name].extra, ("1.2.3.4", b"\x05\0", True))
        case(f"{name} critical", f"the {words} has an unknown critical extension",
             GOOD.certificate(name, extra=unknown))  # fmt: skip
    case("middle no CA", "the intermediate may not issue", GOOD.certificate("middle", ca=False))
    case("middle unconstrained", "the intermediate has no basic constraints",
         GOOD.certificate("middle", ca=None))  # fmt: skip
    case("pck a CA", "the PCK is an authority", GOOD.certificate("pck", ca=True))
    case("pck without extension", "it says nothing of its platform",
         GOOD.certificate("pck", extra=()))  # fmt: skip
    short = pck_extension(fmspc="5e00000000")
    case("pck short FMSPC", "five bytes", GOOD.certificate("pck", extra=((SGX_OID, short, False),)))
    other = (
        GOOD.certificate("root2", of="root", key="stranger", signer="stranger")
        .certificate("middle2", of="middle", key="stranger 2", signer="stranger")
        .certificate("pck2", of="pck", key="pck", signer="stranger 2")
    )
    case("another root", "a chain of one's own, and the right root behind it",
         other.chain(pck_crl=("middle2", "root")).quoting(
             chain=("pck2", "middle2", "root")))  # fmt: skip
    case("another root, four", "a chain of one's own with its root, and the right root behind it",
         other.quoting(chain=("pck2", "middle2", "root2", "root")))  # fmt: skip
    case("another root, whole", "a chain of one's own with its root",
         other.quoting(chain=("pck2", "middle2", "root2")))  # fmt: skip
    for name, chain in (
        ("no intermediate", ("pck", "root")),
        ("root twice", ("pck", "middle", "root", "root")),
        ("root missing", ("pck", "middle")),
        ("other leaf", ("tcb", "middle", "root")),
        ("root alone", ("root",)),
    ):
        case(f"chain: {name}", "not PCK, intermediate, root", GOOD.quoting(chain=chain))


def binding_cases(file: VectorFile) -> None:
    """What the quote is bound to, and the trust domains."""

    def case(
        name: str, rule: str, expect: str, description: str, evidence: Any, **more: Any
    ) -> None:
        inputs = {"evidence": evidence, "policy": POLICY, "now_ms": NOW_MS, **more}
        file.case(name, f"attestation {rule}", expect, description, **inputs)

    good = sgx()
    bound = claims().to_bytes()
    spaced = bound.replace(b",", b", ", 1)
    case("claims spelled anew", "2.1", "report_data", "the same claims in other bytes",
         altered(good, bound=spaced))  # fmt: skip
    case("claims spaced", "2.1", "ok", "any spelling, if the quote commits to it",
         sgx(bound=spaced))  # fmt: skip
    case("other role's label", "2.2", "report_data", "the role in the hash is another",
         sgx(role=Role.WORKER))  # fmt: skip
    case("hardware's label", "2.2", "report_data", "the hash is that of hardware",
         sgx(domain=TrustDomain.HARDWARE))  # fmt: skip
    case("other claims", "3.7", "report_data", "the quote is of other claims",
         altered(good, bound=claims(software="0.2").to_bytes()))  # fmt: skip
    case("no commitment", "3.7", "report_data", "the report data is zero",
         altered(good, quote=GOOD.quote(sgx_body())))  # fmt: skip
    case("tees differ", "3.1", "world", "the claims name another TEE",
         sgx(bound=claims(tee=Tee.SGX).to_bytes()))  # fmt: skip
    hardware = sgx(bound=claims(tee=Tee.SGX).to_bytes(), tee=Tee.SGX, domain=TrustDomain.HARDWARE)
    case("hardware for a simulation", "3.1", "world", "hardware under a simulated root", hardware)
    production = {key: value for key, value in POLICY.items() if key != "insecure_simulated_root"}
    production["tee"] = "sgx"
    case("simulation for hardware", "3.1", "world", "a simulation under Intel's root", good,
         policy=production)  # fmt: skip
    other = (
        GOOD.certificate("root2", of="root", key="stranger", signer="stranger")
        .certificate("tcb2", of="tcb", signer="stranger")
        .crl("root", signer="stranger")
        .chain(pck_crl=("middle", "root2"), tcb_info=("tcb2", "root2"))
        .chain(qe_identity=("tcb2", "root2"))
    )
    trusted = policy(other.certificates["root2"].der(), SGX_REQUIREMENTS)
    case("other root in the quote", "3.2", "quote", "its collateral is of the trusted root, the "
         "PCK is not", sgx(other), policy=trusted)  # fmt: skip


def files() -> list[VectorFile]:
    """Make the file."""
    file = VectorFile(
        path="evidence/sgx.json",
        description="Evidence with an SGX quote of a simulated platform: the quote, the keys, "
        "certificates and claims that it rests on. One fault in each case.",
    )
    good = sgx()
    file.share("policy", POLICY)
    for part in ("quote", "bound", "collateral"):
        file.share(part, good[part])
    for add in (quote_cases, signature_cases, chain_cases, binding_cases):
        add(file)
    return [file]
