"""The owner's key file: private, never overwritten, and silent about what is in it."""

from __future__ import annotations

import json
import os
import stat
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealflow.errors import ConfigError
from sealflow.owner import TrustDomain
from sealflow.owner.models.owner_key import OwnerKey, create_owner_key, load_owner_key, opening_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("domain", TrustDomain)
def test_a_key_comes_back_from_its_file(tmp_path: Path, domain: TrustDomain) -> None:
    """The same signer and the same opening key, of the same world."""
    path = tmp_path / "owner.key"
    key = create_owner_key(path, domain)
    assert load_owner_key(path) == key
    assert opening_key(key).suite.domain is domain
    assert opening_key(key).suite.post_quantum
    sealed = opening_key(key).public_key.seal(b"x", b"")
    assert opening_key(load_owner_key(path)).open(sealed, b"") == b"x"


def test_only_its_user_may_read_the_file(tmp_path: Path, open_umask: None) -> None:
    """Mode 0600 whatever the umask is, and no draft is left behind."""
    path = tmp_path / "owner.key"
    create_owner_key(path, TrustDomain.SIMULATED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o610, 0o644, 0o666])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says what to run."""
    path = tmp_path / "owner.key"
    create_owner_key(path, TrustDomain.SIMULATED)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_owner_key(path)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_key_that_its_user_alone_can_reach_is_taken(tmp_path: Path, mode: int) -> None:
    """Also when it is write-protected."""
    path = tmp_path / "owner.key"
    key = create_owner_key(path, TrustDomain.SIMULATED)
    path.chmod(mode)
    assert load_owner_key(path) == key


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Whatever is there stays, and no draft with it."""
    path = tmp_path / "owner.key"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="never overwritten"):
        create_owner_key(path, TrustDomain.SIMULATED)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ConfigError, match="cannot write"):
        create_owner_key(tmp_path / "absent" / "owner.key", TrustDomain.SIMULATED)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Absent, or no file."""
    with pytest.raises(ConfigError, match="--owner-key"):
        load_owner_key(tmp_path / "absent")
    with pytest.raises(ConfigError, match="cannot read"):
        load_owner_key(tmp_path)


SEED = b64encode(b"s" * 32).decode()
WHOLE: dict[str, Any] = {"world": "simulated", "signing_seed": SEED, "sealing_seed": SEED}


def written(tmp_path: Path, text: bytes) -> Path:
    """A key file with this in it."""
    path = tmp_path / "owner.key"
    path.write_bytes(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"world": "moon"},
        {"world": None},
        {"world": []},
        {"signing_seed": ""},
        {"signing_seed": 1},
        {"signing_seed": None},
        {"signing_seed": SEED[:-4]},
        {"sealing_seed": b64encode(bytes(33)).decode()},
        {"sealing_seed": SEED + "!"},
        {"sealing_seed": "ä"},
        {"more": 1},
    ],
)
def test_a_damaged_key_is_refused_without_showing_it(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Neither the message nor a traceback holds a piece of the file."""
    assert load_owner_key(written(tmp_path, json.dumps(WHOLE).encode())).signing_seed == b"s" * 32
    path = written(tmp_path, json.dumps({**WHOLE, **changes}).encode())
    with pytest.raises(ConfigError, match="damaged") as caught:
        load_owner_key(path)
    assert caught.value.__suppress_context__
    assert SEED[:8] not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"{}", b"{" * 5000, b" " * 5000 + b"{}"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    """Any other file, of any size."""
    with pytest.raises(ConfigError, match="not an owner key"):
        load_owner_key(written(tmp_path, text))


def test_no_repr_shows_a_seed() -> None:
    """A key can be logged by accident without harm; two keys are never the same."""
    key, other = OwnerKey.generate(TrustDomain.SIMULATED), OwnerKey.generate(TrustDomain.SIMULATED)
    assert key.signer != other.signer
    for seed in (key.signing_seed, key.sealing_seed):
        assert repr(seed)[2:-1] not in repr(key)
        assert seed.hex() not in repr(key)
