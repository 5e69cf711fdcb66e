"""Worker: the process. It has no arguments, no environment and no files: all comes in frames."""

from __future__ import annotations

from sealflow.trusted.process import run_enclave
from sealflow.trusted.worker.threads import serve

if __name__ == "__main__":
    run_enclave(serve)
