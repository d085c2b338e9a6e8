"""How long runs will take: their arithmetic over the rate that finished runs have shown."""

import heapq
import time
from collections.abc import Mapping, Sequence

from cvfp_cli.counting import counted
from cvfp_cli.learners import Stage
from cvfp_cli.results import Run
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.watch import Watcher

# Share of the rate of large matrix products that runs reach, before any has shown its own.
LIKELY_SHARE = 0.4
# What an earlier run counts against the next one, so that a machine that was busy is forgotten within a few runs.
KEPT = 0.7


Steps = Mapping[str, int]  # of each stage, by its name
Stages = Sequence[Stage]


def operations(stages: Stages, steps: Steps) -> float:
    """Floating-point operations of a run whose stages take so many steps."""
    return sum(stage.work(steps[stage.name]) for stage in stages)


def most_steps(stages: Stages) -> Steps:
    """The recipe's limits."""
    return {stage.name: stage.most for stage in stages}


def likely_steps(stages: Stages, seen: Steps | None = None) -> Steps:
    """What to expect: what the same configuration took at another size (``seen``), or the learner's guess."""
    expected = {stage.name: stage.likely for stage in stages} | dict(seen or {})
    return {stage.name: min(expected[stage.name], stage.most) for stage in stages}


class Pace:
    """What finished runs teach of those to come: steps by configuration, and operations a second.

    Runs weigh by their length, so that the fixed cost of small ones does not swell the estimate of large ones, and
    less the longer ago they were.

    Attributes:
        runs: learnt from. rate: operations a second; None while nothing is known.
    """

    def __init__(self, rate: float | None = None) -> None:
        self.runs = 0
        self._first = rate
        self._operations = 0.0
        self._seconds = 0.0
        self._seen: dict[str, Steps] = {}

    @property
    def rate(self) -> float | None:
        return self._operations / self._seconds if self._seconds > 0 else self._first

    def learn(self, stages: Stages, run: Run) -> None:
        """Learn from a run, if it is done and says what its stages took."""
        seconds = sum(stage.seconds for stage in run.stages if stage.seconds is not None)
        steps = {stage.name: stage.steps for stage in run.stages if stage.steps is not None}
        if run.status != "done" or any(stage.name not in steps for stage in stages):
            return
        self._seen[run.config] = steps
        if seconds <= 0:
            return
        self.runs += 1
        self._operations = KEPT * self._operations + operations(stages, steps)
        self._seconds = KEPT * self._seconds + seconds

    def expected(self, stages: Stages, config: str) -> float:
        """Operations to expect of a run of a configuration."""
        return operations(stages, likely_steps(stages, self._seen.get(config)))


def makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of ``workers`` is done, if each takes the longest run that is left as soon as it has none."""
    busy_until = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(busy_until, busy_until[0] + each)
    return max(busy_until)


class TimeEstimate(Watcher):
    """Expected seconds of jobs, learnt from every run that is done; also a watcher that knows what is left.

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
        self._pace = Pace(rate)
        self._workers = workers
        self._remaining = list(remaining)
        self._began: dict[str, float] = {}  # of the runs under way
        for job in jobs:
            if job.recorded is not None:
                self._pace.learn(job.stages, job.recorded)

    @property
    def basis(self) -> str:
        """What the expected seconds rest on, and what that is worth."""
        if self._pace.runs:
            return f"by the time that {counted(self._pace.runs, 'finished run')} took"
        return "by how fast this device multiplies matrices now, which can be off by a factor of two"

    def seconds(self, job: Job, *, most: bool = False) -> float | None:
        """Expected seconds of one run; ``most`` goes to the recipe's limits. None while nothing is known."""
        if not self._pace.rate:
            return None
        if most:
            return operations(job.stages, most_steps(job.stages)) / self._pace.rate
        return self._pace.expected(job.stages, job.experiment.configuration.label) / self._pace.rate

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
        self._pace.learn(job.stages, run)
        self._remaining = [other for other in self._remaining if other.run_id != job.run_id]
