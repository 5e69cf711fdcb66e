"""What a fresh process loads: callers pay for what they use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sealflow.owner

HEAVY = ("numpy", "pyspng", "simplejpeg", "onnxruntime", "openvino", "matplotlib")


def loaded(program: str) -> set[str]:
    """Run a program in a fresh process and give the top-level modules that it loaded."""
    ending = "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program + ending], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_client() -> None:
    """Importing the client loads no numpy, model runtime, image or plotting library."""
    modules = loaded("import sealflow.owner\nsealflow.owner.Client")
    assert "sealflow" in modules
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", sealflow.owner.__all__)
def test_public_names(name: str) -> None:
    """Every other public name of the owner's package is as light."""
    assert loaded(f"import sealflow.owner\nsealflow.owner.{name}").isdisjoint(HEAVY)


def test_package() -> None:
    """Importing the owner's package alone loads no client library at all."""
    modules = loaded("import sealflow.owner")
    assert modules.isdisjoint((*HEAVY, "aiohttp", "urllib3", "valkey", "cryptography"))


def test_help() -> None:
    """`sealflow --help` loads neither an HTTP client nor tables nor arrays."""
    program = (
        "from sealflow.cli.main import main\n"
        "import contextlib, io, sys\n"
        "sys.argv = ['sealflow', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "assert 'Usage' in text.getvalue()"
    )
    assert loaded(program).isdisjoint(
        (*HEAVY, "aiohttp", "urllib3", "rich", "valkey", "cryptography")
    )
