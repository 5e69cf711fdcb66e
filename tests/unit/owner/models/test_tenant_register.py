"""The tenant authority's register: what was signed and revoked is read back, and no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealflow.documents.tenant_token import QUOTAS, TenantToken
from sealflow.errors import ConfigError
from sealflow.owner.models.tenant_register import TenantRegister

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_750_000_000_000


def make_token(number: int = 1, expires_ms: int = NOW_MS + 1) -> TenantToken:
    """A token that says what it says."""
    return TenantToken(
        deployment="test",
        tenant=f"tenant-{number}",
        id=f"{number:032x}",
        not_before_ms=NOW_MS,
        expires_ms=expires_ms,
        period_s=3600,
        weight=1,
        quotas=dict.fromkeys(QUOTAS, 10),
    )


def test_a_register_that_is_not_there(tmp_path: Path) -> None:
    """Nothing was signed."""
    assert TenantRegister(tmp_path / "tenants.jsonl").tokens() == []


def test_tokens_and_their_states(tmp_path: Path) -> None:
    """Valid until the end or until it is revoked, and for the owner of the file alone."""
    path = tmp_path / "tenants.jsonl"
    register = TenantRegister(path)
    tokens = [make_token(1), make_token(2), make_token(3, NOW_MS)]
    for token in tokens:
        register.add(token)
    register.revoke([tokens[1].id, "ab" * 16], NOW_MS + 5)
    found = register.tokens()
    assert [each.token for each in found] == tokens
    assert [each.state(NOW_MS) for each in found] == ["valid", "revoked", "over"]
    assert found[1].revoked_ms == NOW_MS + 5
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"format":1}',
        b'{"format":1,"token":7}',
        b'{"format":1,"token":{"format":1}}',
        b'{"format":2,"token":{}}',
        b'{"at_ms":1,"format":1,"revoked":"ab"}',
        b'{"at_ms":"1","format":1,"revoked":"%s"}' % (b"ab" * 16),
        b'{"format":1,"more":1,"token":{}}',
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: bytes) -> None:
    """The error names file and line."""
    path = tmp_path / "tenants.jsonl"
    TenantRegister(path).add(make_token())
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ConfigError, match=r"tenants\.jsonl, line 2"):
        TenantRegister(path).tokens()


def test_no_token_is_kept(tmp_path: Path) -> None:
    """A line says what a token says, without what makes it one."""
    path = tmp_path / "tenants.jsonl"
    TenantRegister(path).add(make_token())
    assert json.loads(path.read_bytes()) == {"format": 1, "token": make_token().to_json()}
