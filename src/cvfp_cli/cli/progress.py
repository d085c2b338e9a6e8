"""Progress on stderr: bars with rate and time left on a terminal, plain lines anywhere else."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Self

from cvfp_cli.cli.figures import duration, four_digits, percent
from cvfp_cli.cli.terminal import say, shown
from cvfp_cli.core.result import Advance, Event, Step
from cvfp_cli.counting import counted
from cvfp_cli.results.schema import Run
from cvfp_cli.sweeps.estimate import TimeEstimate
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.watch import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

SECONDS_BETWEEN_LINES = 10.0
NARROWEST_BARS = 60
WIDE_BARS = 110
NOTEBOOK_VARIABLES = ("JPY_PARENT_PID", "COLAB_RELEASE_TAG")
"""Set by Jupyter's kernels and by Colab for what a cell starts."""

UNTRAINED = "untrained start"
WORDS: dict[str, Callable[[float], str]] = {
    "loss": lambda value: f"loss {value:.4f}",
    "rate": lambda value: f"converged {value:.1%}",
    "train_ppl": lambda value: f"train PPL {four_digits(value)}",
    "val_ppl": lambda value: f"val PPL {four_digits(value)}",
    "val_accuracy": lambda value: f"accuracy {value:.1%}",
}
KEPT = ("val_ppl", "val_accuracy", "rate")
"""What a short line still shows, the most telling first."""


def describe(job: Job) -> str:
    """A run as people name it."""
    experiment = job.experiment
    drawn = "" if experiment.data_seed is None else f", data seed {experiment.data_seed}"
    return (
        f"{experiment.configuration.label}, {counted(experiment.samples, 'sample')}, "
        f"seed {experiment.seed}{drawn}"
    )


def outcome(run: Run) -> str:
    """A finished run's figures in a few words."""
    if run.status != "done":
        return f"{run.status}: {run.reason}"
    star = "*" if run.phase1_converged is False else ""
    first = "" if run.phase1_iterations is None else f"P1 iter {run.phase1_iterations}{star}, "
    return (
        f"{first}val PPL {four_digits(run.val_ppl)}, accuracy {percent(run.val_accuracy)}, "
        f"{duration(run.total_seconds)}"
    )


class Quiet(Watcher):
    """No progress at all (``--quiet``); what the others extend. Entered for the time of the work."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def note(self, text: str) -> None:
        """Say nothing."""


class PlainLines(Quiet):
    """One line when a run begins and ends, and for its iterations and epochs.

    In a sweep those within a run come at most every ten seconds; ``sweep.log`` has them all.
    """

    def __init__(self, times: TimeEstimate, *, every_event: bool, workers: int = 1) -> None:
        self._times = times
        self._several = workers > 1
        self._pause = 0.0 if every_event else SECONDS_BETWEEN_LINES
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        say(text)

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Name the run and how long all are expected to take."""
        left = self._times.left()
        expected = "" if left is None else f", about {duration(left)} left"
        where = f" on {worker}" if worker else ""
        self.note(
            f"[{number}/{total}] {describe(job)}{where}: {counted(job.train_tokens, 'token')}{expected}"
        )
        self._last = time.monotonic()

    def advanced(self, job: Job, event: Event) -> None:
        """Print iterations and epochs."""
        stage = job.stage(event.stage)
        if not isinstance(event, Step) or stage is None or time.monotonic() - self._last < self._pause:
            return
        self._last = time.monotonic()
        self.note(f"  {self._whose(job)}{stage.title} {event.step}/{stage.most} {step_words(event)}")

    def lost(self, job: Job, reason: str) -> None:
        """Say why it waits again."""
        self.note(lost_line(job, reason))

    def finished(self, job: Job, run: Run) -> None:
        """Print the outcome."""
        self.note(f"  {self._whose(job)}{outcome(run)}")

    def _whose(self, job: Job) -> str:
        """The run's name, where others come between its lines."""
        return f"{describe(job)}: " if self._several else ""


def lost_line(job: Job, reason: str) -> str:
    """That a run waits again, and why."""
    return f"{describe(job)}: its worker is lost ({reason}); the run is queued again"


def step_words(event: Step) -> str:
    """The figures of a step that a bar has room for, or all where it knows none of their names."""
    return _shorter(event)[0]


def _shorter(event: Step) -> tuple[str, ...]:
    """A step in words, from the most to the fewest: what is kept longest is what tells how far it is."""
    known = {name: value for name, value in event.figures.items() if value is not None}
    words = {name: WORDS[name](value) for name, value in known.items() if name in WORDS}
    words = words or {name: f"{name} {four_digits(value)}" for name, value in known.items()}
    if not words:
        return UNTRAINED, ""
    kept = [words[name] for name in KEPT if name in words]
    return tuple(dict.fromkeys((", ".join(words.values()), ", ".join(kept), *kept[:1], "")))


def _words_column() -> "ProgressColumn":
    """A column of the words that the line still has room for: the longest that fit, and never half a number."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    from cvfp_cli.layout import cells, shortened

    class Fitting:
        def __init__(self, choices: Sequence[str]) -> None:
            self._choices = choices

        def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
            return Measurement(0, min(cells(self._choices[0]), options.max_width))

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            room = options.max_width
            fitting = (text for text in self._choices if cells(text) <= room)
            yield Text(next(fitting, shortened(self._choices[-1], room)), no_wrap=True)

    class Words(ProgressColumn):
        def render(self, task: Task) -> Fitting:
            return Fitting(task.fields["words"])

    return Words()


class Bars(Quiet):
    """Bars on a terminal: one for all runs, one for the phase of each run under way."""

    def __init__(self, times: TimeEstimate, *, total: int, workers: int = 1) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        def fixed() -> Column:
            return Column(no_wrap=True)

        console = Console(stderr=True, highlight=False)
        self._times = times
        self._total = total
        self._progress = Progress(
            TextColumn("{task.description}", table_column=fixed()),
            BarColumn(bar_width=24 if console.width >= WIDE_BARS else 6, table_column=fixed()),
            TextColumn("{task.fields[count]}", justify="right", table_column=fixed()),
            TextColumn("{task.fields[left]}", style="cyan", table_column=fixed()),
            _words_column(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        self._all: TaskID | None = None
        if total > 1:
            self._all = self._progress.add_task("runs", total=total, count=f"0/{total}", words=("",), left="")
        self._several = workers > 1
        self._under_way: dict[str, _StageBar | None] = {}  # the bar of each run's phase
        self._workers: dict[str, str] = {}
        self._finished = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        from rich.text import Text

        self._progress.console.print(Text(shown(text, sys.stderr)), soft_wrap=True)

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Name the run; its phases get their bars as they begin."""
        name = describe(job)
        long = f"{name}, {counted(job.train_tokens, 'token')}"
        self._under_way[job.run_id] = None
        self._workers[job.run_id] = worker
        if self._several:
            self._under_way[job.run_id] = self._bar(job, "", 1)
            self._count()
        elif self._all is not None:
            self._progress.update(
                self._all,
                completed=number - 1,
                count=f"{number}/{total}",
                words=(long, name),
                left=self._left(),
            )
        else:
            self.note(long)

    def _bar(self, job: Job, stage: str, steps: int, title: str = "") -> "_StageBar":
        """A bar for a stage; of several workers' it bears the worker's name, and tells the run's."""
        if not self._several:
            return _StageBar(self._progress, stage, title, steps)
        label = f"{job.experiment.configuration.label} {counted(job.experiment.samples, 'sample')}"
        about = (f"{label}, {title}", label) if title else (label,)
        return _StageBar(self._progress, stage, self._workers[job.run_id], steps, about)

    def _count(self) -> None:
        if self._all is not None:
            self._progress.update(
                self._all,
                completed=self._finished,
                count=f"{self._finished}/{self._total}",
                left=self._left(),
            )

    def advanced(self, job: Job, event: Event) -> None:
        """Move the bar of the phase that the event belongs to."""
        stage = job.stage(event.stage)
        bar = self._under_way[job.run_id]
        if bar is None or bar.name != event.stage:
            if bar is not None:
                bar.close()
            title, steps = (event.stage, 1) if stage is None else (stage.title, stage.most)
            bar = self._under_way[job.run_id] = self._bar(job, event.stage, steps, title)
        bar.move(event)
        if self._all is not None:
            self._progress.update(self._all, left=self._left())

    def _left(self) -> str:
        left = self._times.left()
        return "" if left is None else f"about {duration(left)} left"

    def lost(self, job: Job, reason: str) -> None:
        """Put the run's bar away and say why it waits again."""
        self._close(job)
        self.note(lost_line(job, reason))

    def _close(self, job: Job) -> None:
        bar = self._under_way.pop(job.run_id, None)
        if bar is not None:
            bar.close()

    def finished(self, job: Job, run: Run) -> None:
        """Put the run's bar away and print the outcome."""
        self._close(job)
        self._finished += 1
        if self._several:
            self._count()
        elif self._all is not None:
            self._progress.advance(self._all)
        self.note(f"{describe(job)}: {outcome(run)}")


class _StageBar:
    """The bar of one stage; it counts its steps, and moves within them by tokens.

    Args:
        name: the stage's; title: what stands before the bar.
        about: what stands before the figures, from the most words to the fewest.
    """

    def __init__(
        self, progress: "Progress", name: str, title: str, steps: int, about: Sequence[str] = ("",)
    ) -> None:
        self.name = name
        self._progress = progress
        self._steps = max(steps, 1)
        self._done = 0
        self._within = 0
        self._tokens = 0
        self._about = tuple(about)
        self._words: tuple[str, ...] = ("",)
        self._began = time.monotonic()
        self._task = progress.add_task(title, total=self._steps, count="", words=self._about, left="")

    def move(self, event: Event) -> None:
        """Advance by an event and show loss or perplexity, speed, and time left."""
        position: float
        if isinstance(event, Advance):
            if event.step - 1 > self._done:
                self._done, self._within = event.step - 1, 0
            self._within += event.tokens
            self._tokens += event.tokens
            position = self._done + min(self._within / max(event.total, 1), 1.0)
        else:
            self._done = event.step
            self._within = 0
            position = float(self._done)
            self._words = _shorter(event)
        elapsed = time.monotonic() - self._began
        rate = self._tokens / elapsed if elapsed > 0.5 else 0.0
        left = elapsed / position * (self._steps - position) if position > 0 and elapsed > 0.5 else None
        figures = (*((f"{self._words[0]} {rate:,.0f} tok/s".lstrip(),) if rate else ()), *self._words)
        words = [" ".join(filter(None, pair)) for pair in product(self._about, figures)]
        self._progress.update(
            self._task,
            completed=position,
            count=f"{min(int(position) + 1, self._steps)}/{self._steps}",
            words=tuple(words),
            left="" if left is None else f"at most {duration(left)}",
        )

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)


def _bars_work() -> bool:
    """Whether stderr is a terminal that moves its cursor and is wide enough.

    A notebook's ``!cvfp`` runs in what passes for a terminal, but the output below the cell only grows.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    if any(name in os.environ for name in NOTEBOOK_VARIABLES):
        return False
    return shutil.get_terminal_size().columns >= NARROWEST_BARS


def progress_for(times: TimeEstimate, *, total: int, workers: int = 1, quiet: bool) -> Quiet:
    """Bars on a terminal that can draw them, lines elsewhere, nothing with ``--quiet``."""
    if quiet:
        return Quiet()
    if _bars_work():
        return Bars(times, total=total, workers=workers)
    return PlainLines(times, every_event=total == 1, workers=workers)
