"""``--report-to``: curves and figures for an experiment tracker, which can neither slow nor break a run.

Each tracker gets a run a run of ours, under a stable id, so that a run that goes on continues there too. Every tracker
is told in a thread of its own (:class:`Apart`).
"""

import io
import json
import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cvfp_cli.core.result import Event, Step
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError, missing_extra, one_line
from cvfp_cli.results import read_results
from cvfp_cli.results.reader import RUN_FILE, RUNS_FOLDER
from cvfp_cli.results.schema import Run, scalar
from cvfp_cli.sweeps.journal import METRICS_FILE
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.tensorboard import TensorBoard
from cvfp_cli.sweeps.watch import Watcher

PATIENCE = 60.0
"""Seconds that a tracker has at the end of a command to take what is left."""
MOST_WAITING = 10_000
"""Events that wait for a slow tracker; what comes beyond is dropped, counted and said."""

TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio"}
"""Each tracker's word, and the module that it needs."""


def check_tracker(word: str, option: str = "--report-to") -> None:
    """Refuse a tracker whose package is missing.

    Raises:
        InputError: with the commands that install it.
    """
    if find_spec(TRACKERS[word]) is None:
        raise missing_extra(f"{option} {word}", word)


def tracker(word: str, study: str, folder: Path) -> Watcher:
    """The watcher that tells a tracker.

    Args:
        study: the project there. folder: the results folder, in which TensorBoard's curves lie.
    """
    if word == "tensorboard":
        return TensorBoard(folder / "tensorboard")
    return Told(_TOLD[word](study))


@dataclass(frozen=True)
class Known:
    """What is known of a run before it begins.

    Attributes:
        id: the run's own hash, the same wherever and whenever it is trained. name: as people read it.
        settings: where it stands in its study.
    """

    id: str
    name: str
    settings: Mapping[str, Any]


def known_of(job: Job) -> Known:
    """What a tracker is told of a job."""
    point = job.experiment
    chosen = point.configuration
    settings: dict[str, Any] = {
        "config": chosen.label,
        "kind": chosen.kind,
        **{name: scalar(value) for name, value in chosen.axes.items()},
        "samples": point.samples,
    }
    settings |= {"seed": point.seed, "data_seed": point.data_seed, "train_tokens": job.train_tokens}
    return Known(job.run_id, job.name, _given(settings))


def known_of_run(run: Run, name: str) -> Known:
    """The same of a run that is done, by the name of its folder."""
    names = ("config", "kind", "samples", "seed", "data_seed", "train_tokens")
    return Known(run.run_id or name, name, _given({key: getattr(run, key) for key in names} | run.axes))


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def figures_of(run: Run) -> dict[str, float]:
    """The figures of a run that has ended, by their names in ``summary.json``."""
    seconds = {f"seconds.{key}": value for key, value in vars(run.seconds).items()}
    return _finite({name: value for name, value in vars(run).items() if name not in _NO_FIGURES} | seconds)


_NO_FIGURES = ("layers", "context_dim", "tokens", "samples", "seed", "data_seed", "embed_dim", "environment")


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    return {k: v for k, v in numbers.items() if not isinstance(v, bool) and math.isfinite(v)}


class Tracker:
    """A tracker's own calls. A run is what ``begin`` gives.

    Attributes:
        study: the project or experiment that the runs belong to.
    """

    def __init__(self, study: str) -> None:
        self.study = study

    def begin(self, known: Known) -> Any:
        """Open a run, or one of this id that was broken off."""
        raise NotImplementedError

    def log(self, run: Any, figures: Mapping[str, float], step: int) -> None:
        """Write the figures of an iteration or epoch; steps of one run ascend."""
        raise NotImplementedError

    def end(self, run: Any, figures: Mapping[str, float], status: str) -> None:
        """Write the figures of the whole run and close it."""
        raise NotImplementedError


class Wandb(Tracker):
    """Weights & Biases, as its own environment variables say (``WANDB_MODE=offline`` needs no connection)."""

    def begin(self, known: Known) -> Any:
        import wandb

        return wandb.init(
            project=self.study,
            id=known.id,
            name=known.name,
            config=dict(known.settings),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, run: Any, figures: Mapping[str, float], step: int) -> None:
        run.log(dict(figures), step=step)

    def end(self, run: Any, figures: Mapping[str, float], status: str) -> None:
        run.summary.update({**figures, "status": status})
        run.finish(exit_code=0 if status == "done" else 1)


class Mlflow(Tracker):
    """MLflow, at ``MLFLOW_TRACKING_URI`` or where it writes by itself."""

    def __init__(self, study: str) -> None:
        super().__init__(study)
        self._made: tuple[Any, str] | None = None

    def _client(self) -> tuple[Any, str]:
        """The client and the experiment's id, asked for once."""
        if self._made is None:
            from mlflow import MlflowClient

            client = MlflowClient()
            found = client.get_experiment_by_name(self.study)
            self._made = client, found.experiment_id if found else client.create_experiment(self.study)
        return self._made

    def begin(self, known: Known) -> Any:
        client, experiment = self._client()
        before = client.search_runs([experiment], f"tags.cvfp_id = '{known.id}'", max_results=1)
        if before:
            client.update_run(before[0].info.run_id, status="RUNNING")
            return before[0].info.run_id
        made = client.create_run(experiment, run_name=known.name, tags={"cvfp_id": known.id})
        for key, value in known.settings.items():
            client.log_param(made.info.run_id, key, value)
        return made.info.run_id

    def log(self, run: Any, figures: Mapping[str, float], step: int) -> None:
        client, _ = self._client()
        for name, value in figures.items():
            client.log_metric(run, name, value, step=step)

    def end(self, run: Any, figures: Mapping[str, float], status: str) -> None:
        client, _ = self._client()
        for name, value in figures.items():
            client.log_metric(run, name, value)
        client.set_terminated(run, "FINISHED" if status == "done" else "FAILED")


class Trackio(Tracker):
    """Trackio's local database, or the Space that its environment variables name."""

    def begin(self, known: Known) -> Any:
        import trackio

        with redirect_stdout(io.StringIO()):  # it prints, and stdout is the command's answer
            return trackio.init(
                project=self.study,
                name=f"{known.name}-{known.id[:6]}",
                config=dict(known.settings),
                resume="allow",
                embed=False,
            )

    def log(self, run: Any, figures: Mapping[str, float], step: int) -> None:
        run.log(dict(figures), step=step)

    def end(self, run: Any, figures: Mapping[str, float], status: str) -> None:
        if figures:
            run.log({f"final/{name}": value for name, value in figures.items()})
        with redirect_stdout(io.StringIO()):
            run.finish()


_TOLD: dict[str, type[Tracker]] = {"wandb": Wandb, "mlflow": Mlflow, "trackio": Trackio}


class Told(Watcher):
    """Tells a tracker of every iteration, epoch and result."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._open: dict[str, Any] = {}  # of the runs under way, by name
        self._place: dict[str, int] = {}  # of the last step told

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Open the run."""
        self._place.pop(job.name, None)
        self._open[job.name] = self._tracker.begin(known_of(job))

    def advanced(self, job: Job, event: Event) -> None:
        """Write a step under its place in ``metrics.jsonl``, which holds it already, so that a resumed run goes on."""
        if not isinstance(event, Step) or job.name not in self._open:
            return
        self._place[job.name] = self._place.get(job.name, _place_before(job, event)) + 1
        if figures := _finite({f"{event.stage}/{name}": value for name, value in event.figures.items()}):
            self._tracker.log(self._open[job.name], figures, self._place[job.name])

    def lost(self, job: Job, reason: str) -> None:
        """Close the run, which is opened again."""
        if (run := self._open.pop(job.name, None)) is not None:
            self._tracker.end(run, {}, "failed")

    def finished(self, job: Job, run: Run) -> None:
        """Write the figures and close the run."""
        if (opened := self._open.pop(job.name, None)) is not None:
            self._tracker.end(opened, figures_of(run), run.status)

    def ended(self) -> None:
        """Close what is under way; the same command goes on with it."""
        for name in tuple(self._open):
            self._tracker.end(self._open.pop(name), {}, "interrupted")


class Apart(Watcher):
    """Tells another watcher in a thread of its own.

    What it raises ends its own work, in one warning, and nothing else; what it does not take in time waits, and what
    finds no room to wait is dropped, counted and said.
    """

    def __init__(self, name: str, watcher: Watcher, warn: Callable[[str], None]) -> None:
        self._name, self._watcher, self._warn = name, watcher, warn
        self._waiting: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(MOST_WAITING)
        self._problem = ""
        self._dropped = 0
        self._said = False
        self._thread = threading.Thread(target=self._work, name=f"cvfp-{name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            call, given = item
            try:
                if not self._problem:
                    getattr(self._watcher, call)(*given)
            except Exception as problem:  # anything at all: a tracker is no run's business
                said = one_line(" ".join(str(problem).split()), 200)
                self._problem = f"{type(problem).__name__}: {said}"

    def _tell(self, call: str, *given: Any) -> None:
        self._say_problem()
        try:
            self._waiting.put_nowait((call, given))
        except queue.Full:
            self._dropped += 1

    def _say_problem(self) -> None:
        """Say once, in the parent's thread, that the tracker takes nothing more."""
        if self._problem and not self._said:
            self._said = True
            self._warn(f"{self._name} stopped taking figures ({self._problem}). The runs go on without it.")

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        self._tell("started", job, number, total, worker)

    def advanced(self, job: Job, event: Event) -> None:
        if isinstance(event, Step):
            self._tell("advanced", job, event)

    def lost(self, job: Job, reason: str) -> None:
        self._tell("lost", job, reason)

    def finished(self, job: Job, run: Run) -> None:
        self._tell("finished", job, run)

    def close(self, patience: float = PATIENCE) -> None:
        """Wait until all is told, ``patience`` seconds at most, and say what was not."""
        with suppress(queue.Full):
            self._waiting.put(("ended", ()), timeout=patience)
            self._waiting.put(None, timeout=patience)
        self._thread.join(patience)
        self._say_problem()
        missing = self._dropped + (self._waiting.qsize() if self._thread.is_alive() else 0)
        if missing and not self._problem:
            self._warn(f"{self._name} was too slow: {counted(missing, 'event')} did not get there.")


@contextmanager
def told_apart(
    words: Sequence[str], study: str, folder: Path, warn: Callable[[str], None]
) -> Iterator[list[Apart]]:
    """The trackers of one command, each in its thread; closed when it ends, however that is."""
    all_of = [Apart(word, tracker(word, study, folder), warn) for word in words]
    try:
        yield all_of
    finally:
        for one in all_of:
            one.close()


def tell_results(word: str, study: str, folder: Path) -> int:
    """Tell a tracker of every run of a results folder, with its curves.

    Returns:
        how many runs there were.

    Raises:
        InputError: the folder has no runs.
    """
    told = _TOLD[word](study)
    count = 0
    for file in sorted((folder / RUNS_FOLDER).glob(f"*/{RUN_FILE}")):
        (run,) = read_results(file).runs
        opened = told.begin(known_of_run(run, file.parent.name))
        for place, line in enumerate(_lines(file.parent / METRICS_FILE), start=1):
            # The number of its stage, its name and that of the step come first, then the figures.
            named = {f"{line['stage']}/{name}": line[name] for name in list(line)[3:] if name != "seconds"}
            if figures := _finite(named):
                told.log(opened, figures, place)
        told.end(opened, figures_of(run), run.status)
        count += 1
    if not count:
        raise InputError(f"{folder}: there are no runs in it.", hint="Name a results folder.")
    return count


def _place_before(job: Job, event: Step) -> int:
    """How many lines of ``metrics.jsonl`` stand before this step's."""
    unit = next(stage.unit for stage in job.stages if stage.name == event.stage)
    places = [(line.get("stage"), line.get(unit)) for line in _lines(job.folder / METRICS_FILE)]
    return places.index((event.stage, event.step)) if (event.stage, event.step) in places else 0


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a ``metrics.jsonl``; a torn one at its end is left out."""
    found = []
    with suppress(OSError, ValueError):
        for text in path.read_text(encoding="utf-8").splitlines():
            found.append(json.loads(text))
    return found
