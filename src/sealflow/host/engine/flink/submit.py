"""Host: submit the Flink job: `python -m sealflow.host.engine.flink.submit JOB.toml`.

It runs in Flink's environment, against a running cluster or as the program of an application-mode
cluster. It is separate from `job`: classes of a main module would be pickled as `__main__`, which
TaskManagers cannot import.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sealflow.defects import EXIT_DEFECT, print_defect
from sealflow.errors import SealflowError
from sealflow.host.engine.flink import job
from sealflow.host.engine.flink.settings import FlinkJob
from sealflow.host.settings import load_settings


def main() -> None:
    """Submit the job and print its id; exit with status 1 and the reason after an error."""
    try:
        job_id = job.submit(load_settings(Path(sys.argv[1]), FlinkJob))
    except SealflowError as error:
        sys.exit(f"error: {error}")
    except Exception as error:  # noqa: BLE001 - a defect, which is reported as one
        print_defect(error)
        sys.exit(EXIT_DEFECT)
    sys.stdout.write(f"{job_id}\n")


if __name__ == "__main__":
    main()
