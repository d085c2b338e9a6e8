"""The true contexts of a whole stream, exact and in parallel.

The recurrence c_t = ContextBlock(c_{t-1}, x_t) looks sequential, but a trained block forgets: two runs from
different contexts draw together by a constant factor a step (method.md, "Contexts for phase 2"). So the stream
is cut into chunks that advance side by side, each started a little early from zeros. Every border is then
verified: the context a chunk started from against the context its predecessor ended in. Chunks whose border
fails run again, side by side, from the right context, until they meet what was recorded. Where differences do
not shrink nothing can be verified in parallel, and the rest runs token by token.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cvfp_cli.core.model import Recurrent, Stream
from cvfp_cli.core.steps import Steps

WARM_UP = 32
# How many rows' arithmetic costs as much as the overhead of one step; fixed per kind of device, so that the
# cut (and with it the last bits of a figure) never depends on how fast the machine happened to be.
STEP_OVERHEAD_ROWS = {"cpu": 10, "cuda": 1024, "mps": 256}
# So many failing chunks run on side by side even where nothing shrinks.
FEW = 4
# Differences are looked at every so many steps: each look is a synchronisation on a GPU.
LOOK_EVERY = 8


@dataclass(frozen=True)
class RecurrenceTrace:
    """How the contexts of a stream were computed and how exactly they were verified.

    Attributes:
        tokens: length of the stream.
        chunks: chunks run side by side; 1 means token by token from the start.
        warm_up: tokens that each chunk was started early.
        steps: batched steps, warm-up and re-runs included.
        rows: block applications counted over all rows of all steps, single steps included.
        single_steps: tokens computed one by one because nothing could be verified in parallel.
        rounds: rounds of re-runs.
        borders_rerun: borders that failed and were run again, over all rounds.
        largest_border_difference: largest ‖a − b‖ / ‖b‖ left at a verified border, or where a re-run met what was
            recorded; 0 where everything ran token by token.
        growth: factor by which a difference changes in one step, measured over the warm-up; None with one chunk.
    """

    tokens: int
    chunks: int
    warm_up: int
    steps: int
    rows: int
    single_steps: int
    rounds: int
    borders_rerun: int
    largest_border_difference: float
    growth: float | None


def border_tolerance(dtype: torch.dtype) -> float:
    """Relative difference at which two contexts count as the same: 1e-6 in float32, 1e-12 in float64."""
    return 1e-12 if dtype == torch.float64 else 1e-6


def chunk_count(tokens: int, device: str) -> int:
    """Chunks that make (steps) × (overhead + rows) smallest for a warm-up and a re-run of that order."""
    rows = math.isqrt(tokens * STEP_OVERHEAD_ROWS.get(device, 10) // (2 * WARM_UP))
    return max(1, min(rows, tokens // (4 * WARM_UP)))


class _Cut:
    """A stream cut into chunks, the steps that run over it, and the contexts recorded so far."""

    def __init__(self, block: Recurrent, stream: Stream, chunks: int) -> None:
        self.tokens = len(stream)
        self.length = -(-self.tokens // chunks)
        self.chunks = -(-self.tokens // self.length)
        self.width = block.width
        self.steps = Steps(block, stream, self.chunks)
        self.contexts = stream.types.new_zeros(self.chunks * self.length, self.width)
        self.by_chunk = self.contexts.view(self.chunks, self.length, self.width)
        self.first = torch.arange(self.chunks, device=stream.types.device) * self.length


@torch.no_grad()
def true_contexts(
    block: Recurrent, stream: Stream, *, chunks: int | None = None, tolerance: float | None = None
) -> tuple[Tensor, RecurrenceTrace]:
    """c_0 … c_{N−1} from c_{−1} = 0, shape (N, D), and the trace of how they were verified.

    Args:
        chunks: how many chunks to cut the stream into; by default a fixed function of its length and device.
        tolerance: largest relative difference ‖a − b‖ / ‖b‖ at a verified border; ``border_tolerance`` by default.
    """
    device = stream.types.device.type
    cut = _Cut(block, stream, chunks if chunks is not None else chunk_count(len(stream), device))
    tolerance = border_tolerance(cut.contexts.dtype) if tolerance is None else tolerance
    if cut.chunks == 1:
        _one_by_one(cut, 0)
        return cut.contexts[: cut.tokens], _trace(cut, 0, cut.tokens, 0, 0, 0.0, None)

    warm_up = min(WARM_UP, cut.length)
    started = _first_pass(cut, warm_up)
    growth = _growth_over_warm_up(cut, started, warm_up)
    overhead = STEP_OVERHEAD_ROWS.get(device, 10)
    spent = cut.steps.taken * (overhead + cut.chunks)
    loop = cut.tokens * (overhead + 1)
    rounds = rerun = single = 0
    met = 0.0
    last_failed, last_largest = cut.chunks, math.inf
    while True:
        difference = _difference(started[1:], cut.by_chunk[:-1, -1])
        failed = (difference > tolerance).nonzero().flatten() + 1
        if len(failed) == 0:
            met = max(met, float(difference.max()))
            break
        verified = int(failed[0]) * cut.length
        worst = cut.length * (overhead + len(failed))
        # What is spent in vain may never exceed half a plain loop, all of which the rest may still need. Where a
        # round mended next to nothing and its largest difference stayed, differences do not shrink over a whole
        # chunk; a few such chunks cost no more in rounds than one by one.
        affordable = spent + worst <= loop // 2 + verified * (overhead + 1)
        largest = float(difference.max())
        stuck = len(failed) > max(FEW, 0.9 * last_failed) and 2 * largest > last_largest
        if not affordable or stuck:
            single = _one_by_one(cut, verified)
            break
        last_failed, last_largest = len(failed), largest
        rounds += 1
        rerun += len(failed)
        before = cut.steps.taken
        met = max(met, _rerun(cut, started, failed, tolerance))
        spent += (cut.steps.taken - before) * (overhead + len(failed))
    return cut.contexts[: cut.tokens], _trace(cut, warm_up, single, rounds, rerun, met, growth)


def _first_pass(cut: _Cut, warm_up: int) -> Tensor:
    """Run all chunks side by side from zeros, ``warm_up`` tokens early; return what each started from (C, D)."""
    started = cut.contexts.new_zeros(cut.chunks, cut.width)
    for _, states in cut.steps.advance(started, cut.first - warm_up, warm_up):
        started = states[-1]
    started = started.clone()
    started[0] = 0.0  # before the stream's start there is nothing but c_{-1} = 0
    for at, states in cut.steps.advance(started, cut.first, cut.length):
        cut.by_chunk[:, at] = states.transpose(0, 1)
    return started


def _difference(context: Tensor, reference: Tensor) -> Tensor:
    """‖context − reference‖ / ‖reference‖ of each row: (n, D), (n, D) -> (n,)."""
    size: Tensor = torch.linalg.vector_norm(reference, dim=1).clamp_min(1e-30)
    left: Tensor = torch.linalg.vector_norm(context - reference, dim=1) / size
    return left


def _growth_over_warm_up(cut: _Cut, started: Tensor, warm_up: int) -> float:
    """Factor a step by which a difference changed over the warm-up: the median over the chunks.

    A chunk set out from zeros where its predecessor recorded some context: that was the difference then, and the
    border shows the difference now. Rounding bounds what can be seen from below.
    """
    then = cut.contexts[cut.first[1:] - warm_up - 1] if warm_up < cut.length else started[1:]
    now = (started[1:] - cut.by_chunk[:-1, -1]).norm(dim=1)
    seen = now.clamp_min(torch.finfo(now.dtype).eps) / then.norm(dim=1).clamp_min(1e-30)
    return math.pow(float(seen.median()), 1.0 / warm_up)


def _rerun(cut: _Cut, started: Tensor, failed: Tensor, tolerance: float) -> float:
    """Run chunks again from where their predecessors ended, until each meets what is recorded.

    Updates the recorded contexts and ``started`` in place. Returns the largest difference left where one met; 0
    where they ran to their ends.
    """
    state = cut.by_chunk[failed - 1, -1]
    started[failed] = state
    running, largest = failed, 0.0
    for begun in range(0, cut.length, LOOK_EVERY):
        count = min(LOOK_EVERY, cut.length - begun)
        recorded = cut.by_chunk[running, begun + count - 1]
        for at, states in cut.steps.advance(state, cut.first[running] + begun, count):
            cut.by_chunk[running, begun + at.start : begun + at.stop] = states.transpose(0, 1)
            state = states[-1]
        left = _difference(state, recorded)
        met = left <= tolerance
        largest = max(largest, float(torch.where(met, left, 0.0).max()))
        running, state = running[~met], state[~met]
        if len(running) == 0:
            break
    return largest


def _one_by_one(cut: _Cut, start: int) -> int:
    """Run from token ``start`` to the end, one token a step; return how many that were."""
    state = cut.contexts[start - 1 : start] if start else cut.contexts.new_zeros(1, cut.width)
    before = cut.first.new_full((1,), start)
    for at, states in cut.steps.advance(state, before, cut.tokens - start):
        cut.contexts[start + at.start : start + at.stop] = states[:, 0]
    return cut.tokens - start


def _trace(
    cut: _Cut, warm_up: int, single: int, rounds: int, rerun: int, met: float, growth: float | None
) -> RecurrenceTrace:
    return RecurrenceTrace(
        tokens=cut.tokens,
        chunks=cut.chunks,
        warm_up=warm_up,
        steps=cut.steps.taken - single,
        rows=cut.steps.applied,
        single_steps=single,
        rounds=rounds,
        borders_rerun=rerun,
        largest_border_difference=met,
        growth=growth,
    )
