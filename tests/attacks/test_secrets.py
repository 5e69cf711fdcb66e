"""Attacks on what lies about: row 72 of docs/threat-model.md. A cluster as `up` starts it."""

from __future__ import annotations

import json
import resource
import secrets
import stat
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from sealflow.errors import ConfigError, InvalidInputError
from sealflow.openinfer.binary import encode_request
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.ndarray import from_numpy
from sealflow.owner import OwnerKey, create_owner_key, load_owner_key, load_policy
from sealflow.owner.client.inference import open_answer
from sealflow.owner.trust.session import ServiceSession
from sealflow.seal.content import ContentKind, content_parts
from sealflow.wire.domain import TrustDomain
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES, MEDIA_TYPE, Envelope
from tests.support.cluster.local_cluster import TINY, LocalCluster
from tests.support.cluster.published_service import PublishedService
from tests.support.enclaves.enclave_process import EnclaveProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = {"owner.key", "simulated-platform.json"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster on a machine that would write images of crashed processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        running = LocalCluster(TINY, options=("--workers", "1"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    yield running
    running.stop()


def core_limits(pid: int) -> list[str]:
    """How large an image of its memory a process may leave: the limit, and what it may become."""
    for line in (Path("/proc") / str(pid) / "limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.split()[4:6]
    raise AssertionError


def test_72_key_files(tmp_path: Path) -> None:
    """Key files that others can read are refused, and no value shows a secret."""
    path = tmp_path / "owner.key"
    create_owner_key(path, TrustDomain.SIMULATED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            load_owner_key(path)
    key = OwnerKey.generate(TrustDomain.SIMULATED)
    published = PublishedService.create()
    grant = published.key_store.grant("ab" * 16, None, lambda _: True, "0f" * 32, 1)
    for seed, shown in (
        (key.signing_seed, repr(key)),
        (key.sealing_seed, repr(key)),
        *((each.private_key.seed, repr(grant)) for each in grant.keys),
    ):
        assert seed.hex() not in shown
        assert repr(seed) not in shown


def test_72_core_dumps(cluster: LocalCluster) -> None:
    """No process leaves an image of its memory, and none can be made to: the limit stays 0."""
    for pid in (cluster.process.pid, *cluster.all_pids()):
        assert core_limits(pid) == ["0", "0"]
    for module in ("worker", "keybroker"):
        # As a pod starts it, with no command of ours above it.
        with EnclaveProcess(module, {}) as process:
            assert process.receive() is not None
            assert core_limits(process.process.pid) == ["0", "0"]


def test_72_lying_about(cluster: LocalCluster) -> None:
    """Keys and plaintext are in no log, no command line, no environment and no file of the host."""
    owner = load_owner_key(cluster.home / "owner.key")
    canary = f"canary-{secrets.token_hex(16)}"
    with cluster.client() as client:
        row = np.random.default_rng().normal(size=(1, 4)).astype(np.float32)
        result = client.infer("tiny", tensors={"x": row}, receipt=True)
    assert result.receipt is not None
    refuse_inside(cluster, canary)
    secret = [
        owner.signing_seed,
        owner.sealing_seed,
        row.tobytes(),
        result.outputs["probabilities"].tobytes(),
        bytes.fromhex(result.receipt.salt),
        canary.encode(),
    ]
    needles = [form for each in secret for form in (each, each.hex().encode(), b64encode(each))]
    places = {
        str(path): path.read_bytes()
        for path in cluster.home.rglob("*")
        if path.is_file() and path.name not in PRIVATE
    }
    assert any("appendonly" in name for name in places)
    assert any(name.endswith("engine.log") and content for name, content in places.items())
    for pid in (cluster.process.pid, *cluster.all_pids()):
        for name in ("cmdline", "environ"):
            places[f"{pid} {name}"] = (Path("/proc") / str(pid) / name).read_bytes()
    places["status"] = json.dumps(cluster.status()).encode()
    places["facts"] = json.dumps(cluster.facts).encode()
    for place, content in places.items():
        assert not [each for each in needles if each in content], place


def refuse_inside(cluster: LocalCluster, canary: str) -> None:
    """Have a worker refuse a request whose input has the canary for a name."""
    session = ServiceSession(load_policy(cluster.policy))
    session.accept(session.verify_directory(httpx.get(f"{cluster.url}/v1/directory").content))
    request = InferRequest(inputs=(from_numpy(canary, PublishedService.create().tensor()),))
    parts = content_parts(ContentKind.INFER, *encode_request(request))
    call = session.seal_request(session.model("tiny"), parts, timeout_s=30)
    answer = httpx.post(
        f"{cluster.url}/v1/envelopes",
        content=call.envelope,
        headers={"content-type": MEDIA_TYPE},
        timeout=60,
    )
    with pytest.raises(InvalidInputError):
        open_answer(
            call,
            Envelope.from_bytes(answer.content, max_body_bytes=DEFAULT_MAX_BODY_BYTES),
            outputs=(),
        )


def test_72_open_files(cluster: LocalCluster) -> None:
    """The folder is the owner's alone, and so is every file in it with a key or a secret."""
    assert stat.S_IMODE(cluster.home.stat().st_mode) == 0o700
    found = {
        path.name
        for pattern in ("*.key", "simulated-platform.json", "run/*", "**/keys/*", "**/state")
        for path in cluster.home.glob(pattern)
        if stat.S_IMODE(path.stat().st_mode) == 0o600
    }
    wanted = {
        path.name
        for pattern in ("*.key", "simulated-platform.json", "run/*", "**/keys/*", "**/state")
        for path in cluster.home.glob(pattern)
    }
    assert found == wanted >= {"owner.key", "simulated-platform.json", "state", "engine.toml"}
