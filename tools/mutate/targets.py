"""The verifiers whose checks are switched off, and the tests that must miss them."""

from __future__ import annotations

import re
from typing import Final

VERIFIERS: Final = (
    "sealflow.attest",
    "sealflow.documents",
    "sealflow.openinfer",
    "sealflow.owner.audit",
    "sealflow.owner.trust",
    "sealflow.owner.witness",
    "sealflow.package",
    "sealflow.seal",
    "sealflow.trusted.keybroker",
    "sealflow.trusted.worker.lease",
    "sealflow.trusted.worker.serving",
    "sealflow.wire",
)
"""Rooms and modules that judge bytes of a peer."""

LEFT_OUT: Final = (
    "sealflow.attest.simulated.authority",
    "sealflow.attest.simulated.measurement",
    "sealflow.attest.simulated.platform",
    "sealflow.owner.trust.policy_text",
    "sealflow.owner.trust.trust_text",
    "sealflow.owner.trust.toml_text",
    "sealflow.trusted.keybroker.__main__",
    "sealflow.wire.status",
)
"""Modules in these rooms that judge nothing: they imitate hardware, write text or show status."""

TESTS: Final = ("tests/conformance", "tests/attacks")

OTHER_PROCESSES: Final = frozenset({"cluster", "long", "processes", "queue", "server", "site"})
"""Fixtures of tests that start processes, whose checks stay on, or that take long: left out."""

REFUSAL: Final = re.compile(r"encode_refusal|seal_error|RefusalCode|ErrorAnswer|Fatal|Mismatch")
"""Names in a returned or yielded value that make it a refusal."""

CHECK_CALL: Final = re.compile(r"_?(check|parse|refuse|require|verify)(_\w+)?")
"""Names of functions that are called only because they may raise."""

FORMS: Final = frozenset(
    {"base64", "digest", "flag", "integer", "list_of", "nested", "read", "read_optional", "text"}
    | {"texts", "time_ms", "word", "words"}
)
"""Methods of a reader of fields, each of which checks the form of the field that it names."""

SIDE_EFFECTS: Final = frozenset(
    {"add", "append", "clear", "close", "discard", "extend", "pop", "remove", "update"}
)
"""Methods of collections: calls of them are not checks, even where a function has that name."""
