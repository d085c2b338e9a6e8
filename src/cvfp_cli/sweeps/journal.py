"""What a sweep writes down as it goes: ``sweep.log`` for people, ``metrics.jsonl`` for programs."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cvfp_cli.core.result import Event, Step
from cvfp_cli.counting import counted
from cvfp_cli.learners import Stage
from cvfp_cli.results.atomic import work_error
from cvfp_cli.results.schema import Run
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.watch import Watcher

METRICS_FILE = "metrics.jsonl"

# How ``sweep.log`` writes a figure of a step; others stand under their own name.
DETAILS = {
    "loss": "loss {:.6f}",
    "mse": "mse {:.6f}",
    "diversity": "diversity {:.6f}",
    "growth": "growth {:.3f}",
    "rate": "converged {:.1%}",
    "train_loss": "train loss {:.4f}",
    "train_ppl": "ppl {:.1f}",
    "val_loss": "val loss {:.4f}",
    "val_ppl": "ppl {:.1f}",
    "val_accuracy": "accuracy {:.1%}",
}


def step_line(stage: Stage, event: Step) -> str:
    """One step in one line."""
    figures = [
        DETAILS.get(name, name + " {:.6g}").format(value)
        for name, value in event.figures.items()
        if value is not None
    ]
    shown = " ".join(figures) or "untrained start"
    return f"{stage.title} {stage.unit} {event.step}/{stage.most} {shown} {event.seconds:.2f} s"


def result_line(run: Run) -> str:
    """A finished run in one line."""
    if run.status != "done":
        return f"{run.status}: {run.reason}"
    ppl = "–" if run.val_ppl is None else f"{run.val_ppl:.1f}"
    accuracy = "–" if run.val_accuracy is None else f"{run.val_accuracy:.1%}"
    star = "*" if run.phase1_converged is False else ""
    first = "" if run.phase1_iterations is None else f"P1 iter {run.phase1_iterations}{star} "
    return f"done: {first}val ppl {ppl} accuracy {accuracy} {run.total_seconds or 0.0:.1f} s"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A write that fails ends the command with the file's name: a full disk is no run's failure."""
    try:
        yield
    except OSError as problem:
        raise work_error(path, problem) from None


class SweepLog(Watcher):
    """``sweep.log``: one plain line an iteration and epoch, appended and flushed as it happens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def line(self, text: str) -> None:
        """Append one dated line; a line that a kill left unfinished is ended first.

        Raises:
            WriteError: it could not be written.
        """
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        with _writing(self._path), self._path.open("ab+") as log:
            if log.tell():
                log.seek(-1, os.SEEK_END)
                if log.read(1) != b"\n":
                    log.write(b"\n")
            log.write(f"{stamp} {' '.join(text.split())}\n".encode())

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Name the run and its size."""
        blocks = " + ".join(f"{count:,}" for count in job.parameters.parts.values())
        parameters = f" {blocks} parameters" if blocks else ""
        where = f" on {worker}" if worker else ""
        self.line(f"[{number}/{total}] {job.name}{where} {counted(job.train_tokens, 'token')}{parameters}")

    def advanced(self, job: Job, event: Event) -> None:
        """Write iterations and epochs, not the steps within them."""
        stage = job.stage(event.stage)
        if isinstance(event, Step) and stage is not None:
            self.line(f"{job.name} {step_line(stage, event)}")

    def lost(self, job: Job, reason: str) -> None:
        """Write why it is started again."""
        self.line(f"{job.name} its worker is lost ({reason}); queued again")

    def finished(self, job: Job, run: Run) -> None:
        """Write the outcome."""
        self.line(f"{job.name} {result_line(run)}")


class Metrics(Watcher):
    """``metrics.jsonl`` in each run's folder: one JSON object an iteration and epoch.

    A run that goes on from a checkpoint replaces the lines it repeats, so that the file reads as if it had never
    been interrupted.
    """

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Nothing is written before the first event tells where the run begins."""
        self._begun.discard(job.name)

    def advanced(self, job: Job, event: Event) -> None:
        """Append a line; the first one of a run first drops what an earlier attempt wrote from there on."""
        if not isinstance(event, Step):
            return
        path = job.folder / METRICS_FILE
        with _writing(path):
            place = _place(job, event)
            if job.name not in self._begun:
                self._begun.add(job.name)
                _keep_before(job, path, place)
            with path.open("ab") as lines:
                lines.write(_metrics_line(event, place))


Place = tuple[int, int]  # the stage's number and the step's, both from 1


def _metrics_line(event: Step, place: Place) -> bytes:
    values: dict[str, Any] = {"phase": place[0], "stage": event.stage, **vars(event)}
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return (json.dumps(finite, allow_nan=False) + "\n").encode()


def _place(job: Job, event: Step) -> Place:
    return [stage.name for stage in job.stages].index(event.stage) + 1, event.step


def _keep_before(job: Job, path: Path, place: Place) -> None:
    """Rewrite a metrics file up to, not including, ``place``; a torn or foreign line ends it."""
    kept: list[str] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            written = _line_place(job, line)
            if written is None or written >= place:
                break
            kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")


def _line_place(job: Job, line: str) -> Place | None:
    if not line.endswith("\n"):
        return None
    try:
        value = json.loads(line)
        number = int(value["phase"])
        return number, int(value[job.stages[number - 1].unit])
    except (ValueError, LookupError, TypeError):
        return None
