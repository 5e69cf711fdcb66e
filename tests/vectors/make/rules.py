"""The rule of the text that a case is of, where it is a finer one than that of its group."""

from __future__ import annotations

import re
from typing import Final

_LAYOUT: Final = (
    (r"signature$|flipped$|^signature", "quotes 4.6"),
    (r"^QE signature|^PCK signature", "quotes 4.3"),
    (r"attestation key|auth data|QE report data", "quotes 4.4"),
    (r"^QE debug", "quotes 4.5"),
    (r"^debug", "quotes 4.12"),
)
_DATES: Final = (r"(early|expired|date|dates|date form)$", "quotes 3.2")
_RULES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "evidence/sgx.json": (
        (r"^(pck|middle) (signature|issuer)", "quotes 2.2"),
        (r"^(pck|middle) (expired|early|critical|no CA|unconstrained|a CA)", "quotes 2.3"),
        (r"^pck (without|short)", "quotes 2.6"),
        (r"^another root|^chain: (no|other)", "quotes 2.2"),
        (r"^(no chain|chain not PEM|chain: root)", "quotes 1.3"),
        (r"^other root in the quote", "quotes 1.3"),
        *_LAYOUT,
    ),
    "evidence/sgx-collateral.json": (
        (r"list: early", "quotes 4.13"),
        (r"list: ", "quotes 2.4"),
        (r"list twice", "quotes 2.4"),
        (r"chain: |another intermediate|below the intermediate|another root", "attestation 6.7"),
        (r"unknown key|PCK chain of the host", "attestation 6.6"),
        (r": capitals", "attestation 6.8"),
        (r"^(tcb_info|qe_identity): (signature|changed|spelled)", "quotes 3.1"),
        (r"^(tcb_info|qe_identity) signer: (expired|early|a CA|critical)", "quotes 2.3"),
        (r"^(tcb_info|qe_identity): signer revoked", "quotes 2.4"),
        (r"^(tcb_info|qe_identity)( signer)?: (signed|other issuer|another root)", "quotes 2.2"),
    ),
    "evidence/sgx-levels.json": (
        _DATES,
        (r"deep$", "envelope 2.4"),
        (r"doubled key|not JSON", "quotes 3.1"),
        (r"unknown status", "quotes 4.11"),
        (r"revoked", "quotes 4.9"),
        (r"^tcb_info: (id|version|newer version|type|FMSPC|no FMSPC)", "quotes 3.3"),
        (r"^tcb_info: ", "quotes 4.7"),
        (r"^qe_identity: (id|version)$", "quotes 3.4"),
        (r"^qe", "quotes 4.5"),
    ),
    "evidence/tdx.json": (
        (r"^attributes: (bit (0|1|7|8|26|29|32)|none)$|^service_td", "quotes 4.12"),
        _DATES,
        (r"^tcb_info: (id|version|FMSPC)", "quotes 3.3"),
        (r"^tcb_info: signature", "quotes 3.1"),
        (r"module revoked|module out of date", "quotes 4.9"),
        (r"module|identities", "quotes 4.8"),
        (r"^tcb_info: ", "quotes 4.7"),
        (r"^qe_identity: (id|version)|QE identity of", "quotes 3.4"),
        (r"^qe_identity: ", "quotes 4.5"),
        (r"^certification|^cut|^body cut|behind", "quotes 1.1"),
        (r"^outer type|^byte in the outer|^byte behind the outer", "quotes 1.2"),
        *_LAYOUT,
        (r"^version|^body|^SGX's|^key type|^vendor|^outer", "quotes 1.1"),
    ),
    "evidence/snp.json": (
        (r"^(version|algorithm|signing key|short|long|byte behind)", "quotes 5.1"),
        (r"^(r |s |body flipped|reserved flipped|zero)", "quotes 5.6"),
        (r"^root: another|^product (Rome|milan)", "quotes 5.2"),
        (r"^product|^leaf: (no product|no chip|chip and cloud|short chip)", "quotes 5.4"),
        (r"^(leaf|middle|root): (signature|issuer|expired|early|hash|padding|no CA)", "quotes 5.3"),
        (r"^(middle: unconstrained|root: not by|leaf: P-256)", "quotes 5.3"),
        (r"^VLEK|^VCEK|chip|^Turin|^leaf: ", "quotes 5.7"),
        (r"^list: (none|age)", "attestation 4.6"),
        (r"^list: ", "quotes 5.5"),
        (r"not DER", "quotes 5.3"),
    ),
    "evidence/hardware.json": (
        (r"genuine SGX for TDX", "attestation 3.1"),
        (r"simulated collateral|of another", "attestation 6.7"),
        (r"^snp", "quotes 5"),
        (r"", "quotes 4"),
    ),
    "evidence/bound.json": (
        (r"^sealing_(key|suite): (form|X-Wing|hardware)", "attestation 2.6"),
        (r"^protocol: form", "versions 1.4"),
        (r"^critical: unknown", "versions 3.2"),
        (r"^critical", "versions 3.3"),
        (r"unknown key", "versions 2.2"),
    ),
    "evidence/appraisal.json": (
        (r"nonce not asked for", "attestation 2.5"),
        (r"^qe_status: OutOfDate", "quotes 4.9"),
    ),
    "directory.json": (
        (r"unknown key", "versions 2.2"),
        (r"JSON|^document: ", "envelope 2.2"),
        (r"^signature: (no|half|more|text|white|blank|unused|URL|other|not)", "envelope 2.9"),
        (r"^(good|no |directory: |evidence: |payload: |document of|signature of)", "directory 1.1"),
    ),
    "directory-payload.json": (
        (r"unknown key", "versions 2.2"),
        (r"^payload JSON", "envelope 2.2"),
        (r"^format", "versions 1.3"),
        (r"^critical in (keys|models)$|^unknown (suite|datatype)", "versions 4.1"),
        (r"^critical in \w+$", "versions 3.2"),
        (r"^critical", "versions 3.3"),
        (r"^revoked kind of later", "versions 4.3"),
        (r"^model twice|^two defaults", "directory 2.7"),
        (r"^no default|^two versions|^defaults of", "directory 2.6"),
        (r"^image", "directory 2.5"),
        (r"^revoked worker: until_ms", "directory 2.17"),
        (r"^revoked (worker|model|key)", "directory 2.8"),
        (r"^tensor", "directory 2.4"),
    ),
    "links.json": ((r"entry of later", "versions 4.2"), (r"unknown key", "versions 2.2")),
    "log.json": (
        (r"unknown kind", "versions 4.2"),
        (r"unknown key", "versions 2.2"),
        (r"critical", "versions 3.2"),
        (r"format$", "versions 1.3"),
        (r"JSON", "envelope 2.2"),
        (r"base64", "envelope 2.9"),
    ),
    "receipts.json": (
        (r"unknown key", "versions 2.2"),
        (r"critical", "versions 3.2"),
        (r"^form: format", "versions 1.3"),
        (r"^JSON", "envelope 2.2"),
        (r"base64", "envelope 2.9"),
        (r"revoked", "receipt 3.5"),
        (r"^grants|^lease|moment|before the grant|^kid|^model digest", "receipt 3.4"),
    ),
    "receipt-replies.json": ((r"unknown key", "receipt 1.4"),),
    "grants.json": (
        (r"^unknown key", "versions 2.2"),
        (r"^critical", "versions 3.2"),
        (r"^format", "versions 1.3"),
        (r"^JSON", "envelope 2.2"),
        (r"^(form|key|model): ", "keybroker 4"),
    ),
    "orders.json": (
        (r"^unknown key|^critical", "versions 2.3"),
        (r"^JSON|^any spelling", "envelope 2.2"),
        (r"^base64", "envelope 2.9"),
    ),
    "ed25519.json": (
        (r"^A |^key of", "exchange 9.1"),
        (r"^S |^R not|^R identity|^signature of", "exchange 9.2"),
        (r"", "exchange 9.3"),
    ),
    "publications.json": ((r"^format", "versions 1.3"),),
    "settings.json": ((r"^format|^no format", "versions 1.3"),),
}


def finer_rule(path: str, name: str, rule: str) -> str:
    """Return the finer rule of a case, or the one that it has."""
    return next(
        (found for pattern, found in _RULES.get(path, ()) if re.search(pattern, name)), rule
    )
