"""Curves for TensorBoard (optional extra ``tensorboard``): one folder a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cvfp_cli.core.result import Event, Step
from cvfp_cli.errors import missing_extra
from cvfp_cli.results.schema import Run
from cvfp_cli.sweeps.plan import Job
from cvfp_cli.sweeps.watch import Watcher

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def check_installed() -> None:
    """Refuse ``--tensorboard`` where its extra is missing.

    Raises:
        InputError: with the commands that install it.
    """
    if find_spec("tensorboard") is None:
        raise missing_extra("--tensorboard", "tensorboard")


class TensorBoard(Watcher):
    """Writes every iteration and epoch as scalars; the step is the iteration or epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, SummaryWriter] = {}  # of the runs under way

    def started(self, job: Job, number: int, total: int, worker: str = "") -> None:
        """Open the run's own folder."""
        from torch.utils.tensorboard import SummaryWriter

        self._writers[job.run_id] = SummaryWriter(str(self._folder / job.name))

    def advanced(self, job: Job, event: Event) -> None:
        """Write the figures of an iteration or epoch."""
        writer = self._writers.get(job.run_id)
        if writer is None or not isinstance(event, Step):
            return
        for name, value in event.figures.items():
            if value is not None:
                writer.add_scalar(f"{event.stage}/{name}", value, event.step)
        writer.flush()

    def lost(self, job: Job, reason: str) -> None:
        """Close the run's folder, which is opened again."""
        if (writer := self._writers.pop(job.run_id, None)) is not None:
            writer.close()

    def finished(self, job: Job, run: Run) -> None:
        """Close the run's folder."""
        self.lost(job, "")
