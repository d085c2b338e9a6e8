"""What goes into an experiment and what comes out of it. Imports without torch."""

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Iteration:
    """One phase-1 iteration.

    Attributes:
        iteration: its number; 1 is the untrained start.
        loss, mse, diversity: means over the batches weighted by their tokens; None for iteration 1.
        rate: share of tokens that have converged, 0 to 1; None for iteration 1.
        seconds: wall time of this iteration.
    """

    iteration: int
    loss: float | None
    mse: float | None
    diversity: float | None
    rate: float | None
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """One phase-2 epoch: losses in nats per token, perplexities, accuracy as a share 0 to 1."""

    epoch: int
    train_loss: float
    train_ppl: float
    val_loss: float
    val_ppl: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Advance:
    """Work done inside an iteration, a contexts pass or an epoch, for progress bars.

    Attributes:
        phase: ``phase1``, ``contexts`` or ``phase2``.
        step: current iteration or epoch (0 for contexts).
        steps: the most there can be.
        tokens: tokens processed since the last event.
        total: tokens in this step.
    """

    phase: str
    step: int
    steps: int
    tokens: int
    total: int


Event = Iteration | Epoch | Advance
Progress = Callable[[Event], None]


@dataclass(frozen=True)
class RunResult:
    """The figures of one experiment. Shares are 0 to 1; a figure that could not be computed is None.

    Attributes:
        phase1_iterations: last iteration, the untrained one counted ("P1 iter").
        phase1_rate: share of converged tokens in it.
        phase1_converged: whether the recipe's share of tokens had converged at the end of phase 1.
        phase1_stopped_by: ``ratio`` (that share was reached), ``improvement`` (the rate rose too little),
            ``iterations`` (the limit) or ``diverged``.
        phase1_rate_by_iteration: ``phase1_rate`` of every iteration; None for the untrained one.
        train_effective_rank, val_effective_rank: share of D.
        val_loss_se: standard error of val_loss in nats, clustered by validation sample.
        val_accuracy_se: standard error of val_accuracy, clustered by validation sample.
        sample_losses: mean validation loss of each sample in the best epoch, in nats.
        sample_targets: validation targets of each sample.
        unigram_ppl: validation perplexity of the smoothed training unigram.
        best_epoch, epochs: 1-based; figures are those of the best epoch.
        stopped_by: ``epochs``, ``patience`` or ``diverged``.
        reason: what diverged, where and how; empty where nothing did.
        context_block, token_block, total: parameter counts.
        seconds_phase1, seconds_contexts, seconds_phase2: wall time.
        execution_path: how the arithmetic was done (pieces, kernels, recurrence trace), for the record.
    """

    train_tokens: int
    val_tokens: int
    val_bytes: int
    phase1_iterations: int
    phase1_rate: float | None
    phase1_converged: bool
    phase1_stopped_by: str
    phase1_rate_by_iteration: tuple[float | None, ...]
    train_effective_rank: float | None
    val_effective_rank: float | None
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
    epochs: int
    stopped_by: str
    reason: str
    train_ppl_by_epoch: tuple[float | None, ...]
    val_ppl_by_epoch: tuple[float | None, ...]
    context_block: int
    token_block: int
    total: int
    seconds_phase1: float
    seconds_contexts: float
    seconds_phase2: float
    peak_memory_bytes: int | None
    execution_path: dict[str, object]
