"""Cases that are right by the specification and are not held by the library yet, by file."""

from __future__ import annotations

from typing import Final

PENDING: Final[dict[str, tuple[str, ...]]] = {
    "classes.json": (
        "score 1E3",
        "score '01'",
        "score '-01'",
        "score '1.'",
    ),
    "directory-payload.json": (
        "keys: suite: form 1",
        "keys: suite: form 4",
        "keys: suite: form 6",
        "revoked: kind: form 1",
        "tensor: datatype: form 1",
        "format 0",
    ),
    "envelopes.json": (
        "suite of a refusal",
        "refusal: code: form 1",
        "refusal: critical",
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
    "grants.json": ("model: content_key: form 1",),
    "log.json": (
        "opened: deployment",
        "opened: settings",
        "form: kind: form 1",
        "record of 1572865 bytes",
    ),
    "orders.json": ("any spelling",),
    "policies.json": (
        "insecure_out_of_date: form 9",
        "insecure_out_of_date: form 10",
        "tdx: 64 digits",
        "snp: host data of 96 digits",
    ),
    "publications.json": ("content key of 31 bytes",),
    "receipts.json": (
        "last moment",
        "before the grant",
        "grants: not hex",
    ),
}
