"""Host: the entry point of the key broker host, with one settings file as its argument.

Run `python -m sealflow.host.keybroker_host CONFIG.toml`.
"""

from __future__ import annotations

from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.keybroker_host.host import KeyBrokerHost
from sealflow.host.service import run_service, stop_on_signals


def main() -> None:
    """Run until SIGTERM or SIGINT; exit with status 1 and the reason after an error."""
    run_service(KeyBrokerHostConfig, _run)


def _run(config: KeyBrokerHostConfig) -> None:
    host = KeyBrokerHost(config)
    stop_on_signals(host.request_stop)
    host.run_until_stopped()


if __name__ == "__main__":
    main()
