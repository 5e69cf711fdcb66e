"""Worker: one thread that opens requests and runs models by turns.

For a runtime with one thread. On one core two threads would only push each other out of its cache,
and every hand-over between them costs as much as a small model's run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealflow.trusted.worker.answering import Answering
    from sealflow.trusted.worker.arrivals import Arrivals
    from sealflow.trusted.worker.batching import WaitingJobs
    from sealflow.trusted.worker.opening import Opening


class Alternating:
    """Opens what has arrived, up to a full batch, runs it, and looks again."""

    def __init__(
        self, arrivals: Arrivals, opening: Opening, jobs: WaitingJobs, answering: Answering
    ) -> None:
        """Work with these."""
        self._arrivals = arrivals
        self._opening = opening
        self._jobs = jobs
        self._answering = answering

    def run(self) -> None:
        """Work until the arrivals end and all jobs are answered."""
        while (message := self._arrivals.next()) is not None:
            self._opening.handle(message)
            while self._jobs.batch_full or (self._jobs and not self._arrivals.waiting):
                self._answering.answer_next()
        self._jobs.close()
        self._answering.run()
