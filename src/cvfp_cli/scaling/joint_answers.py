"""Everything that was asked of a fitted joint law: predictions, what reaches each target, and the cheapest way there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvfp_cli.scaling.joint_cheapest import cheapest
from cvfp_cli.scaling.joint_questions import AskedFit, prediction_at, reach
from cvfp_cli.scaling.result import Cheapest, Prediction, Target

# Up to this many model sizes, each is asked for the D that reaches a target; of more, the one measured most often.
MOST_SIZES = 8


@dataclass(frozen=True)
class Answers:
    """Answers to all questions; ``usual_size``: the model size that was measured most often, the largest of those."""

    predictions: tuple[Prediction, ...]
    targets: tuple[Target, ...]
    cheapest: tuple[Cheapest, ...]
    usual_size: float


def answer(
    law: AskedFit, sizes: Sequence[float], pairs: Sequence[tuple[float, float]], targets: Sequence[float]
) -> Answers:
    """Predict at data sizes (for the usual model size) and at pairs (N, D), and find what reaches each target."""
    models, counts = np.unique(law.n, return_counts=True)
    usual = float(models[counts == counts.max()].max())
    asked = [float(size) for size in models] if len(models) <= MOST_SIZES else [usual]
    wanted = [*((usual, size) for size in sizes), *pairs]
    return Answers(
        tuple(prediction_at(law, n, d) for n, d in wanted),
        tuple(reach(law, n, target) for target in targets for n in asked),
        tuple(cheapest(law, target) for target in targets),
        usual,
    )
