"""Host: forward requests to the key broker, publish its directories, and restart it when it ends.

Each key broker host runs one key broker process, which is the leader or a standby.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from sealflow.clock import now_ms
from sealflow.errors import ConfigError, MalformedError, UnavailableError, WorkerGoneError
from sealflow.host.broker.keybroker_records import KeyBrokerRecords
from sealflow.host.broker.redis_streams import RedisStreams
from sealflow.host.enclave.command import FATAL_HINTS, collateral_source, enclave_command
from sealflow.host.keybroker_host.control_turns import ControlTurns
from sealflow.host.keybroker_host.leader_election import LeaderElection
from sealflow.host.keybroker_host.process import KeyBrokerProcess
from sealflow.host.keybroker_host.state_archive import StateArchive
from sealflow.host.process_status import cpu_s, rss_bytes
from sealflow.host.service import RestartPolicy
from sealflow.host.settings import read_file
from sealflow.streams.keys import Keyspace
from sealflow.wire.control import UNAVAILABLE
from sealflow.wire.domain import TrustDomain
from sealflow.wire.frame_payloads import KeyBrokerBoot
from sealflow.wire.status import ComponentStatus, KeyBrokerStatus
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from sealflow.host.keybroker_host.config import KeyBrokerHostConfig

_log = structlog.get_logger()

STATUS_TTL_MS: Final = 10_000
_BLOCK_MS: Final = 500
_MAX_PERIOD_S: Final = 2.0
_STALE_MS: Final = 30_000
_CLAIM_COUNT: Final = 64
_HEALTHY_S: Final = 10.0
_PAUSE_S: Final = 0.5


class KeyBrokerHost:
    """A key broker host, which runs on the main thread until it is stopped."""

    def __init__(self, config: KeyBrokerHostConfig) -> None:
        """Prepare; `run_until_stopped` starts the key broker.

        Raises: ConfigError.
        """
        self._config = config
        self._keyspace = Keyspace(deployment=config.deployment)
        self._broker = RedisStreams(config.broker)
        self._instance = secrets.token_hex(8)
        deployment = read_file(config.deployment_file, "deployment_file")
        platform = config.simulated_platform_file
        simulated = None if platform is None else read_file(platform, "simulated_platform_file")
        self._boot = KeyBrokerBoot(deployment=deployment, platform=simulated, wrapped=(), now_ms=0)
        digest = hashlib.sha256(deployment).hexdigest()
        records = KeyBrokerRecords(
            self._broker,
            self._keyspace,
            instance=self._instance,
            deployment_digest=digest,
            domain=_domain(deployment),
            lease_ms=config.leader_lease_ms,
        )
        folder = config.state_dir
        archive = None if folder is None else StateArchive(Path(folder), digest)
        self._election = LeaderElection(self._broker, self._keyspace.control, records, archive)
        self._period_s = min(_MAX_PERIOD_S, config.leader_lease_ms / 3000)
        self._command = enclave_command(config, "keybroker")
        self._collateral = collateral_source(config)
        self._stopping = threading.Event()
        self._process: KeyBrokerProcess | None = None
        self._directory = b""
        self._served = 0
        self._turns = ControlTurns()

    def request_stop(self) -> None:
        """Have `run_until_stopped` return. A signal handler may call it."""
        self._stopping.set()
        self._election.stop_waiting()

    def run_until_stopped(self) -> None:
        """Serve until `request_stop` is called; restart the key broker when it ends.

        Raises: ConfigError when it ended three times in a row within 10 s of its start.
        """
        policy = RestartPolicy(healthy_s=_HEALTHY_S)
        try:
            while not self._stopping.is_set():
                policy.record_start(time.monotonic())
                reason = self._serve_once()
                if self._stopping.is_set():
                    return
                _log.error("key broker ended", reason=reason)
                now_s = time.monotonic()
                due_s = policy.next_start_s(now_s, failed=True)
                if due_s is None:
                    why = FATAL_HINTS.get(reason, reason)
                    raise ConfigError(f"the key broker ends as soon as it starts: {why}")
                self._stopping.wait(due_s - now_s)
        finally:
            self._withdraw()

    def _serve_once(self) -> str:
        """Run one key broker process until it ends or the host is stopped.

        Returns the word of its FATAL frame, or else the reason why it ended.
        """
        logs = self._config.logs_dir
        log = None if logs is None else Path(logs) / "keybroker.log"
        self._election.reset()
        self._directory = b""
        process = self._process = KeyBrokerProcess(
            self._command,
            log,
            self._collateral,
            store_state=self._election.store,
            store_key=self._election.store_key,
            publish=self._publish_new,
        )
        reason = ""
        try:
            keys = tuple(self._keys())
            process.boot(replace(self._boot, wrapped=keys, now_ms=now_ms()))
            self._serve(process)
        except WorkerGoneError as error:
            reason = str(error)
        finally:
            process.end()
        return process.fatal or reason

    def _keys(self) -> list[bytes]:
        while not self._stopping.is_set():
            try:
                return self._election.keys()
            except UnavailableError as error:
                _log.warning("the broker is unavailable", error=str(error))
                self._stopping.wait(_PAUSE_S)
        return []

    def _serve(self, process: KeyBrokerProcess) -> None:
        maintained_s = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() - maintained_s >= self._period_s:
                    maintained_s = time.monotonic()
                    process.tick()
                    self._maintain(process)
                if self._election.active:
                    self._answer_requests(process)
                elif not self._election.try_acquire(process):
                    # Another instance leads, and answers them when they are stale.
                    self._turns = ControlTurns()
                    self._stopping.wait(_PAUSE_S)
            except UnavailableError as error:
                if isinstance(error, WorkerGoneError):
                    raise
                _log.warning("the broker is unavailable", error=str(error))
                self._stopping.wait(_PAUSE_S)

    def _answer_requests(self, process: KeyBrokerProcess) -> None:
        """Claim what has arrived, and answer the request whose turn it is."""
        stream, turns = self._keyspace.control, self._turns
        if not turns.full:
            wait_ms = 0 if turns else _BLOCK_MS
            turns.add(self._broker.claim(stream, self._instance, _CLAIM_COUNT, wait_ms))
        delivery = turns.next()
        if delivery is not None:
            answer = process.ask(delivery.envelope)
            self._broker.answer(stream, [(delivery, answer)])
            self._served += 1

    def _publish_new(self, document: bytes) -> None:
        self._directory = document
        self._publish()

    def _maintain(self, process: KeyBrokerProcess) -> None:
        """Publish the status; as leader, renew the lease and answer abandoned requests.

        Requests that were claimed over 30 s ago and not answered are answered as unavailable.
        """
        pid, child = os.getpid(), process.pid
        status = ComponentStatus(
            component="control",
            instance=self._instance,
            pid=pid,
            cpu_s=round(cpu_s(pid), 2),
            rss_bytes=rss_bytes(pid),
            served=self._served,
            leads=self._election.active,
            keybroker=KeyBrokerStatus(
                pid=child,
                ready=process.ready,
                keyed=process.has_state_key,
                cpu_s=round(cpu_s(child), 2),
                rss_bytes=rss_bytes(child),
            ),
        )
        key = self._keyspace.status("control", self._instance)
        self._broker.set(key, json.dumps(status.to_json()).encode(), ttl_ms=STATUS_TTL_MS)
        if self._election.active:
            self._election.renew()
            self._publish()
            stream = self._keyspace.control
            stale = self._broker.claim_stale(stream, self._instance, _STALE_MS, _CLAIM_COUNT)
            if stale:
                self._broker.answer(stream, [(delivery, UNAVAILABLE) for delivery in stale])

    def _publish(self) -> None:
        if self._directory:
            try:
                self._broker.set(self._keyspace.directory, self._directory)
            except UnavailableError as error:
                _log.warning("the directory waits for the broker", error=str(error))

    def _withdraw(self) -> None:
        try:
            self._election.release()
            self._broker.delete(self._keyspace.status("control", self._instance))
        except UnavailableError:
            # Lease and status expire by themselves.
            return
        finally:
            self._broker.close()


def _domain(deployment: bytes) -> TrustDomain:
    """Return the trust domain of the settings, which the key broker checks."""
    try:
        tee = parse_object(deployment, "deployment_file").get("tee")
    except MalformedError:
        tee = None
    return TrustDomain.SIMULATED if tee == "simulated" else TrustDomain.HARDWARE
