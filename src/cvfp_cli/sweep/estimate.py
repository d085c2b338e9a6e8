"""How long runs will take: their arithmetic over the rate that finished runs have shown."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cvfp_cli.core.config import ExperimentConfig
from cvfp_cli.core.memory import Work
from cvfp_cli.core.result import Event
from cvfp_cli.counting import counted
from cvfp_cli.results import Run
from cvfp_cli.sweep.plan import Job

# Until a run has shown otherwise: most of the studies' configurations with more than one layer or token
# converged in 6 to 24 iterations and stopped after about six epochs.
LIKELY_ITERATIONS = 20
LIKELY_EPOCHS = 6
# Share of the rate of large matrix products that runs reach, before any has shown its own.
LIKELY_SHARE = 0.4
# What an earlier run counts against the next one, so that a machine that was busy is forgotten within a few runs.
KEPT = 0.7


@dataclass(frozen=True)
class Counts:
    """How many phase-1 iterations (the untrained one counted) and phase-2 epochs a run takes."""

    iterations: int
    epochs: int

    def operations(self, work: Work) -> float:
        """Floating-point operations of a run that takes so many."""
        return work.iteration * max(self.iterations - 1, 1) + work.epoch * self.epochs


def most_counts(config: ExperimentConfig) -> Counts:
    """The recipe's limits."""
    return Counts(config.phase1.max_iterations, config.phase2.epochs)


def likely_counts(config: ExperimentConfig, seen: Counts | None = None) -> Counts:
    """What to expect: what the same configuration took at another size (``seen``), or the studies' usual."""
    most = most_counts(config)
    guess = seen or Counts(LIKELY_ITERATIONS, LIKELY_EPOCHS if config.phase2.patience else most.epochs)
    return Counts(min(guess.iterations, most.iterations), min(guess.epochs, most.epochs))


class TimeEstimate:
    """Expected seconds of jobs, learnt from every run that is done; also a watcher that knows what is left.

    Runs weigh by their length, so that the fixed cost of small ones does not swell the estimate of large ones, and
    less the longer ago they were.

    Args:
        jobs: the command's grid; runs recorded earlier are learnt from.
        remaining: what will be run, in order.
        rate: operations a second to assume before any run is done; None to know nothing until then.
    """

    def __init__(self, jobs: Sequence[Job], remaining: Sequence[Job], rate: float | None = None) -> None:
        self._rate = rate
        self._remaining = list(remaining)
        self._operations = 0.0
        self._seconds = 0.0
        self._runs = 0
        self._seen: dict[str, Counts] = {}
        self._began = time.monotonic()
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
        config = job.experiment.config
        counts = most_counts(config) if most else likely_counts(config, self._seen.get(config.model.name))
        return counts.operations(job.work) / rate

    def total(self, jobs: Sequence[Job], *, most: bool = False) -> float | None:
        """Expected seconds of several runs; None while nothing is known."""
        each = [self.seconds(job, most=most) for job in jobs]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) if len(known) == len(each) else None

    def left(self) -> float | None:
        """Expected seconds until all remaining runs are done, the time already spent on the first taken off."""
        if not self._remaining:
            return 0.0
        current, later = self.seconds(self._remaining[0]), self.total(self._remaining[1:])
        if current is None or later is None:
            return None
        return max(current - (time.monotonic() - self._began), 0.0) + later

    def started(self, job: Job, number: int, total: int) -> None:
        """The clock of the first remaining run starts."""
        self._began = time.monotonic()

    def advanced(self, job: Job, event: Event) -> None:
        """Nothing is learnt before a run is done."""

    def finished(self, job: Job, run: Run) -> None:
        """Learn from a run, and take it off what remains."""
        self._learn(job, run)
        self._remaining = [other for other in self._remaining if other.run_id != job.run_id]
        self._began = time.monotonic()

    def _learn(self, job: Job, run: Run) -> None:
        parts = (run.seconds.phase1, run.seconds.contexts, run.seconds.phase2)
        seconds = sum(part for part in parts if part is not None)
        if run.status != "done" or run.phase1_iterations is None or run.epochs is None or seconds <= 0:
            return
        counts = Counts(run.phase1_iterations, run.epochs)
        self._seen[run.config] = counts
        self._runs += 1
        self._operations = KEPT * self._operations + counts.operations(job.work)
        self._seconds = KEPT * self._seconds + seconds
