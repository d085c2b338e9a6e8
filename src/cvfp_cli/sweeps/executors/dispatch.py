"""What executors with several workers have in common: who does what next, and what a lost worker costs."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cvfp_cli.core.result import Event
from cvfp_cli.counting import counted
from cvfp_cli.sweeps.estimate import likely_steps, operations
from cvfp_cli.sweeps.executors.base import Reports
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.work import JobResult

MOST_LOSSES = 3
"""A run that has cost so many workers is to blame for it, as one that needs more memory than there is."""


@dataclass
class _UnderWay:
    job: Job
    since: float  # when it was last heard of


class Dispatch:
    """The queue of one sweep, in the parent: the longest job first, and again what was under way at a lost worker.

    Workers go by their names, of which each has one job at a time.

    Args:
        jobs: what is to be done.
        reports: told in the parent's thread, as ``Reports`` says.
        run_timeout: seconds without a sign of life after which a worker counts as hanging; None for never.
    """

    def __init__(self, jobs: Sequence[Job], reports: Reports, run_timeout: float | None = None) -> None:
        self._waiting = sorted(jobs, key=lambda job: -operations(job.stages, likely_steps(job.stages)))
        self._reports = reports
        self._run_timeout = run_timeout
        self._under_way: dict[str, _UnderWay] = {}
        self._losses: Counter[str] = Counter()

    @property
    def waiting(self) -> Sequence[Job]:
        """Jobs that no worker has, in the order in which they are handed out."""
        return self._waiting

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._waiting or self._under_way)

    def next(self, worker: str) -> Job | None:
        """The next job, from now on this worker's; None where none waits."""
        while self._waiting:
            job = self._waiting.pop(0)
            if self._reports.started(job, worker):
                self._under_way[worker] = _UnderWay(job, time.monotonic())
                return job
        return None

    def advanced(self, worker: str, event: Event) -> None:
        """The worker's job has got on."""
        under_way = self._under_way[worker]
        under_way.since = time.monotonic()
        self._reports.advanced(under_way.job, event)

    def warned(self, worker: str, text: str) -> None:
        """The worker's job has something to say."""
        self._reports.warned(self._under_way[worker].job, text)

    def done(self, worker: str, result: JobResult) -> None:
        """The worker's job has ended, well or with its reason."""
        self._reports.ended(self._under_way.pop(worker).job, result)

    def lost(self, worker: str, reason: str) -> None:
        """The worker is gone: what it had is next again, or failed where it has cost ``MOST_LOSSES`` workers.

        Args:
            reason: what became of it, such as ``killed by signal 9``.
        """
        if worker not in self._under_way:
            return
        job = self._under_way.pop(worker).job
        self._losses[job.run_id] += 1
        if (losses := self._losses[job.run_id]) < MOST_LOSSES:
            self._waiting.insert(0, job)
            self._reports.lost(job, reason)
            return
        reason = f"{counted(losses, 'worker was', 'workers were')} lost with it, the last one {reason}"
        self._reports.ended(job, JobResult(job.run_id, job.execution, None, reason))

    def hanging(self) -> list[str]:
        """Workers that have shown no sign of life for ``run_timeout``: to be ended, and then ``lost``."""
        if self._run_timeout is None:
            return []
        limit = time.monotonic() - self._run_timeout
        return [worker for worker, under_way in self._under_way.items() if under_way.since < limit]
