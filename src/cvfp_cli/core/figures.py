"""From epochs and validation losses to the figures of a run."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.metrics import clustered_standard_error, perplexity, sample_sums
from cvfp_cli.core.prediction import PredictionTraining
from cvfp_cli.core.result import ExperimentData, RunResult, StageResult
from cvfp_cli.core.stopping import DIVERGED_ABOVE_UNIFORM


def run_result(
    data: ExperimentData,
    unigram: NDArray[np.float64],
    predicted: PredictionTraining,
    *,
    reason: str,
    stages: tuple[StageResult, ...],
    peak_memory_bytes: int | None,
    execution_path: dict[str, object],
    own: Mapping[str, Any],
) -> RunResult:
    """The figures of the best epoch; none of a run that diverged.

    Args:
        unigram: natural logarithms of the training unigram probabilities, (V,).
        reason: what diverged, where something did.
    """
    diverged = predicted.stopped_by == "diverged"
    best = predicted.log[predicted.best_epoch - 1] if predicted.best_epoch and not diverged else None
    targets = len(data.val_ids) - 1
    counts = sample_sums(np.ones(targets), data.val_boundaries)
    losses = hits = None
    if best is not None and predicted.best_losses is not None and predicted.best_correct is not None:
        losses = sample_sums(predicted.best_losses, data.val_boundaries)
        hits = sample_sums(predicted.best_correct.astype(np.float64), data.val_boundaries)
    unigram_loss = -float(unigram[data.val_ids[1:]].mean())
    return RunResult(
        train_tokens=len(data.train_ids),
        val_tokens=len(data.val_ids),
        val_bytes=data.val_bytes,
        train_ppl=perplexity(best.train_loss) if best else None,
        val_ppl=perplexity(best.val_loss) if best else None,
        val_loss=best.val_loss if best else None,
        val_loss_se=clustered_standard_error(losses, counts) if losses is not None else None,
        val_accuracy=best.val_accuracy if best else None,
        val_accuracy_se=clustered_standard_error(hits, counts) if hits is not None else None,
        sample_losses=tuple((losses / np.maximum(counts, 1)).tolist()) if losses is not None else (),
        sample_targets=tuple(counts.astype(int).tolist()),
        unigram_ppl=float(np.exp(unigram_loss)),
        best_epoch=best.epoch if best else None,
        epochs=len(predicted.log),
        stopped_by=predicted.stopped_by,
        reason=reason if diverged else "",
        train_ppl_by_epoch=tuple(perplexity(entry.train_loss) for entry in predicted.log),
        val_ppl_by_epoch=tuple(perplexity(entry.val_loss) for entry in predicted.log),
        stages=stages,
        peak_memory_bytes=peak_memory_bytes,
        execution_path=execution_path,
        own=own,
    )


def what_diverged(predicted: PredictionTraining, part: str, vocab_size: int) -> str:
    """Which loss of a run that diverged is no figure, and where; empty where none is.

    Args:
        part: what the epochs belong to, in words.
    """
    if predicted.stopped_by != "diverged":
        return ""
    last = predicted.log[-1]
    if not (math.isfinite(last.train_loss) and math.isfinite(last.val_loss)):
        return f"the loss of {part} was not finite in epoch {last.epoch}"
    best = min(entry.val_loss for entry in predicted.log)
    uniform = math.log(vocab_size)
    return (
        f"the best validation loss, {best:.4g} nats, is more than {DIVERGED_ABOVE_UNIFORM:g} above that of a uniform "
        f"guess, {uniform:.4g}"
    )
