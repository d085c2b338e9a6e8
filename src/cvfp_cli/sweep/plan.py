"""What a command is going to run, known before anything is trained: one job an experiment."""

from dataclasses import dataclass
from pathlib import Path

from cvfp_cli.core.shapes import ParameterCounts
from cvfp_cli.recipes import Recipe
from cvfp_cli.results.schema import Run
from cvfp_cli.sweep.estimate import Work
from cvfp_cli.sweep.grid import Experiment


@dataclass(frozen=True)
class Job:
    """One experiment with everything that can be said about it beforehand.

    Attributes:
        experiment: what to train.
        recipe: the study narrowed to this run, as its ``config.toml`` holds it.
        run_id: hash of resolved configuration, data fingerprint and seeds.
        folder: the run's own folder.
        data_fingerprint: identifies its text and table.
        parameters: counts of each part.
        train_tokens: length of its training stream.
        memory_bytes: estimated peak; None where it is not known.
        work: its arithmetic.
        recorded: the run that an earlier command left behind, whatever its status.
    """

    experiment: Experiment
    recipe: Recipe
    run_id: str
    folder: Path
    data_fingerprint: str
    parameters: ParameterCounts
    train_tokens: int
    memory_bytes: int | None
    work: Work
    recorded: Run | None = None

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.experiment.name

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do.

        A diverged run is settled, since the same seeds would diverge again; a failed one (out of memory, say)
        is tried again.
        """
        return self.recorded is not None and self.recorded.status != "failed"
