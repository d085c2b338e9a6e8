"""From scores of the validation stream to the figures of a run."""

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.core.metrics import (
    clustered_standard_error,
    perplexity,
    sample_sums,
    unigram_log_probabilities,
)
from cvfp_cli.core.result import Epoch, ExperimentData, RunResult, StageResult
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError


def check_data(data: ExperimentData) -> None:
    """Check that both streams have a target, and the table a row for every token.

    Raises:
        InputError: they do not.
    """
    for name, ids in (("training", data.train_ids), ("validation", data.val_ids)):
        if len(ids) < 2:
            raise InputError(f"the {name} stream has {counted(len(ids), 'token')}; at least 2 are needed.")
        if ids.min() < 0 or ids.max() >= len(data.table):
            raise InputError(
                f"the {name} stream holds token {ids.max()}, the embedding table {counted(len(data.table), 'row')}."
            )


def result_of(
    data: ExperimentData,
    *,
    losses: NDArray[np.float64] | None,
    correct: NDArray[np.bool_] | None,
    stage: StageResult,
    peak_memory_bytes: int | None,
    execution_path: dict[str, object],
    log: tuple[Epoch, ...] | None = None,
    best: Epoch | None = None,
    stopped_by: str | None = None,
    reason: str = "",
    counted_parameters: int | None = None,
) -> RunResult:
    """The figures of a run.

    Args:
        losses, correct: cross-entropy in nats and correctness of every validation target, (M − 1,); None where the run
            diverged.
        log: its epochs; None for a model that has none.
        best: the epoch whose figures these are.
        counted_parameters: as ``RunResult`` has them.
    """
    counts = sample_sums(np.ones(len(data.val_ids) - 1), data.val_boundaries)
    summed = None if losses is None else sample_sums(losses, data.val_boundaries)
    hits = None if correct is None else sample_sums(correct.astype(np.float64), data.val_boundaries)
    loss = None if losses is None else float(losses.mean())
    unigram = unigram_log_probabilities(data.train_ids, len(data.table))
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
        unigram_ppl=float(np.exp(-unigram[data.val_ids[1:]].mean())),
        best_epoch=best.epoch if best else None,
        epochs=None if log is None else len(log),
        stopped_by=stopped_by,
        reason=reason,
        train_ppl_by_epoch=None if log is None else tuple(perplexity(entry.train_loss) for entry in log),
        val_ppl_by_epoch=None if log is None else tuple(perplexity(entry.val_loss) for entry in log),
        stages=(stage,),
        peak_memory_bytes=peak_memory_bytes,
        execution_path=execution_path,
        counted_parameters=counted_parameters,
    )
