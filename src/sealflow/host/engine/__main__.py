"""Host: the entry point of the engine: `python -m sealflow.host.engine CONFIG.toml`."""

from __future__ import annotations

from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.local import LocalEngine
from sealflow.host.service import run_service, stop_on_signals


def main() -> None:
    """Run until SIGTERM or SIGINT; exit with status 1 and the reason after an error."""
    run_service(EngineConfig, _run)


def _run(config: EngineConfig) -> None:
    engine = LocalEngine(config)
    stop_on_signals(engine.request_stop)
    engine.run_until_stopped()


if __name__ == "__main__":
    main()
