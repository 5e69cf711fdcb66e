"""Owner: clients for those who own data and models. Nothing heavy is loaded before it is used.

Its words: client, model, trust, audit, as its rooms. May import `streams`, `files`, `clock`,
`backoff` and the core.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from sealflow.extras import install_advice

if TYPE_CHECKING:
    from sealflow.owner.client.async_client import AsyncClient as AsyncClient
    from sealflow.owner.client.client import Client as Client
    from sealflow.owner.client.result import InferResult as InferResult
    from sealflow.owner.client.result import Label as Label
    from sealflow.owner.client.result import Outcome as Outcome
    from sealflow.owner.queue.client import InputQueue as InputQueue
    from sealflow.owner.queue.client import OutputQueue as OutputQueue
    from sealflow.owner.queue.client import QueueClient as QueueClient

__all__ = [
    "AsyncClient",
    "Client",
    "InferResult",
    "InputQueue",
    "Label",
    "Outcome",
    "OutputQueue",
    "QueueClient",
]

_MODULES: Final = {
    "AsyncClient": "client.async_client",
    "Client": "client.client",
    "InferResult": "client.result",
    "InputQueue": "queue.client",
    "Label": "client.result",
    "Outcome": "client.result",
    "OutputQueue": "queue.client",
    "QueueClient": "queue.client",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for.

    Raises: ImportError that says which extra to install, when a library is missing.
    """
    module = _MODULES.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        advice = install_advice(error)
        if advice is None:
            raise
        raise ImportError(advice, name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
