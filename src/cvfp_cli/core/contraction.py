"""How fast two contexts draw together: the growth of a difference per step of the recurrence.

It decides whether a stream can be computed in chunks: below 1 a block forgets, and chunks meet; at 1 and above they
never do. Its logarithm estimates the largest Lyapunov exponent (Benettin et al., Meccanica 15, 1980: follow a small
difference, scale it back to its first size after every step, average the logarithms of what it grew by).
"""

import math

import torch
from torch import Tensor

from cvfp_cli.core.contexts import Contexts
from cvfp_cli.core.draws import seeded
from cvfp_cli.core.model import Recurrent, Stream

# Places of the stream that are followed, and steps: the first ones turn a random difference into the direction that
# grows fastest and do not count.
PLACES = 32
SETTLE = 16
COUNTED = 32
# Of a context's norm. Its square root is near the precision's, where rounding and curvature cost alike.
SIZE = {torch.float32: 1e-3, torch.float64: 1e-7}
# A difference that shrinks by more than this in one step is gone; it counts as shrunk by this.
LOST = 1e-6


@torch.no_grad()
def growth_per_step(block: Recurrent, stream: Stream, contexts: Contexts, *key: int | str) -> float | None:
    """The factor by which a small difference between two contexts changes in one step, a geometric mean.

    Args:
        contexts: (N + 1, D), row t being the context before token t.
        key: what the first differences are drawn from; the same key gives the same figure.

    Returns:
        None for a stream too short to follow, or where contexts are not finite.
    """
    steps = min(SETTLE + COUNTED, len(stream) - 1)
    settle = steps // 3
    if steps < 3:
        return None
    places = min(PLACES, len(stream) - steps)
    at = torch.linspace(0, len(stream) - steps, places, dtype=torch.float64).long().to(stream.ids.device)
    here = contexts.take(at)
    drawn = torch.randn(here.shape, generator=seeded(torch.device("cpu"), *key), dtype=here.dtype).to(here)
    size = SIZE[here.dtype] * _norm(here).clamp_min(1.0)
    there = here + drawn * (size / _norm(drawn))
    logs = []
    for step in range(steps):
        windows = stream.windows(at + step)
        both = block.forward(torch.cat([here, there]), torch.cat([windows, windows]))[-1]
        here, there = both.chunk(2)
        difference = there - here
        grown = _norm(difference) / size
        if step >= settle:
            logs.append(grown.clamp_min(LOST).log())
        size = SIZE[here.dtype] * _norm(here).clamp_min(1.0)
        # A difference that rounding has swallowed has no direction left: it starts anew from the drawn one.
        lost = grown < LOST
        direction = torch.where(lost, drawn / _norm(drawn), difference / _norm(difference).clamp_min(1e-30))
        there = here + direction * size
    mean = float(torch.stack(logs).mean())
    return math.exp(mean) if math.isfinite(mean) else None


def _norm(rows: Tensor) -> Tensor:
    """(n, D) -> (n, 1)."""
    norm: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return norm
