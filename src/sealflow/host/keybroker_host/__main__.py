"""Host: the key broker's host process: `python -m sealflow.host.keybroker_host CONFIG.toml`."""

from __future__ import annotations

from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.keybroker_host.host import KeyBrokerHost
from sealflow.host.service import run_service, stop_on_signals


def main() -> None:
    """Run until SIGTERM or SIGINT; exits with 1 and the reason when it cannot do its job."""
    run_service(KeyBrokerHostConfig, _run)


def _run(config: KeyBrokerHostConfig) -> None:
    host = KeyBrokerHost(config)
    stop_on_signals(host.request_stop)
    host.run_until_stopped()


if __name__ == "__main__":
    main()
