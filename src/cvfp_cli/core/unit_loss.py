"""Phase 1's loss and its gradient, written down (method.md, "Phase 1", step 2).

The loss of a unit (a batch, or the whole stream) needs only the mean, the spread and the squared change of its
outputs, so its gradient with respect to the outputs is known as soon as these are, and is sent backwards in one go
instead of being traced through every reduction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cvfp_cli.core import kernels
from cvfp_cli.core.config import Phase1Config
from cvfp_cli.core.kernels import phase1


@dataclass(frozen=True)
class Moments:
    """What the losses of consecutive, equally long units know of their outputs.

    Attributes:
        mean: mean output of each unit, (units, D).
        spread: ‖y − mean‖_F of each, (units,).
        mse: mean squared change over tokens and components of each, (units,).
    """

    mean: Tensor
    spread: Tensor
    mse: Tensor


def moments(y: Tensor, previous: Tensor, units: int, convergence_mse: float) -> tuple[Moments, Tensor]:
    """Moments of ``units`` units that make up y (n, D), and the number of tokens that have converged ().

    Args:
        previous: the contexts before, (n, D).
    """
    of = phase1.moments if _fused(y) else phase1.plain_moments
    mean, spread, mse, converged = of(y, previous, units, convergence_mse)
    return Moments(mean, spread, mse), converged


def gradient_and_update(
    y: Tensor, contexts: Tensor, known: Moments, unit: int, batches: int, config: Phase1Config
) -> Tensor:
    """Gradient (n, D) of the units' losses with respect to y (n, D); then ``contexts`` (n, D) become y.

    Args:
        known: moments of the units that make up y, or of the one unit that y is a part of.
        unit: tokens in one unit.
        batches: units in the stream; each loss is divided by it.
    """
    width, w = y.shape[1], config.diversity_weight
    stay = 2 * (1 - w) / (unit * width) / batches
    # d(−spread/n)/dy = −(y − mean) / (n · spread), and 0 where all outputs are equal.
    factor = torch.where(known.spread > 0, w / (unit * batches * known.spread), 0.0).to(y.dtype)
    offset = 0.2 * w / unit / batches if config.diversity == "oacd" else 0.0
    mean = known.mean.to(y.dtype)
    of = phase1.gradient_and_update if _fused(y) else phase1.plain_gradient_and_update
    return of(y, contexts, mean, factor, stay, offset)


def unit_losses(known: Moments, unit: int, config: Phase1Config) -> Tensor:
    """Token-weighted sums of MSE and diversity over units of ``unit`` tokens: (2,)."""
    diversity = -known.spread / unit
    if config.diversity == "oacd":
        diversity = diversity + 0.1 * known.mean.square().sum(1).to(diversity.dtype)
    return torch.stack([known.mse.sum(), diversity.sum()]) * unit


def _fused(y: Tensor) -> bool:
    return y.dtype == torch.float32 and kernels.usable(y.device)
