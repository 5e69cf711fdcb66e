"""Core: the next step for each code of an `EvidenceError`, as a sentence for people."""

from __future__ import annotations

from typing import Final

NEWER_RELEASE_HINT: Final = (
    "Install a release of Sealflow that is at least as new as the service's."
)
_CLOCK_HINT: Final = "Check this machine's clock; then ask whether the key broker runs."
_PIN_HINT: Final = "Send nothing, keep the pin file, and ask the operator which history is true."
_FRESH_HINT: Final = "Ask the operator to renew the collateral; check this machine's clock."
_LOG_HINT: Final = "Fetch the whole log anew; if that fails too, keep both copies and ask why."
EVIDENCE_HINTS: Final = {
    "world": "Use the policy of this deployment: hardware and simulation never mix.",
    "collateral": _FRESH_HINT,
    "revocations": _FRESH_HINT,
    "critical": NEWER_RELEASE_HINT,
    "format": NEWER_RELEASE_HINT,
    "checkpoint": "Sign nothing; keep the old checkpoint, and ask the operator which log is true.",
    "directory_early": _CLOCK_HINT,
    "directory_expired": _CLOCK_HINT,
    "directory_fork": _PIN_HINT,
    "directory_history": _PIN_HINT,
    "directory_revocation": _PIN_HINT,
    "directory_rollback": _PIN_HINT,
    "log": _LOG_HINT,
    "owner_changed": "Send nothing to this model before its owner says that its key changed.",
    "order": _LOG_HINT,
    "passport_early": _CLOCK_HINT,
    "passport": "Ask the verifier for a new passport, and whether it still trusts the service.",
    "receipt_missing": "Ask the operator for workers of a release that signs receipts.",
    "receipt": "Do not accept it; check that the log is whole and of the same deployment.",
}
"""By code, or by its first word; for other codes, the hint of every VerificationError."""
