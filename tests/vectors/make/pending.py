"""Cases that are right by the specification and are not held by the library yet, by file."""

from __future__ import annotations

from typing import Final

PENDING: Final[dict[str, tuple[str, ...]]] = {
    "evidence/appraisal.json": (
        "nonce not asked for",
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
    "evidence/tdx.json": (
        "outer type",
    ),
}
