"""Writes all vector files anew: `python -m tests.vectors.make [NAME ...]`."""

from __future__ import annotations

import sys
from importlib import import_module

MAKERS = (
    "sgx",
    "sgx_collateral",
    "sgx_levels",
    "appraisal",
    "tdx",
    "snp",
    "evidence_form",
    "hardware",
    "directory",
    "directory_payload",
    "links",
    "proofs",
    "witnesses",
    "replies",
    "contents",
    "numbers",
    "log",
    "receipts",
    "ed25519",
    "orders",
    "states",
    "policies",
    "settings",
    "tenants",
    "packages",
    "statements",
    "requests",
    "lookup",
)

if __name__ == "__main__":
    for maker in sys.argv[1:] or MAKERS:
        for file in import_module(f"tests.vectors.make.{maker}").files():
            file.write()
