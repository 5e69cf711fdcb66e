"""Trusted: refuses to run where code could come from elsewhere than the installation.

A working folder, a user's folder or a variable of the environment must not add modules to an
enclave. `python -I` sees to that; in SGX the manifest has it, and is measured.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import sealflow
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal


def require_isolation() -> None:
    """Check that modules come from the standard library and one site-packages folder only.

    The folder of this package may stand behind them, for an installation that is edited.

    Raises: FatalError with ISOLATION.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(os.__file__).parent
    archive = library.with_name(f"{version.replace('.', '')}.zip")
    standard = {str(path) for path in (archive, library, library / "lib-dynload")}
    installed = f"{sys.prefix}/lib/{version}/site-packages"
    own = str(Path(sealflow.__file__).parents[1])
    found = [folder for folder in sys.path if folder not in standard]
    if not sys.flags.isolated or found not in ([installed], [installed, own]):
        raise FatalError(Fatal.ISOLATION)
