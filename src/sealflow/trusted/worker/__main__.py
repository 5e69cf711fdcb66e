"""Worker: the process; it takes no arguments, files or environment, only frames."""

from __future__ import annotations

from sealflow.trusted.process import run_enclave
from sealflow.trusted.worker.threads import serve

if __name__ == "__main__":
    run_enclave(serve)
