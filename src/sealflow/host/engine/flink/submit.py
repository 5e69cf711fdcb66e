"""Host: start the Flink job: `python -m sealflow.host.engine.flink.submit JOB.toml`.

In Flink's environment, against a running cluster; or named to a cluster of its own (application
mode). Not part of `flink`, whose classes TaskManagers must find under a name of theirs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sealflow.errors import SealflowError
from sealflow.host.engine.flink import job
from sealflow.host.engine.flink.settings import FlinkJob
from sealflow.host.settings import load_settings


def main() -> None:
    """Submit, print the job's id, end; exits with 1 and the reason when it cannot."""
    try:
        job_id = job.submit(load_settings(Path(sys.argv[1]), FlinkJob))
    except SealflowError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{job_id}\n")


if __name__ == "__main__":
    main()
