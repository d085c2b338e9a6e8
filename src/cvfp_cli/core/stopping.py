"""When a training over epochs ends, and which epoch's figures are its own: one rule for every kind of model."""

import math
from typing import Protocol

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


def is_better(rule: StoppingRule, epoch: Epoch, best: Epoch) -> bool:
    """Whether an epoch is better than the best so far, by its validation loss or, with a margin, by its perplexity."""
    if rule.min_improvement == 0:
        return epoch.val_loss < best.val_loss
    return epoch.val_ppl < best.val_ppl - rule.min_improvement


def verdict(
    rule: StoppingRule, *, epoch: int, waited: int, best: float, vocab_size: int, gained_little: bool = False
) -> str:
    """``patience``, ``gain``, ``epochs`` or ``diverged`` where training ends after this epoch; empty where it goes on.

    Args:
        waited: epochs in a row that were not better.
        best: the best validation loss in nats. gained_little: the epoch gained less than asked for, though it counts.
    """
    if rule.patience and waited >= rule.patience:
        ended = "patience"
    elif gained_little:
        ended = "gain"
    elif epoch >= rule.epochs:
        ended = "epochs"
    else:
        return ""
    return "diverged" if best > math.log(vocab_size) + DIVERGED_ABOVE_UNIFORM else ended
