"""What a sweep writes down as it goes: ``sweep.log`` for people, ``metrics.jsonl`` for programs."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from cvfp_cli.core.result import Advance, Epoch, Event, Iteration
from cvfp_cli.counting import counted
from cvfp_cli.results.atomic import work_error
from cvfp_cli.results.schema import Run
from cvfp_cli.sweep.plan import Job


def iteration_line(event: Iteration, most: int) -> str:
    """One phase-1 iteration in one line."""
    if event.rate is None or event.loss is None:
        return f"phase 1 iteration {event.iteration}/{most} untrained start {event.seconds:.2f} s"
    return (
        f"phase 1 iteration {event.iteration}/{most} loss {event.loss:.6f} mse {event.mse:.6f} "
        f"diversity {event.diversity:.6f} converged {event.rate:.1%} {event.seconds:.2f} s"
    )


def epoch_line(event: Epoch, most: int) -> str:
    """One phase-2 epoch in one line."""
    return (
        f"phase 2 epoch {event.epoch}/{most} train loss {event.train_loss:.4f} ppl {event.train_ppl:.1f} "
        f"val loss {event.val_loss:.4f} ppl {event.val_ppl:.1f} accuracy {event.val_accuracy:.1%} "
        f"{event.seconds:.2f} s"
    )


def result_line(run: Run) -> str:
    """A finished run in one line."""
    if run.status != "done":
        return f"{run.status}: {run.reason}"
    star = "*" if run.phase1_converged is False else ""
    seconds = [part for part in (run.seconds.phase1, run.seconds.contexts, run.seconds.phase2) if part]
    ppl = "–" if run.val_ppl is None else f"{run.val_ppl:.1f}"
    accuracy = "–" if run.val_accuracy is None else f"{run.val_accuracy:.1%}"
    return (
        f"done: P1 iter {run.phase1_iterations}{star} val ppl {ppl} accuracy {accuracy} {sum(seconds):.1f} s"
    )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A write that fails ends the command with the file's name: a full disk is no run's failure."""
    try:
        yield
    except OSError as problem:
        raise work_error(path, problem) from None


class SweepLog:
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

    def started(self, job: Job, number: int, total: int) -> None:
        """Name the run and its size."""
        blocks = f"{job.parameters.context_block:,} + {job.parameters.token_block:,}"
        self.line(f"[{number}/{total}] {job.name} {counted(job.train_tokens, 'token')} {blocks} parameters")

    def advanced(self, job: Job, event: Event) -> None:
        """Write iterations and epochs, not the steps within them."""
        match event:
            case Iteration():
                self.line(f"{job.name} {iteration_line(event, job.experiment.config.phase1.max_iterations)}")
            case Epoch():
                self.line(f"{job.name} {epoch_line(event, job.experiment.config.phase2.epochs)}")
            case Advance():
                pass

    def finished(self, job: Job, run: Run) -> None:
        """Write the outcome."""
        self.line(f"{job.name} {result_line(run)}")


class Metrics:
    """``metrics.jsonl`` in each run's folder: one JSON object an iteration and epoch.

    A run that goes on from a checkpoint replaces the lines it repeats, so that the file reads as if it had never
    been interrupted.
    """

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def started(self, job: Job, number: int, total: int) -> None:
        """Nothing is written before the first event tells where the run begins."""
        self._begun.discard(job.name)

    def advanced(self, job: Job, event: Event) -> None:
        """Append a line; the first one of a run first drops what an earlier attempt wrote from there on."""
        if isinstance(event, Advance):
            return
        path = job.folder / "metrics.jsonl"
        with _writing(path):
            if job.name not in self._begun:
                self._begun.add(job.name)
                _keep_before(path, _place(event))
            with path.open("ab") as lines:
                lines.write(_metrics_line(event))

    def finished(self, job: Job, run: Run) -> None:
        """The figures of a finished run are in ``result.json``."""


def _metrics_line(event: Iteration | Epoch) -> bytes:
    values: dict[str, Any] = {"phase": 1 if isinstance(event, Iteration) else 2, **asdict(event)}
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return (json.dumps(finite, allow_nan=False) + "\n").encode()


def _place(event: Iteration | Epoch) -> tuple[int, int]:
    return (1, event.iteration) if isinstance(event, Iteration) else (2, event.epoch)


def _keep_before(path: Path, place: tuple[int, int]) -> None:
    """Rewrite a metrics file up to, not including, ``place``; a torn or foreign line ends it."""
    kept: list[str] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            written = _line_place(line)
            if written is None or written >= place:
                break
            kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")


def _line_place(line: str) -> tuple[int, int] | None:
    if not line.endswith("\n"):
        return None
    try:
        value = json.loads(line)
        return (1, int(value["iteration"])) if value["phase"] == 1 else (2, int(value["epoch"]))
    except (ValueError, KeyError, TypeError):
        return None
