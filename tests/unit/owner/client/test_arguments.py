"""Wrong arguments of clients: an error that names them, before anything is sent."""

from __future__ import annotations

import asyncio
import copy
import io
import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealflow.errors import ConfigError, InvalidInputError, SealflowError
from sealflow.owner import AsyncClient, Client
from tests.support.cluster.gateway_clients import ROW, GatewayClient

if TYPE_CHECKING:
    from tests.support.cluster.gateway import GatewayProcess
    from tests.support.cluster.scripted_service import ScriptedService

TENSORS = {"x": ROW}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": None, "tensors": TENSORS}, "model is None: it must be text"),
    ({"model": b"m", "tensors": TENSORS}, "model is b'm'"),
    ({"model": "m:", "tensors": TENSORS}, "m:"),
    ({"model": "", "tensors": TENSORS}, "model"),
    *(
        ({"tensors": TENSORS, "timeout_s": each}, "timeout_s is .*: it must be a number of seconds")
        for each in (None, "3", True, 0, -1, float("inf"), float("nan"), 10**10, 86_401, 1j)
    ),
    *(
        ({"tensors": TENSORS, "top_k": each}, "top_k is .*: it must be")
        for each in ("3", 1.0, True, -1, 10**9, [1], np.array([1, 2]))
    ),
    *(
        ({"tensors": each}, "tensors is .*: it must be a mapping")
        for each in ([ROW], ROW, "x", {1: ROW}, 7)
    ),
    *(
        ({"image": each}, "takes no images|an image is a")
        for each in (ROW, io.BytesIO(b"x"), [ROW], 7, [None])
    ),
    *(
        ({"tensors": TENSORS, "receipt": each}, "receipt is .*: it must be True")
        for each in (1, ROW)
    ),
    ({}, "nothing to infer"),
    ({"tensors": {"x": None}}, "tensor x: None"),
    ({"tensors": {"x": object()}}, "tensor x: <object"),
    ({"tensors": {"y": ROW}}, "has no input 'y'"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_wrong(
    asker: GatewayClient, service: ScriptedService, arguments: dict[str, Any], words: str
) -> None:
    """The error says which argument, its value and the rule; nothing is sent."""
    with pytest.raises(InvalidInputError, match=words):
        asker.call(**arguments)
    assert service.seen == []


@pytest.mark.parametrize("top_k", [np.int64(2), np.uint8(2), 2])
def test_whole_numbers_of_numpy(asker: GatewayClient, top_k: Any) -> None:
    """An integer is one whoever made it; so is a time."""
    assert asker.call(tensors=TENSORS, top_k=top_k, timeout_s=np.float32(20)).tensors


@pytest.mark.parametrize("concurrency", [0, -1, None, 1.5, "2"])
def test_concurrency(asker: GatewayClient, concurrency: Any) -> None:
    """Fewer than one request at a time is an error, not a wait without end."""
    with pytest.raises(InvalidInputError, match="concurrency is"):
        asker.many([ROW], concurrency=concurrency)


def test_one_wrong_of_many(asker: GatewayClient) -> None:
    """An input that cannot be sent ends no other."""
    found = asker.many([ROW, None, object(), [["a"]], ROW], concurrency=2)
    kinds = [type(found[index]).__name__ for index in range(5)]
    assert kinds == ["InferResult", *["InvalidInputError"] * 3, "InferResult"]


def test_closed(gateway: GatewayProcess, service: ScriptedService) -> None:
    """A closed client says so."""
    client = Client(gateway.url, policy=service.published.policy)
    client.infer("m", tensors=TENSORS)
    client.close()
    with pytest.raises(ConfigError, match="closed: make another"):
        client.infer("m", tensors=TENSORS)

    async def close_and_ask() -> None:
        other = AsyncClient(gateway.url, policy=service.published.policy)
        await other.infer("m", tensors=TENSORS)
        await other.close()
        with pytest.raises(ConfigError, match="closed: make another"):
            await other.infer("m", tensors=TENSORS)

    asyncio.run(close_and_ask())


def test_second_loop(gateway: GatewayProcess, service: ScriptedService) -> None:
    """A client of another loop says so, before it hangs."""
    client = AsyncClient(gateway.url, policy=service.published.policy)
    with asyncio.Runner() as first:
        assert first.run(client.infer("m", tensors=TENSORS)).outputs
        with pytest.raises(ConfigError, match="belongs to another event loop"):
            asyncio.run(client.infer("m", tensors=TENSORS))
        first.run(client.close())


def test_fork(gateway: GatewayProcess, service: ScriptedService) -> None:
    """After a fork, both processes get their own answers."""
    with Client(gateway.url, policy=service.published.policy) as client:
        np.testing.assert_array_equal(client.infer("m", tensors=TENSORS).outputs["y"], -ROW)
        child = os.fork()
        wrong = 0
        try:
            for number in range(10):
                rows = ROW * (number + (100 if child else 1))
                found = client.infer("m", tensors={"x": rows}, timeout_s=20).outputs["y"]
                wrong += not np.array_equal(found, -rows)
        except SealflowError:
            wrong += 1
        finally:
            if not child:
                os._exit(wrong)
        assert wrong == 0
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_results_travel(asker: GatewayClient) -> None:
    """A result can be copied and pickled."""
    result = asker.infer()
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):  # noqa: S301 - ours
        np.testing.assert_array_equal(again.outputs["y"], -ROW)
        assert again.model == result.model


ARGUMENTS = ("model", "image", "tensors", "top_k", "timeout_s", "receipt", "share_batch")
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from([ROW, np.int64(3), np.ma.masked, object(), "x", "m"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("x"), inner)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    arguments=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("model", "image", "tensors", "top_k", "timeout_s", "receipt", "share_batch"), JUNK
        ),
    )
)
def test_junk(asker: GatewayClient, arguments: dict[str, Any]) -> None:
    """Whatever the arguments are, there is a result or an error of ours."""
    try:
        assert asker.call(**arguments).tensors
    except SealflowError as error:
        assert str(error)  # noqa: PT017 - any of ours may come
