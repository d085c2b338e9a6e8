"""Runs the jobs of a plan one after the other; each result is on disk before the next begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.result import ExperimentData
from cvfp_cli.errors import WorkError
from cvfp_cli.results import ResultsStore, Run
from cvfp_cli.results.atomic import WriteError, make_folder, write_atomic
from cvfp_cli.sweep.checkpoint import FILE_NAME, CheckpointFile
from cvfp_cli.sweep.interrupt import Interrupts
from cvfp_cli.sweep.plan import Job, Plan
from cvfp_cli.sweep.records import Origin, failed_run, finished_run, weights_file
from cvfp_cli.sweep.texts import Texts
from cvfp_cli.sweep.watch import Watcher

if TYPE_CHECKING:
    from cvfp_cli.core.experiment import Outcome

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.toml"


@dataclass(frozen=True)
class Keeping:
    """What a command keeps of each run besides its figures.

    Attributes:
        weights: whether ``model.safetensors`` is written.
        resume: whether a run goes on from the checkpoint that an earlier command left.
        seconds_between: least time between two checkpoints; None for the usual.
    """

    weights: bool = False
    resume: bool = True
    seconds_between: float | None = None


@dataclass
class Executor:
    """Everything that running a job needs but the job.

    Attributes:
        run: ``core.experiment.run_experiment``, or what stands in for it.
        environment: versions, device, precision and threads, for the record.
        warn: called with one line about something that changes no figure.
        runs: what has been run or was there already, by run_id.
    """

    plan: Plan
    store: ResultsStore
    run: "Callable[..., Outcome]"
    environment: Mapping[str, Any]
    watcher: Watcher
    interrupts: Interrupts
    warn: Callable[[str], None]
    keeping: Keeping = Keeping()
    runs: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [*self.plan.others, *(job.recorded for job in self.plan.jobs if job.recorded is not None)]
        self.runs.update({run.run_id: run for run in found})

    def execute(self, jobs: Sequence[Job], after_each: Callable[[], None] = lambda: None) -> None:
        """Run the jobs in order. A run that fails is recorded with its reason, and the next one begins.

        Args:
            after_each: called when a result is on disk, kept from interrupts.

        Raises:
            WorkError: a result could not be written.
            KeyboardInterrupt: Ctrl-C or SIGTERM; everything finished is on disk.
        """
        order = [job.experiment for job in jobs]
        texts = Texts(self.plan.data, order, ahead=self.plan.execution.device != "cpu")
        for number, job in enumerate(jobs, 1):
            point = job.experiment
            narrowed = self.plan.recipe.only(
                point.configuration, point.samples, point.config.seed, point.data_seed
            )
            with self.interrupts.shield():
                make_folder(job.folder)
                write_atomic(job.folder / CONFIG_FILE, narrowed.to_toml().encode())
            self.watcher.started(job, number, len(jobs))
            checkpoint = self._checkpoint(job)
            run, weights = self._attempt(job, texts, checkpoint)
            with self.interrupts.shield():
                if weights is not None and self.keeping.weights:
                    write_atomic(job.folder / WEIGHTS_FILE, weights)
                run = self.store.save_run(
                    job.name,
                    run,
                    environment=self.environment,
                    recipe=narrowed.resolved(),
                    data=self.plan.described,
                )
                self.runs[run.run_id] = run
                checkpoint.remove()
                self.watcher.finished(job, run)
                after_each()

    def _attempt(self, job: Job, texts: Texts, checkpoint: CheckpointFile) -> tuple[Run, bytes | None]:
        """Run a job; a failure becomes a run with its reason. Returns the run and its file of weights."""
        origin = Origin(
            self.plan.recipe.name, self.plan.data.embed_dim, self.plan.described.get("fingerprint")
        )
        try:
            text = texts.of(job.experiment)
            data = ExperimentData(
                train_ids=text.train.ids,
                val_ids=text.validation.ids,
                val_boundaries=text.validation.boundaries,
                val_bytes=text.validation.sizes_bytes,
                table=text.table,
            )
            outcome = self.run(
                job.experiment.config,
                data,
                self.plan.execution,
                progress=lambda event: self.watcher.advanced(job, event),
                checkpoint=checkpoint,
                notify=self.warn,
            )
            weights = None
            if self.keeping.weights:
                weights = weights_file(job, outcome.weights, text.table_fingerprint)
        except WriteError:
            raise
        except WorkError as problem:
            return failed_run(job, str(problem), origin), None
        except MemoryError:
            return failed_run(job, "out of memory", origin), None
        return finished_run(job, outcome.result, origin), weights

    def _checkpoint(self, job: Job) -> CheckpointFile:
        stamp = {"run": job.run_id} | {
            key: str(self.environment.get(key))
            for key in ("device_name", "precision", "state_dtype", "torch", "threads")
        }
        return CheckpointFile(
            job.folder / FILE_NAME,
            stamp,
            warn=self.warn,
            resume=self.keeping.resume,
            seconds_between=self.keeping.seconds_between,
        )
