"""Attacks on operations: rows 69 to 75 of docs/threat-model.md."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sealflow.errors import ConfigError, UnavailableError
from sealflow.owner.conversation import envelope_of
from sealflow.owner.ownerkey import OwnerKey, create_owner_key, load_owner_key
from sealflow.owner.steps import Answer
from sealflow.trusted.keybroker.vault import Vault
from sealflow.trusted.worker.arrivals import Clock
from sealflow.wire.refusal import RefusalCode
from sealflow.wire.world import World
from tests.sim.published import LOG, NOW_MS, Published
from tests.unit.trusted.worker.running import Worker, a_call, negation

if TYPE_CHECKING:
    from pathlib import Path


def test_69_rotation() -> None:
    """When an epoch turns, workers still open what was sealed to the one before."""
    vault = Vault(Published.create().site.deployment, NOW_MS)
    before = {key.kid for key in vault.directory(1, None, LOG).keys}
    assert vault.advance(NOW_MS + 3_600_001)
    assert before < {key.kid for key in vault.directory(2, None, LOG).keys}


def test_70_rewriting_proxy() -> None:
    """What a proxy writes in place of a reply is never taken for one."""
    for status in (200, 302, 500):
        with pytest.raises(UnavailableError):
            envelope_of(Answer(status=status, headers={"content-type": "text/html"}, body=b"<p>"))


def test_71_clock() -> None:
    """A host's clock never goes back inside, and one that is frozen extends no key broker's."""
    clock = Clock(NOW_MS)
    clock.advance(NOW_MS - 10)
    assert clock.now_ms == NOW_MS
    vault = Vault(Published.create().site.deployment, NOW_MS)
    vault.advance(NOW_MS - 10**9)
    assert vault.now_ms == NOW_MS


def test_72_secrets(tmp_path: Path) -> None:
    """Key files that others can read are refused, and no value shows a secret."""
    path = tmp_path / "owner.key"
    create_owner_key(path, World.SIMULATED)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_owner_key(path)
    key = OwnerKey.generate(World.SIMULATED)
    assert key.signing_seed.hex() not in repr(key)
    assert repr(key.signing_seed) not in repr(key)


def test_73_no_simulation() -> None:
    """The verifier of hardware loads nothing of the simulation."""
    program = (
        "import sealflow.attest.policy, sealflow.owner.session, sealflow.owner.trust, sys\n"
        "sys.exit(any(name.startswith('sealflow.attest.simulated') for name in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], check=False, env=os.environ).returncode == 0
    )


def test_75_full_replay_memory() -> None:
    """A worker whose memory of ids is full refuses; it forgets nothing."""
    model = negation()
    calls = [a_call(model) for _ in range(4)]
    worker = Worker(replay_capacity=2).serve(model)
    outside = worker.send(*(call.envelope for call in calls), calls[0].envelope).finish()
    assert outside.refusal(2) is outside.refusal(3) is RefusalCode.OVERLOADED
    assert outside.refusal(4) is RefusalCode.REPLAYED
