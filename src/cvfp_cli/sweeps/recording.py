"""The parent's side of a sweep, and the only writer of its folder: a result is on disk before its worker goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cvfp_cli.core.result import Event
from cvfp_cli.recipes import Recipe
from cvfp_cli.results import ResultsStore, Run
from cvfp_cli.results.atomic import make_folder, write_atomic
from cvfp_cli.results.weights import MODEL_CONFIG
from cvfp_cli.sweeps.checkpoint import remove_checkpoint
from cvfp_cli.sweeps.ensembles import LOSSES_FILE, make_ensembles, packed
from cvfp_cli.sweeps.interrupt import Interrupts
from cvfp_cli.sweeps.model_folder import CARD_FILE, CODE_FILE, card, tokenizer_files
from cvfp_cli.sweeps.plan import Job, Plan
from cvfp_cli.sweeps.records import RunOrigin, failed_run, finished_run
from cvfp_cli.sweeps.watch import Watcher
from cvfp_cli.sweeps.work import JobResult

CONFIG_FILE = "config.toml"


@dataclass
class Recorder:
    """Writes down what an executor reports, and tells who looks on.

    Attributes:
        environment: versions, device, precision and threads, for the record.
        warn: called with one line about something that changes no figure.
        after_each: called when a result is on disk, kept from interrupts.
        runs: what has been run or was there already, by run_id.
    """

    plan: Plan
    store: ResultsStore
    environment: Mapping[str, Any]
    watcher: Watcher
    interrupts: Interrupts
    warn: Callable[[str], None]
    after_each: Callable[[], object] = lambda: None
    runs: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [*self.plan.others, *(job.recorded for job in self.plan.jobs if job.recorded is not None)]
        self.runs.update({run.run_id: run for run in found})
        self._numbers: dict[str, int] = {}  # in the order in which they begin
        self._total = len(self.plan.remaining)

    def started(self, job: Job, worker: str = "") -> bool:
        """Make the job's folder and write its recipe, unless another command has the job.

        Raises:
            WorkError: the folder cannot be written, or is another command's by now.
        """
        with self.interrupts.shield():
            if not self.store.hold_run(job.name):
                return False
            make_folder(job.folder)
            write_atomic(job.folder / CONFIG_FILE, self._narrowed(job).to_toml().encode())
        number = self._numbers.setdefault(job.run_id, len(self._numbers) + 1)
        self.watcher.started(job, number, self._total, worker)
        return True

    def advanced(self, job: Job, event: Event) -> None:
        """Pass it on."""
        self.watcher.advanced(job, event)

    def warned(self, job: Job, text: str) -> None:
        """Pass it on."""
        self.warn(text)

    def lost(self, job: Job, reason: str) -> None:
        """Pass it on."""
        self.watcher.lost(job, reason)

    def ended(self, job: Job, result: JobResult) -> None:
        """Write a run that ended, well or with its reason.

        Raises:
            WriteError: it could not be written.
        """
        data = self.plan.data[job.experiment.settings]
        described = data.describe()
        origin = RunOrigin(self.plan.recipe.name, data.embed_dim, str(described["fingerprint"]))
        if result.figures is None:
            run = failed_run(job, result.reason, origin)
        else:
            run = finished_run(job, result.figures, origin)
        files = dict(result.files)
        recipe = self._narrowed(job).resolved()
        if MODEL_CONFIG in files:
            files |= tokenizer_files(data.tokenizer)
            files[CARD_FILE] = card(run, self.runs.values(), recipe, described, own_code=CODE_FILE in files)
        with self.interrupts.shield():
            for name, content in files.items():
                write_atomic(job.folder / name, content)
            if result.figures is not None and result.figures.target_losses is not None:
                write_atomic(job.folder / LOSSES_FILE, packed(result.figures.target_losses))
            run = self.store.save_run(
                job.name,
                run,
                environment=result.environment or self.environment,
                recipe=recipe,
                data=described,
            )
            self.runs[run.run_id] = run
            remove_checkpoint(job.checkpoint)
            self.watcher.finished(job, run)
            self.after_each()

    def combine(self) -> None:
        """Write the ensemble of the seeds of each of the plan's configurations and sizes.

        Where other commands train a part of the grid, the one that finds all seeds of a group does.

        Raises:
            WriteError: one could not be written.
        """
        known = self.store.finished() if self.store.shared else self.runs
        jobs: dict[tuple[object, ...], list[Job]] = {}
        for job in self.plan.jobs:
            point = job.experiment
            key = (point.configuration.label, point.configuration.name, point.samples, point.data_seed)
            jobs.setdefault(key, []).append(job)
        several = [group for group in jobs.values() if len(group) > 1]
        if not several:
            self.warn("no ensemble: it takes two seeds or more of a configuration (--seeds 42-44).")
        groups = [
            [known[job.run_id] for job in group]
            for group in several
            if all(job.run_id in known for job in group)
        ]
        folders = {job.run_id: job.folder for job in self.plan.jobs}
        for name, run in make_ensembles(groups, lambda run: folders[run.run_id], self.warn):
            with self.interrupts.shield():
                kept = self.store.save_run(
                    name,
                    run,
                    environment=self.environment,
                    recipe=self.plan.recipe.resolved(),
                    data=self.plan.described,
                )
                self.runs[kept.run_id] = kept

    def _narrowed(self, job: Job) -> Recipe:
        point = job.experiment
        return self.plan.recipe.only(point.configuration, point.samples, point.seed, point.data_seed)
