"""Cases that are right by the specification and are not held by the library yet, by file."""

from __future__ import annotations

from typing import Final

PENDING: Final[dict[str, tuple[str, ...]]] = {
    "evidence/appraisal.json": (
        "nonce not asked for",
    ),
    "evidence/bound.json": (
        "sealing_key: form 1",
        "sealing_key: form 2",
        "sealing_key: form 3",
        "sealing_key: form 5",
        "sealing_suite: form 1",
        "sealing_suite: form 3",
        "sealing_suite: form 4",
        "software: form 1",
        "software: form 2",
        "software: form 3",
        "software: form 4",
        "sealing_suite: hardware's",
        "sealing_key: X-Wing, short",
        "sealing_key: X-Wing of 32 bytes",
        "JSON: 32 deep",
        "JSON: 20 characters",
        "JSON: surrogate pair",
        "JSON: __proto__",
        "JSON: unknown key",
        "JSON: unknown key with anything",
    ),
    "evidence/form.json": (
        "base64: unused bits",
    ),
    "evidence/sgx-collateral.json": (
        "tcb_info: signed below the intermediate",
        "qe_identity: signed below the intermediate",
        "pck_crl chain: without root",
        "pck_crl chain: root twice",
        "pck_crl chain: order",
        "pck_crl chain: empty",
        "tcb_info chain: without root",
        "tcb_info chain: root twice",
        "tcb_info chain: order",
        "tcb_info chain: empty",
        "qe_identity chain: without root",
        "qe_identity chain: root twice",
        "qe_identity chain: order",
        "qe_identity chain: empty",
        "pck_crl chain: another intermediate",
        "unknown key",
        "PCK chain of the host's",
        "pck_crl: capitals",
        "root_ca_crl: capitals",
        "tcb_info_signature: capitals",
        "qe_identity_signature: capitals",
        "tcb_info_signature: short",
        "tcb_info_signature: long",
        "qe_identity_signature: short",
        "qe_identity_signature: long",
        "root_ca_crl: byte behind",
    ),
    "evidence/sgx-levels.json": (
        "tcb_info: 33 deep",
    ),
    "evidence/snp.json": (
        "collateral: unused bits",
    ),
    "evidence/tdx.json": (
        "outer type",
    ),
}
