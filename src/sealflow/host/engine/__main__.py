"""Host: the engine's process: `python -m sealflow.host.engine CONFIG.toml`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from sealflow.errors import SealflowError
from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.local import LocalEngine
from sealflow.host.service import configure_logs
from sealflow.host.settings import load_argument
from sealflow.streams.connection import require_access

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run until SIGTERM or SIGINT; exits with 1 and the reason when it cannot do its job."""
    configure_logs()
    try:
        config = load_argument(EngineConfig)
        require_access(config.broker)
        engine = LocalEngine(config)

        def end(number: int, frame: FrameType | None) -> None:
            del number, frame
            engine.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        engine.run()
    except SealflowError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
