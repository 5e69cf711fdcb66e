"""A key broker host on a queue, with its enclave; it runs in a thread of the test."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Self

from sealflow.clock import now_ms
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.keybroker_host.host import KeyBrokerHost
from sealflow.host.settings import load_settings
from tests.support.attestation.deployments import simulated_deployment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.queue.server import QueueServer


class HostedKeyBroker:
    """A key broker host of the simulated deployment `made`, in real time."""

    def __init__(self, queue: QueueServer, *, state_dir: Path | None = None, **times: int) -> None:
        """Start it. `times`: of the deployment."""
        self.made = simulated_deployment(now_ms(), **times)
        deployment, platform = queue.folder / "deployment.json", queue.folder / "platform.json"
        deployment.write_bytes(self.made.deployment.to_bytes())
        platform.write_bytes(self.made.platform.to_bytes())
        settings = {
            "broker_url": queue.url,
            "deployment": "test",
            "deployment_file": str(deployment),
            "simulated_platform_file": str(platform),
        }
        if state_dir is not None:
            settings["state_dir"] = str(state_dir)
        self.file = queue.folder / "keybroker.toml"
        # JSON's strings are TOML's, too.
        self.file.write_text("".join(f"{key} = {json.dumps(settings[key])}\n" for key in settings))
        self.config = load_settings(self.file, KeyBrokerHostConfig)
        self.start()

    def start(self) -> None:
        """Start the host, also once more after `stop`."""
        self._host = KeyBrokerHost(self.config)
        self._thread = threading.Thread(target=self._host.run_until_stopped)
        self._thread.start()

    def stop(self) -> None:
        """Stop the host and its enclave."""
        self._host.request_stop()
        self._thread.join(60)

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self.stop()
