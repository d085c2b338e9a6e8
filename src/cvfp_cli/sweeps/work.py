"""One job from its text to its result: what a worker does, wherever it is. It writes the job's checkpoint alone."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.config import Execution
from cvfp_cli.core.result import Advance, Event, ExperimentData, RunResult
from cvfp_cli.data.stream import Text
from cvfp_cli.errors import WorkError
from cvfp_cli.results.atomic import WriteError
from cvfp_cli.sweeps.checkpoint import CheckpointFile
from cvfp_cli.sweeps.grid import Experiment
from cvfp_cli.sweeps.model_folder import Files, weight_files
from cvfp_cli.sweeps.plan import Job

if TYPE_CHECKING:
    from cvfp_cli.core.experiment import Outcome

CONTEXT_BYTES = 600 * 2**20
"""What a process takes of a card beside its tensors: CUDA's context and the kernels that it has loaded."""


@dataclass(frozen=True)
class Keeping:
    """What a command keeps of each run besides its figures.

    Attributes:
        weights: whether the trained model is written.
        resume: whether a run goes on from the checkpoint that an earlier command left.
        seconds_between: least time between two checkpoints; None for the usual.
    """

    weights: bool = False
    resume: bool = True
    seconds_between: float | None = None


@dataclass(frozen=True)
class JobResult:
    """What became of a job; plain data that survives pickling.

    Attributes:
        run_id: the job's.
        execution: the device, precision, memory and threads that it ran with.
        figures: None where it failed.
        reason: why it failed.
        files: what is kept of the trained model, by file name.
        environment: versions, device, precision and threads that it ran with; empty for those of the command.
    """

    run_id: str
    execution: Execution
    figures: RunResult | None
    reason: str = ""
    files: Files = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """Does jobs.

    Attributes:
        run: stands in for the learner's own ``train``, in tests.
        environment: versions, device, precision and threads: a checkpoint made under others is not used.
    """

    environment: Mapping[str, Any]
    keeping: Keeping = Keeping()
    run: "Callable[..., Outcome] | None" = None

    def do(
        self,
        job: Job,
        text_of: Callable[[Experiment], Text],
        advanced: Callable[[Event], None],
        warned: Callable[[str], None],
    ) -> JobResult:
        """Run a job; a failure becomes a result with its reason.

        Raises:
            WriteError: a write failed, for which no job is to blame.
        """
        try:
            text = text_of(job.experiment)
            data = ExperimentData(
                train_ids=text.train.ids,
                val_ids=text.validation.ids,
                val_boundaries=text.validation.boundaries,
                val_bytes=text.validation.sizes_bytes,
                table=text.table,
            )
            train = self.run or job.experiment.learner.train
            outcome = train(
                job.experiment.config,
                data,
                job.execution,
                progress=advanced,
                checkpoint=self._checkpoint(job, warned),
                notify=warned,
            )
            files: Files = {}
            if self.keeping.weights:
                diverged = outcome.result.stopped_by == "diverged"
                files = weight_files(job.experiment, job.run_id, outcome.weights, text, diverged=diverged)
        except WriteError:
            raise
        except WorkError as problem:
            return self._result(job, None, str(problem))
        except MemoryError:
            return self._result(job, None, "out of memory")
        return self._result(job, outcome.result, files=files)

    def _result(
        self, job: Job, figures: RunResult | None, reason: str = "", files: Files | None = None
    ) -> JobResult:
        return JobResult(job.run_id, job.execution, figures, reason, files or {}, self.environment)

    def at(self, execution: Execution, share: float = 1.0) -> "Worker":
        """This worker in a process of its own: with that device and so many threads, and with their environment.

        Args:
            share: of the memory of a card that several processes have.

        Raises:
            RuntimeError: the device cannot be used.
        """
        if self.run is not None:
            return self  # a test's stand-in needs no device
        import torch

        from cvfp_cli.core.device import describe_environment

        if execution.threads is not None:
            torch.set_num_threads(execution.threads)
        if execution.device.startswith("cuda:"):
            torch.cuda.set_device(execution.device)  # kernels of our own go to the current device
        if share < 1:
            whole = torch.cuda.get_device_properties(execution.device).total_memory
            torch.cuda.set_per_process_memory_fraction(share - CONTEXT_BYTES / whole)
        return replace(self, environment=dict(describe_environment(execution)))

    def _checkpoint(self, job: Job, warned: Callable[[str], None]) -> CheckpointFile:
        stamp = {"run": job.run_id} | {
            key: str(self.environment.get(key))
            for key in ("device_name", "precision", "state_dtype", "torch", "threads")
        }
        return CheckpointFile(
            job.checkpoint,
            stamp,
            warn=warned,
            resume=self.keeping.resume,
            seconds_between=self.keeping.seconds_between,
        )


def thinned(tell: Callable[[Event], None], seconds: float = 0.1) -> Callable[[Event], None]:
    """Pass events on to another process: what comes within a step is added up and passed on so often at most."""
    held: Advance | None = None
    last = time.monotonic()

    def flush() -> None:
        nonlocal held, last
        if held is not None:
            tell(held)
            held, last = None, time.monotonic()

    def advanced(event: Event) -> None:
        nonlocal held
        if not isinstance(event, Advance):
            flush()
            tell(event)
            return
        if held is not None and (held.stage, held.step) == (event.stage, event.step):
            held = replace(event, tokens=held.tokens + event.tokens)
        else:
            flush()
            held = event
        if time.monotonic() - last >= seconds:
            flush()

    return advanced
