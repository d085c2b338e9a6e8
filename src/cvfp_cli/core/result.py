"""What goes into an experiment and what comes out of it. Imports without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExperimentData:
    """The arrays one experiment runs on.

    Attributes:
        train_ids: token ids of the training stream, all samples in order, shape (N,).
        val_ids: token ids of the validation stream, shape (M,).
        val_boundaries: offsets of the validation samples in ``val_ids``, shape (samples + 1,), from 0 to M.
        val_bytes: UTF-8 bytes of the validation text.
        table: raw embedding table, float32, shape (V, E).
    """

    train_ids: NDArray[np.int64]
    val_ids: NDArray[np.int64]
    val_boundaries: NDArray[np.int64]
    val_bytes: int
    table: NDArray[np.float32]


class Step:
    """A step of a stage has ended. Each kind of step is a frozen dataclass: its number, its figures, its seconds.

    Attributes:
        stage: the stage's name in events and results, such as ``phase1``.
    """

    seconds: float

    @property
    def stage(self) -> str:
        raise NotImplementedError

    @property
    def step(self) -> int:
        """Its number, from 1."""
        return next(iter(vars(self).values()))  # type: ignore[no-any-return]

    @property
    def figures(self) -> dict[str, float | None]:
        """What was measured, by name; None where a step has none of it."""
        return {
            name: value for name, value in list(vars(self).items())[1:] if name not in ("seconds", "stage")
        }


@dataclass(frozen=True)
class Iteration(Step):
    """One phase-1 iteration.

    Attributes:
        iteration: its number; 1 is the untrained start.
        loss, mse, diversity: means over the batches weighted by their tokens; None for iteration 1.
        rate: share of tokens that have converged, 0 to 1; None for iteration 1.
        seconds: wall time of this iteration.
        growth: factor by which a small difference between contexts changes in one step of the recurrence, after this
            iteration's training; below 1 the block forgets. None where it was not measured.
        stage: ``phase1``, or that of one block of several.
    """

    iteration: int
    loss: float | None
    mse: float | None
    diversity: float | None
    rate: float | None
    seconds: float
    stage: str = "phase1"
    growth: float | None = None


@dataclass(frozen=True)
class Epoch(Step):
    """One phase-2 epoch: losses in nats per token, perplexities, accuracy as a share 0 to 1."""

    epoch: int
    train_loss: float
    train_ppl: float
    val_loss: float
    val_ppl: float
    val_accuracy: float
    seconds: float
    stage: str = "phase2"


@dataclass(frozen=True)
class TrainEpoch(Epoch):
    """One epoch of a model that is trained in one stage."""

    stage: str = "training"


@dataclass(frozen=True)
class Counted(Step):
    """The one pass of a model that counts: its parameters, and the validation's figures as an epoch has them."""

    number: int
    parameters: int
    val_loss: float
    val_ppl: float | None
    val_accuracy: float
    seconds: float
    stage: str = "count"


@dataclass(frozen=True)
class Advance:
    """Work done inside a step, for progress bars.

    Attributes:
        stage: the stage's name, such as ``phase1`` or ``contexts``.
        step: the step under way (0 for a stage without any).
        steps: the most there can be.
        tokens: tokens processed since the last event.
        total: tokens in this step.
    """

    stage: str
    step: int
    steps: int
    tokens: int
    total: int


Event = Step | Advance
Progress = Callable[[Event], None]


@dataclass(frozen=True)
class StageResult:
    """A part of a run that is over.

    Attributes:
        name: such as ``phase1``.
        steps: how many it took; 0 for a part without steps.
        seconds: wall time.
    """

    name: str
    steps: int
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """The figures of one experiment. Shares are 0 to 1; a figure that could not be computed is None.

    Attributes:
        stages: its parts, in order.
        own: what only this kind of model has, by its name in the results, such as ``phase1_iterations``.
        counted_parameters: all of the model's, where only its training tells how many there are.
        target_losses: loss of each validation target in the best epoch, in nats, (M − 1,).
        val_loss_se: standard error of val_loss in nats, clustered by validation sample.
        val_accuracy_se: standard error of val_accuracy, clustered by validation sample.
        sample_losses: mean validation loss of each sample in the best epoch, in nats.
        sample_targets: validation targets of each sample.
        unigram_ppl: validation perplexity of the smoothed training unigram.
        best_epoch, epochs: 1-based; figures are those of the best epoch. None for a model that is not trained in epochs,
            as are stopped_by and the figures by epoch.
        stopped_by: ``epochs``, ``schedule`` (all epochs, at the end of which the learning rate is 0), ``patience``,
            ``gain`` or ``diverged``.
        reason: what diverged, where and how; empty where nothing did.
        execution_path: how the arithmetic was done (pieces, kernels, recurrence trace), for the record.
    """

    train_tokens: int
    val_tokens: int
    val_bytes: int
    train_ppl: float | None
    val_ppl: float | None
    val_loss: float | None
    val_loss_se: float | None
    val_accuracy: float | None
    val_accuracy_se: float | None
    sample_losses: tuple[float, ...]
    sample_targets: tuple[int, ...]
    unigram_ppl: float
    best_epoch: int | None
    epochs: int | None
    stopped_by: str | None
    reason: str
    train_ppl_by_epoch: tuple[float | None, ...] | None
    val_ppl_by_epoch: tuple[float | None, ...] | None
    stages: tuple[StageResult, ...]
    peak_memory_bytes: int | None
    execution_path: dict[str, object]
    own: Mapping[str, Any] = field(default_factory=dict)
    counted_parameters: int | None = None
    target_losses: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
