"""From the scores of the validation stream to the figures of a run, whatever was trained."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.metrics import clustered_standard_error, perplexity, sample_sums
from cvfp_cli.core.result import Epoch, ExperimentData, RunResult, StageResult
from cvfp_cli.core.stopping import DIVERGED_ABOVE_UNIFORM, Training
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError


def check_data(data: ExperimentData) -> None:
    """Check that both streams have a target, and the table a row for every token.

    Raises:
        InputError: they do not.
    """
    vocab_size = len(data.table)
    for name, ids in (("training", data.train_ids), ("validation", data.val_ids)):
        if len(ids) < 2:
            raise InputError(f"the {name} stream has {counted(len(ids), 'token')}; at least 2 are needed.")
        if ids.min() < 0 or ids.max() >= vocab_size:
            raise InputError(
                f"the {name} stream holds token {ids.max()}, the embedding table {counted(vocab_size, 'row')}."
            )


def run_result(
    data: ExperimentData,
    unigram: NDArray[np.float64],
    *,
    losses: NDArray[np.float64] | None,
    correct: NDArray[np.bool_] | None,
    stages: tuple[StageResult, ...],
    peak_memory_bytes: int | None,
    execution_path: dict[str, object],
    log: Sequence[Epoch] | None = None,
    best: Epoch | None = None,
    stopped_by: str | None = None,
    reason: str = "",
    own: Mapping[str, Any] | None = None,
    counted_parameters: int | None = None,
) -> RunResult:
    """The figures of a run.

    Args:
        unigram: natural logarithms of the training unigram probabilities, (V,).
        losses, correct: cross-entropy in nats and correctness of every validation target, (M − 1,); None where the run
            diverged.
        log, best: its epochs, and the one whose figures these are; None for a model that has none.
        reason: what diverged, where something did.
        own: what the kind of model measures beside.
        counted_parameters: as ``RunResult`` has them.
    """
    counts = sample_sums(np.ones(len(data.val_ids) - 1), data.val_boundaries)
    summed = None if losses is None else sample_sums(losses, data.val_boundaries)
    hits = None if correct is None else sample_sums(correct.astype(np.float64), data.val_boundaries)
    loss = None if losses is None else float(losses.mean())
    return RunResult(
        train_tokens=len(data.train_ids),
        val_tokens=len(data.val_ids),
        val_bytes=data.val_bytes,
        train_ppl=perplexity(best.train_loss) if best else None,
        val_ppl=None if loss is None else perplexity(loss),
        val_loss=loss,
        val_loss_se=None if summed is None else clustered_standard_error(summed, counts),
        val_accuracy=None if correct is None else float(correct.mean()),
        val_accuracy_se=None if hits is None else clustered_standard_error(hits, counts),
        sample_losses=() if summed is None else tuple((summed / np.maximum(counts, 1)).tolist()),
        sample_targets=tuple(counts.astype(int).tolist()),
        unigram_ppl=float(np.exp(-float(unigram[data.val_ids[1:]].mean()))),
        best_epoch=best.epoch if best else None,
        epochs=None if log is None else len(log),
        stopped_by=stopped_by,
        reason=reason,
        train_ppl_by_epoch=None if log is None else tuple(perplexity(entry.train_loss) for entry in log),
        val_ppl_by_epoch=None if log is None else tuple(perplexity(entry.val_loss) for entry in log),
        stages=stages,
        peak_memory_bytes=peak_memory_bytes,
        execution_path=execution_path,
        own=own or {},
        counted_parameters=counted_parameters,
        target_losses=losses,
    )


def trained(training: Training, reason: str) -> dict[str, Any]:
    """What ``run_result`` takes of a training over epochs: figures of its best epoch, none where it diverged.

    Args:
        reason: what diverged, where something did.
    """
    diverged = training.stopped_by == "diverged"
    return {
        "losses": None if diverged else training.best_losses,
        "correct": None if diverged else training.best_correct,
        "log": training.log,
        "best": None if diverged else training.best,
        "stopped_by": training.stopped_by,
        "reason": reason if diverged else "",
    }


def what_diverged(training: Training, part: str, vocab_size: int) -> str:
    """Which loss of a run that diverged is no figure, and where; empty where none is.

    Args:
        part: what the epochs belong to, in words; empty where they are all there is.
    """
    if training.stopped_by != "diverged":
        return ""
    last = training.log[-1]
    if not (math.isfinite(last.train_loss) and math.isfinite(last.val_loss)):
        return f"the loss{f' of {part}' if part else ''} was not finite in epoch {last.epoch}"
    best = min(entry.val_loss for entry in training.log)
    uniform = math.log(vocab_size)
    return (
        f"the best validation loss, {best:.4g} nats, is more than {DIVERGED_ABOVE_UNIFORM:g} above that of a uniform "
        f"guess, {uniform:.4g}"
    )
