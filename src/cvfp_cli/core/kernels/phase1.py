"""Phase 1 in few passes over the stream: noisy inputs, moments of the outputs, gradient of the loss."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cvfp_cli.core.kernels import PRESENT

if PRESENT:
    import triton
    import triton.language as tl

# Programs that share a batch's rows in ``moments``.
SHARES = 128
# The highest bit of a seed keeps the argument's type, and with it the compiled kernel, the same for every one.
SEED_BIT = 1 << 62
WORD = 0xFFFFFFFF
# 2^-31 and a little less, so that the largest number is below 1, as Triton has it.
TO_UNIT = 4.6566127342e-10

if PRESENT:

    @triton.jit(do_not_specialize=["seed", "start"])  # type: ignore[untyped-decorator]
    def _noisy(previous, before, given, seed, start, width, deviation, QUARTER: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        lane = tl.arange(0, QUARTER)
        token = start + row
        zero = tl.zeros((QUARTER,), tl.uint32)
        # The counter is (column, token), so a draw depends on nothing else.
        a, b, c, d = tl.philox(
            seed,
            lane.to(tl.uint32),
            zero + (token & 0xFFFFFFFF).to(tl.uint32),
            zero + (token >> 32).to(tl.uint32),
            zero,
        )
        e, f = tl.pair_uniform_to_normal(tl.uint_to_uniform_float(a), tl.uint_to_uniform_float(b))
        g, h = tl.pair_uniform_to_normal(tl.uint_to_uniform_float(c), tl.uint_to_uniform_float(d))
        source = before
        if row > 0:
            source = previous + (row - 1) * width
        quarter = tl.cdiv(width, 4)
        for part in tl.static_range(4):
            noise = e if part == 0 else (f if part == 1 else (g if part == 2 else h))
            at = part * quarter + lane
            inside = (lane < quarter) & (at < width)
            x = tl.load(source + at, mask=inside, other=0.0)
            tl.store(given + row * width + at, x + deviation * noise, mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def _moments(
        y, previous, sums, figures, group_rows, share, width, limit, SHARES: tl.constexpr, BLOCK: tl.constexpr
    ):
        group = tl.program_id(0).to(tl.int64)
        part = tl.program_id(1)
        at = tl.arange(0, BLOCK)
        inside = at < width
        # Sums are taken around the group's first row, so that a common offset costs no digits.
        origin = tl.load(y + group * group_rows * width + at, mask=inside, other=0.0)
        total = tl.zeros((BLOCK,), tl.float32)
        squares = tl.zeros((BLOCK,), tl.float32)
        changes = tl.zeros((BLOCK,), tl.float32)
        converged = 0.0
        for inner in range(part * share, tl.minimum((part + 1) * share, group_rows)):
            row = group * group_rows + inner
            out = tl.load(y + row * width + at, mask=inside, other=0.0)
            change = out - tl.load(previous + row * width + at, mask=inside, other=0.0)
            centred = out - origin
            total += centred
            squares += centred * centred
            changes += change * change
            converged += tl.where(tl.sum(change * change, 0) < limit, 1.0, 0.0)
        slot = group * SHARES + part
        tl.store(sums + slot * width + at, total, mask=inside)
        tl.store(figures + slot * 3, tl.sum(squares, 0))
        tl.store(figures + slot * 3 + 1, tl.sum(changes, 0))
        tl.store(figures + slot * 3 + 2, converged)

    @triton.jit  # type: ignore[untyped-decorator]
    def _gradient(
        y, contexts, means, factors, gradient, group_rows, width, stay, offset, BLOCK: tl.constexpr
    ):
        row = tl.program_id(0).to(tl.int64)
        group = row // group_rows
        at = tl.arange(0, BLOCK)
        inside = at < width
        out = tl.load(y + row * width + at, mask=inside, other=0.0)
        old = tl.load(contexts + row * width + at, mask=inside, other=0.0)
        mean = tl.load(means + group * width + at, mask=inside, other=0.0)
        slope = stay * (out - old) - tl.load(factors + group) * (out - mean) + offset * mean
        tl.store(gradient + row * width + at, slope, mask=inside)
        tl.store(contexts + row * width + at, out, mask=inside)


def noisy_contexts(previous: Tensor, before: Tensor, seed: int, start: int, deviation: float) -> Tensor:
    """Input contexts of tokens ``start`` …: ``before`` (D,) and all rows of ``previous`` (n, D) but the last, plus
    N(0, ``deviation``²) noise that depends on (seed, token, component) alone: (n, D), float32."""
    rows, width = previous.shape
    given = torch.empty(rows, width, dtype=torch.float32, device=previous.device)
    quarter = triton.next_power_of_2(-(-width // 4))
    _noisy[(rows,)](
        previous, before, given, seed | SEED_BIT, start, width, deviation, QUARTER=quarter, num_warps=4
    )
    return given


def plain_noisy_contexts(previous: Tensor, before: Tensor, noise: Tensor) -> Tensor:
    """``noisy_contexts`` with noise (n, D) drawn elsewhere, which is overwritten and returned."""
    noise[1:] += previous[:-1]
    noise[0] += before
    return noise


def plain_noise(seed: int, start: int, rows: int, width: int) -> Tensor:
    """The noise of ``noisy_contexts`` in units of its deviation: (n, D), float32.

    The four words of a counter make two uniform numbers in [0, 1) each for two normal ones (Box and Muller 1958), which
    stand a quarter of the width apart.
    """
    lane, token = torch.arange(-(-width // 4)), start + torch.arange(rows)[:, None]
    counter = lane, token & WORD, token >> 32, torch.tensor(0)
    words = plain_philox(counter, (seed | SEED_BIT) & WORD, (seed | SEED_BIT) >> 32)
    # As a signed word, of which a negative one is taken for the others' mirror image.
    signed = [torch.where(word > WORD >> 1, WORD - word, word) for word in words]
    a, b, c, d = (word.float() * TO_UNIT for word in signed)
    parts = []
    for one, other in ((a, b), (c, d)):
        radius, angle = (-2.0 * one.clamp_min(1e-7).log()).sqrt(), 2.0 * math.pi * other
        parts += [radius * angle.cos(), radius * angle.sin()]
    return torch.cat(parts, 1)[:, :width]


def plain_philox(counter: Sequence[Tensor], low: int, high: int) -> tuple[Tensor, ...]:
    """Philox4x32 with ten rounds (Salmon et al. 2011): four words for each counter of four, in int64.

    Args:
        low, high: the key's two words.
    """
    a, b, c, d = counter
    for step in range(10):
        (top_a, bottom_a), (top_c, bottom_c) = _product(0xD2511F53, a), _product(0xCD9E8D57, c)
        key = (low + step * 0x9E3779B9) & WORD, (high + step * 0xBB67AE85) & WORD
        a, b, c, d = top_c ^ b ^ key[0], bottom_c, top_a ^ d ^ key[1], bottom_a
    return a, b, c, d


def _product(factor: int, word: Tensor) -> tuple[Tensor, Tensor]:
    """The high and the low word of a product of two words; each half of one fits with the other into 48 bits."""
    upper, lower = factor * (word >> 16), factor * (word & 0xFFFF)
    return (upper + (lower >> 16)) >> 16, (((upper & 0xFFFF) << 16) + lower) & WORD


def moments(y: Tensor, previous: Tensor, groups: int, limit: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Moments of consecutive, equally long groups of rows of y (n, D), in one pass.

    Args:
        limit: a token whose mean squared change over components is below this counts as converged.

    Returns:
        mean (groups, D), spread ‖y − mean‖_F (groups,), squared change from ``previous`` averaged over rows and
        components (groups,), and the number of converged tokens (), float64 but for the mean.
    """
    rows, width = y.shape
    n = rows // groups
    sums = torch.empty(groups, SHARES, width, dtype=torch.float32, device=y.device)
    figures = torch.empty(groups, SHARES, 3, dtype=torch.float32, device=y.device)
    _moments[(groups, SHARES)](
        y,
        previous,
        sums,
        figures,
        n,
        -(-n // SHARES),
        width,
        limit * width,
        SHARES=SHARES,
        BLOCK=triton.next_power_of_2(width),
        num_warps=4,
    )
    around = sums.sum(1, dtype=torch.float64) / n
    squares, changes, converged = figures.sum(1, dtype=torch.float64).unbind(1)
    spread = (squares - n * around.square().sum(1)).clamp_min(0.0).sqrt()
    mean = (y[::n][:groups] + around).float()
    return mean, spread, changes / (n * width), converged.sum()


def plain_moments(
    y: Tensor, previous: Tensor, groups: int, limit: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``moments`` by torch's own operators, in y's dtype."""
    n, width = len(y) // groups, y.shape[1]
    per_token = torch.linalg.vector_norm(y - previous, dim=1).square() / width
    grouped = y.view(groups, n, width)
    mean = grouped.mean(1)
    spread = torch.linalg.vector_norm(grouped - mean[:, None], dim=(1, 2))
    return mean, spread, per_token.view(groups, n).mean(1), (per_token < limit).sum()


def gradient_and_update(
    y: Tensor, contexts: Tensor, mean: Tensor, factor: Tensor, stay: float, offset: float
) -> Tensor:
    """``stay``·(y − contexts) − factor·(y − mean) + ``offset``·mean of each row, (n, D); then contexts become y.

    Args:
        mean, factor: of consecutive, equally long groups of rows, (groups, D) and (groups,), float32.
    """
    rows, width = y.shape
    gradient = torch.empty_like(y)
    _gradient[(rows,)](
        y,
        contexts,
        mean,
        factor,
        gradient,
        rows // len(mean),
        width,
        stay,
        offset,
        BLOCK=triton.next_power_of_2(width),
        num_warps=4,
    )
    return gradient


def plain_gradient_and_update(
    y: Tensor, contexts: Tensor, mean: Tensor, factor: Tensor, stay: float, offset: float
) -> Tensor:
    """``gradient_and_update`` by torch's own operators."""
    grouped = y.view(len(mean), -1, y.shape[1])
    gradient = (grouped - mean[:, None]).mul_(-factor[:, None, None])
    if offset:
        gradient += offset * mean[:, None]
    gradient = gradient.view(y.shape).add_(y - contexts, alpha=stay)
    contexts.copy_(y)
    return gradient
