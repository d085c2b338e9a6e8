"""How long runs will take: their arithmetic over the rate that finished runs have shown."""

import heapq
import time
from collections.abc import Mapping, Sequence

from cvfp_cli.counting import counted
from cvfp_cli.results import Run
from cvfp_cli.sweep.plan import Job
from cvfp_cli.sweep.watch import Watcher

# Share of the rate of large matrix products that runs reach, before any has shown its own.
LIKELY_SHARE = 0.4
# What an earlier run counts against the next one, so that a machine that was busy is forgotten within a few runs.
KEPT = 0.7


Steps = Mapping[str, int]  # of each stage, by its name


def operations(job: Job, steps: Steps) -> float:
    """Floating-point operations of a job whose stages take so many steps."""
    return sum(stage.work(steps[stage.name]) for stage in job.stages)


def most_steps(job: Job) -> Steps:
    """The recipe's limits."""
    return {stage.name: stage.most for stage in job.stages}


def likely_steps(job: Job, seen: Steps | None = None) -> Steps:
    """What to expect: what the same configuration took at another size (``seen``), or the learner's guess."""
    expected = {stage.name: stage.likely for stage in job.stages} | dict(seen or {})
    return {stage.name: min(expected[stage.name], stage.most) for stage in job.stages}


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of ``workers`` is done, if each takes the longest run that is left as soon as it has none."""
    busy_until = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(busy_until, busy_until[0] + each)
    return max(busy_until)


class TimeEstimate(Watcher):
    """Expected seconds of jobs, learnt from every run that is done; also a watcher that knows what is left.

    Runs weigh by their length, so that the fixed cost of small ones does not swell the estimate of large ones, and
    less the longer ago they were.

    Args:
        jobs: the command's grid; runs recorded earlier are learnt from.
        remaining: what will be run, in order.
        rate: operations a second to assume before any run is done; None to know nothing until then.
        workers: runs at a time.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        remaining: Sequence[Job],
        rate: float | None = None,
        *,
        workers: int = 1,
    ) -> None:
        self._rate = rate
        self._workers = workers
        self._remaining = list(remaining)
        self._operations = 0.0
        self._seconds = 0.0
        self._runs = 0
        self._seen: dict[str, Steps] = {}
        self._began: dict[str, float] = {}  # of the runs under way
        for job in jobs:
            if job.recorded is not None:
                self._learn(job, job.recorded)

    @property
    def basis(self) -> str:
        """What the expected seconds rest on, and what that is worth."""
        if self._runs:
            return f"by the time that {counted(self._runs, 'finished run')} took"
        return "by how fast this device multiplies matrices now, which can be off by a factor of two"

    def seconds(self, job: Job, *, most: bool = False) -> float | None:
        """Expected seconds of one run; ``most`` goes to the recipe's limits. None while nothing is known."""
        rate = self._operations / self._seconds if self._seconds > 0 else self._rate
        if not rate:
            return None
        steps = (
            most_steps(job) if most else likely_steps(job, self._seen.get(job.experiment.configuration.label))
        )
        return operations(job, steps) / rate

    def total(self, jobs: Sequence[Job], *, most: bool = False) -> float | None:
        """Expected seconds until several runs are done; None while nothing is known."""
        each = [self.seconds(job, most=most) for job in jobs]
        known = [seconds for seconds in each if seconds is not None]
        return makespan(known, self._workers) if len(known) == len(each) else None

    def left(self) -> float | None:
        """Expected seconds until all remaining runs are done, the time already spent on those under way taken off."""
        now = time.monotonic()
        rest = []
        for job in self._remaining:
            seconds = self.seconds(job)
            if seconds is None:
                return None
            rest.append(max(seconds - (now - self._began.get(job.run_id, now)), 0.0))
        return makespan(rest, self._workers)

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """The run's clock starts."""
        self._began[job.run_id] = time.monotonic()

    def lost(self, job: Job, reason: str) -> None:
        """The run waits again."""
        self._began.pop(job.run_id, None)

    def finished(self, job: Job, run: Run) -> None:
        """Learn from a run, and take it off what remains."""
        self._learn(job, run)
        self._remaining = [other for other in self._remaining if other.run_id != job.run_id]

    def _learn(self, job: Job, run: Run) -> None:
        seconds = sum(stage.seconds for stage in run.stages if stage.seconds is not None)
        steps = {stage.name: stage.steps for stage in run.stages if stage.steps is not None}
        if run.status != "done" or seconds <= 0 or any(stage.name not in steps for stage in job.stages):
            return
        self._seen[run.config] = steps
        self._runs += 1
        self._operations = KEPT * self._operations + operations(job, steps)
        self._seconds = KEPT * self._seconds + seconds
