"""Host: the key broker's host process: `python -m sealflow.host.keybroker_host CONFIG.toml`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from sealflow.errors import SealflowError
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.keybroker_host.host import KeyBrokerHost
from sealflow.host.service import configure_logs
from sealflow.host.settings import load_argument
from sealflow.streams.connection import require_access

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run until SIGTERM or SIGINT; exits with 1 and the reason when it cannot do its job."""
    configure_logs()
    try:
        config = load_argument(KeyBrokerHostConfig)
        require_access(config.broker)
        control = KeyBrokerHost(config)

        def end(number: int, frame: FrameType | None) -> None:
            del number, frame
            control.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        control.run()
    except SealflowError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
