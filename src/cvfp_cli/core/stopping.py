"""When a training over epochs ends, and which epoch's figures are its own: one rule for every kind of model."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvfp_cli.core.config import Schedule
from cvfp_cli.core.result import Epoch

# A best loss this far above that of a uniform guess, ln V, is no figure: the head's logits have run away.
DIVERGED_ABOVE_UNIFORM = 20.0


class StoppingRule(Protocol):
    """The fields of a configuration that decide."""

    @property
    def epochs(self) -> int:
        """The most."""

    @property
    def patience(self) -> int:
        """Epochs in a row that were not better before training stops; 0: never."""

    @property
    def min_improvement(self) -> float:
        """An epoch is better only if its perplexity is below the best minus this."""

    @property
    def schedule(self) -> Schedule:
        """Of the learning rate: where it has come to 0, more epochs would be another training."""


def is_better(rule: StoppingRule, epoch: Epoch, best: Epoch) -> bool:
    """Whether an epoch is better than the best so far, by its validation loss or, with a margin, by its perplexity."""
    if rule.min_improvement == 0:
        return epoch.val_loss < best.val_loss
    return epoch.val_ppl < best.val_ppl - rule.min_improvement


def verdict(
    rule: StoppingRule, *, epoch: int, waited: int, best: float, vocab_size: int, gained_little: bool = False
) -> str:
    """``patience``, ``gain``, ``epochs``, ``schedule`` or ``diverged`` where training ends after this epoch; empty where it goes on.

    Args:
        waited: epochs in a row that were not better.
        best: the best validation loss in nats. gained_little: the epoch gained less than asked for, though it counts.
    """
    if rule.patience and waited >= rule.patience:
        ended = "patience"
    elif gained_little:
        ended = "gain"
    elif epoch >= rule.epochs:
        ended = "epochs" if rule.schedule == "constant" else "schedule"
    else:
        return ""
    return "diverged" if best > math.log(vocab_size) + DIVERGED_ABOVE_UNIFORM else ended


@dataclass
class Training:
    """A training over epochs, under way or done.

    Attributes:
        log: one entry an epoch.
        best_epoch: 1-based epoch whose figures are reported; None before any epoch was finite.
        best_weights: all that learns, after it.
        best_losses, best_correct: cross-entropy and correctness of each validation target in it, (M − 1,).
        waited: epochs in a row that were not better.
        stopped_by: ``epochs``, ``schedule``, ``patience``, ``gain`` or ``diverged``; empty while under way.
    """

    log: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_losses: NDArray[np.float64] | None = None
    best_correct: NDArray[np.bool_] | None = None
    waited: int = 0
    stopped_by: str = ""

    @property
    def best(self) -> Epoch | None:
        """The epoch whose figures are reported."""
        return None if self.best_epoch is None else self.log[self.best_epoch - 1]

    def judge(
        self,
        rule: StoppingRule,
        entry: Epoch,
        losses: NDArray[np.float64],
        correct: NDArray[np.bool_],
        weights: Callable[[], dict[str, Tensor]],
        *,
        vocab_size: int,
        min_gain: float = 0.0,
    ) -> None:
        """Keep the best epoch; stop after ``patience`` epochs that were not better, or on a loss that is not finite.

        A training that ends with a best loss far above a uniform guess's has diverged, however it was stopped.

        Args:
            entry: the epoch that has ended, which is not in the log yet.
            losses, correct: of each validation target, (M − 1,).
            weights: copies of all that learns; asked for where the epoch is the best.
            min_gain: perplexity below which an epoch's gain ends the training, though it counts; 0: never.
        """
        if not (math.isfinite(entry.train_loss) and math.isfinite(entry.val_loss)):
            self.stopped_by = "diverged"
            return
        best = self.best
        gained_little = min_gain > 0 and best is not None and best.val_ppl - entry.val_ppl < min_gain
        if best is None or is_better(rule, entry, best):
            self.best_epoch, best, self.waited = entry.epoch, entry, 0
            self.best_losses, self.best_correct, self.best_weights = losses, correct, weights()
        else:
            self.waited += 1
        self.stopped_by = verdict(
            rule,
            epoch=entry.epoch,
            waited=self.waited,
            best=best.val_loss,
            vocab_size=vocab_size,
            gained_little=gained_little,
        )

    def snapshot(self) -> dict[str, Any]:
        """Everything that it is, as trees over tensors, numbers and strings."""
        return {
            "log": [vars(entry) for entry in self.log],
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "best_losses": None if self.best_losses is None else torch.from_numpy(self.best_losses),
            "best_correct": None if self.best_correct is None else torch.from_numpy(self.best_correct),
            "waited": self.waited,
            "stopped_by": self.stopped_by,
        }

    @classmethod
    def restored(cls, saved: dict[str, Any], entry: type[Epoch] = Epoch) -> "Training":
        """The inverse of ``snapshot``, with entries of that type."""
        losses, correct = saved["best_losses"], saved["best_correct"]
        return cls(
            log=[entry(**values) for values in saved["log"]],
            best_epoch=saved["best_epoch"],
            best_weights=saved["best_weights"],
            best_losses=None if losses is None else losses.numpy(),
            best_correct=None if correct is None else correct.numpy(),
            waited=saved["waited"],
            stopped_by=saved["stopped_by"],
        )
