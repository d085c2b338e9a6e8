"""How much arithmetic a run is, and from runs that are done, how long the others will take.

Counted as multiply-adds times two: phase 1 does 6 operations a ContextBlock parameter and token in every
trained iteration; phase 2 does, a training token and epoch, 4·V·E for the head, 6 a TokenBlock parameter and 2 a
ContextBlock parameter, and 2 for each of the three on a validation token.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cvfp_cli.core.config import ExperimentConfig

# Until a run has shown otherwise: most studies' configurations with more than one layer or token converge in
# 6 to 24 iterations, and stop after about six epochs.
LIKELY_ITERATIONS = 20
LIKELY_EPOCHS = 6
# Share of the matrix-product rate that a run reaches, before any run has shown its own.
LIKELY_SHARE = 0.35


@dataclass(frozen=True)
class Work:
    """Operations of one run: in one phase-1 iteration, in one epoch, and how many of each.

    Attributes:
        iteration, epoch: floating-point operations.
        likely, most: (iterations, epochs) to expect, and the recipe's limits.
    """

    iteration: float
    epoch: float
    likely: tuple[int, int]
    most: tuple[int, int]

    def operations(self, counts: tuple[int, int]) -> float:
        """Operations of a run with this many iterations (the first is untrained) and epochs."""
        iterations, epochs = counts
        return self.iteration * max(iterations - 1, 1) + self.epoch * epochs


def work(
    config: ExperimentConfig,
    *,
    context_block: int,
    token_block: int,
    table: int,
    train_tokens: int,
    val_tokens: int,
    seen: tuple[int, int] | None = None,
) -> Work:
    """The work of one run.

    Args:
        context_block, token_block: parameters of the blocks.
        table: V·E.
        seen: (iterations, epochs) that the same configuration took at another size, where it has run.
    """
    most = (config.phase1.max_iterations, config.phase2.epochs)
    fixed_epochs = config.phase2.patience == 0 and config.phase2.min_improvement == 0
    guess = (LIKELY_ITERATIONS, config.phase2.epochs if fixed_epochs else LIKELY_EPOCHS)
    likely = seen or guess
    training = train_tokens * (4.0 * table + 6.0 * token_block + 2.0 * context_block)
    validation = val_tokens * 2.0 * (table + token_block + context_block)
    return Work(
        iteration=6.0 * context_block * train_tokens,
        epoch=training + validation,
        likely=(min(likely[0], most[0]), min(likely[1], most[1])),
        most=most,
    )


def seconds_per_operation(finished: Iterable[tuple[float, float]]) -> float | None:
    """From (operations, seconds) of finished runs; None without any.

    Runs weigh by their length, so that the fixed cost of small ones does not swell the estimate of large ones.
    """
    pairs = [(operations, seconds) for operations, seconds in finished if operations > 0 and seconds > 0]
    total = sum(operations for operations, _ in pairs)
    return sum(seconds for _, seconds in pairs) / total if total else None
