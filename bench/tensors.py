"""Tiny requests: the cluster's CPU time for 1000 requests of 4 floats.

`gateway`: sealed requests are prepared, then sent over 64 kept-alive connections, each taking the
next one as soon as it has an answer; all answers are opened and checked afterwards. So the load
generator takes little of the machine, like those of the servers that README.md compares with.
`client`: the SDK's own `AsyncClient`, 64 at a time. `queue`: the queue client, pushing all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import numpy as np

from bench.cluster import TINY, cluster, cpu_s, write_results
from sealflow.owner import load_policy
from sealflow.owner.client import inference
from sealflow.owner.client.request import request_parts
from sealflow.owner.http.steps import HttpResponse
from sealflow.owner.http.transport import HttpTransport
from sealflow.owner.trust import directory_refresh
from sealflow.owner.trust.session import ServiceSession
from sealflow.wire.envelope import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.cluster import RunningCluster
    from sealflow.documents.directory import DirectoryModel
    from sealflow.seal.exchange import OutgoingCall

CONCURRENCY = 64
TIMEOUT_S = 300.0
_HEAD = (
    b"POST /v1/envelopes?wait=100 HTTP/1.1\r\nhost: gateway\r\ncontent-type: "
    + MEDIA_TYPE.encode()
    + b"\r\ncontent-length: %d\r\n\r\n"
)


@dataclass(slots=True)
class Load:
    """Sealed requests, which the connections take in order, with their answers and latencies."""

    model: DirectoryModel
    calls: list[OutgoingCall]
    requests: list[bytes]
    answers: dict[int, HttpResponse] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)

    @classmethod
    def prepare(cls, url: str, policy: str, count: int) -> Load:
        """Verify the service and seal `count` requests."""
        session = ServiceSession(load_policy(policy))
        transport = HttpTransport(url, ca=None, connections=1)
        transport.run_steps(directory_refresh.refresh(session))
        transport.close()
        model = session.model("tiny")
        rows = np.random.default_rng(1).random((count, 1, 4), np.float32)
        calls, requests = [], []
        for row in rows:
            parts = request_parts(
                model, image=None, tensors={model.inputs[0].name: row}, top_k=None
            )
            call = session.seal_request(model, parts, timeout_s=TIMEOUT_S)
            calls.append(call)
            requests.append(_HEAD % len(call.envelope) + call.envelope)
        return cls(model, calls, requests)

    async def send(self, url: str) -> None:
        """Send all requests to the gateway, `CONCURRENCY` at a time."""
        loop = asyncio.get_running_loop()
        address, order = urlsplit(url), iter(range(len(self.requests)))
        connections = [_Connection(self, order) for _ in range(CONCURRENCY)]
        for connection in connections:
            itself = partial(_itself, connection)
            await loop.create_connection(itself, str(address.hostname), int(address.port or 80))
        await asyncio.gather(*(connection.ended for connection in connections))

    def check(self) -> None:
        """Open every answer with the call that sealed its request."""
        for index, call in enumerate(self.calls):
            inference.open_answer(
                call, inference.envelope_of(self.answers[index]), outputs=self.model.outputs
            )


class _Connection(asyncio.Protocol):
    """One persistent connection with one request at a time.

    Parses only the gateway's form of HTTP/1.1: each answer has a `content-length`.
    """

    def __init__(self, load: Load, order: Iterator[int]) -> None:
        self._load = load
        self._order = order
        self._answer = bytearray()
        self._index = 0
        self._since = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = bytes(self._answer).partition(b"\r\n\r\n")
        first, *lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if not end or len(body) < int(headers["content-length"]):
            return
        status = int(first.split(" ")[1])
        self._load.answers[self._index] = HttpResponse(status=status, headers=headers, body=body)
        self._load.latencies_ms.append(1000 * (time.perf_counter() - self._since))
        self._next()

    def _next(self) -> None:
        index = next(self._order, None)
        if index is None:
            self._transport.close()
            self.ended.set_result(None)
            return
        self._index = index
        self._answer.clear()
        self._since = time.perf_counter()
        self._transport.write(self._load.requests[index])


def _itself(connection: _Connection) -> _Connection:
    return connection


def by_gateway(running: RunningCluster, count: int) -> dict[str, object]:
    """Send prepared requests through the gateway and return throughput, latencies and CPU time."""
    url = running.facts["url"]
    load = Load.prepare(url, running.facts["policy"], count)
    processes = running.processes()
    del processes["up"]
    before, own_s, begin = cpu_s(processes), time.process_time(), time.perf_counter()
    asyncio.run(load.send(url))
    seconds, own_s = time.perf_counter() - begin, time.process_time() - own_s
    after = cpu_s(processes)
    load.check()
    ordered = sorted(load.latencies_ms)
    return {
        "served": count,
        "requests_per_second": round(count / seconds, 1),
        "latency_ms": {f"p{n}": round(ordered[len(ordered) * n // 100], 2) for n in (50, 95, 99)},
        "cpu_seconds_per_1000": {
            name: round(1000 * (after[name] - before[name]) / count, 4) for name in after
        },
        "load_generator_cpu_seconds_per_1000": round(1000 * own_s / count, 4),
    }


def measure(rounds: int, count: int) -> dict[str, list[dict[str, Any]]]:
    """Measure gateway, client and queue in turn, `rounds` times, with `count` requests each."""
    runs: dict[str, list[dict[str, Any]]] = {"gateway": [], "client": [], "queue": []}
    tensors = ("--tensor", "-m", "tiny", "-n", str(count))
    with cluster(TINY) as running:
        by_gateway(running, 500)
        for _ in range(rounds):
            runs["gateway"].append(by_gateway(running, count))
            runs["client"].append(running.bench(*tensors, "-c", str(CONCURRENCY)))
            runs["queue"].append(running.bench(*tensors))
    return runs


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    runs = measure(options.rounds, options.n)
    write_results("tensors", runs)
    for name, each in runs.items():
        for run in each:
            total = sum(run["cpu_seconds_per_1000"].values())
            print(f"{name}: {total:.3f} CPU-s per 1000, {json.dumps(run)}")


if __name__ == "__main__":
    main()
