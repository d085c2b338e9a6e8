"""What follows a layer's product, in one pass: token rows, ReLU, residual and LayerNorm, forward and backward."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_cli.core.kernels import PRESENT

if PRESENT:
    import triton
    import triton.language as tl

# Programs of the backward kernel, each summing the gradient of gain and shift over its share of the rows.
GROUPS = 1056
# A token type's rows are summed in runs of at most so many, so that frequent types do not wait for one program.
RUN = 64


@dataclass(frozen=True)
class Runs:
    """The tokens of a piece in the order of the token type at one place of their windows, cut into runs.

    Attributes:
        order: token positions sorted by type, (n,), int32.
        start, length: where each run begins in ``order`` and how many tokens it has, (runs,), int32.
        types: the types that occur, (m,).
        first: the first run of each of them, and the number of runs, (m + 1,), int32.
    """

    order: Tensor
    start: Tensor
    length: Tensor
    types: Tensor
    first: Tensor


def runs_by_type(types: Tensor) -> Runs:
    """Sort the types (n,) of a piece's tokens at one place; equal types keep the tokens' order."""
    ordered, order = torch.sort(types, stable=True)
    present, counts = torch.unique_consecutive(ordered, return_counts=True)
    runs = (counts + RUN - 1) // RUN
    first = torch.cat([runs.new_zeros(1), runs.cumsum(0)])
    of = torch.repeat_interleave(torch.arange(len(present), device=types.device), runs)
    within = (torch.arange(len(of), device=types.device) - first[of]) * RUN
    start = (counts.cumsum(0) - counts)[of] + within
    length = torch.clamp(counts[of] - within, max=RUN)
    return Runs(order.int(), start.int(), length.int(), present, first.int())


@dataclass(frozen=True)
class Gather:
    """The rows of a token table that a piece's windows add to a layer's product.

    Attributes:
        table: (K, U + 1, d).
        types: rows of the table at each place of the windows, (n, K).
        gradient: where the table's gradient is added, (K, U + 1, d); None where it is not wanted.
        runs: for each place, the tokens by type; needed with ``gradient``.
    """

    table: Tensor
    types: Tensor
    gradient: Tensor | None = None
    runs: tuple[Runs, ...] = ()

    def split(self, tokens: int) -> list["Gather"]:
        """The same for consecutive pieces of so many tokens, without gradient."""
        return [Gather(self.table, types) for types in torch.split(self.types, tokens)]


if PRESENT:

    @triton.jit  # type: ignore[untyped-decorator]
    def _add_norm(
        kept,
        z,
        table,
        types,
        weight,
        bias,
        y,
        means,
        scales,
        width,
        table_rows,
        by_token,
        by_place,
        eps,
        PLACES: tl.constexpr,
        SAVE: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        row = tl.program_id(0).to(tl.int64)
        at = tl.arange(0, BLOCK)
        inside = at < width
        sum = tl.load(z + row * width + at, mask=inside, other=0.0).to(tl.float32)
        for place in tl.static_range(PLACES):
            kind = tl.load(types + row * by_token + place * by_place).to(tl.int64)
            start = table + (place * table_rows + kind) * width
            sum += tl.load(start + at, mask=inside, other=0.0).to(tl.float32)
        if PLACES > 0 and SAVE:
            # The backward pass reads the whole pre-activation; the rows are not gathered again.
            tl.store(z + row * width + at, sum.to(z.dtype.element_ty), mask=inside)
        s = tl.maximum(sum, 0.0) + tl.load(kept + row * width + at, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(s, 0) / width
        centred = tl.where(inside, s - mean, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
        if SAVE:
            tl.store(means + row, mean)
            tl.store(scales + row, scale)
        w = tl.load(weight + at, mask=inside, other=0.0)
        b = tl.load(bias + at, mask=inside, other=0.0)
        tl.store(y + row * width + at, centred * scale * w + b, mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def _add_norm_backward(
        dy,
        kept,
        z,
        weight,
        means,
        scales,
        dkept,
        dz,
        dnorm,
        rows,
        width,
        KEPT: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        group = tl.program_id(0)
        at = tl.arange(0, BLOCK)
        inside = at < width
        w = tl.load(weight + at, mask=inside, other=0.0)
        dw = tl.zeros((BLOCK,), tl.float32)
        db = tl.zeros((BLOCK,), tl.float32)
        for row32 in range(group, rows, tl.num_programs(0)):
            row = tl.cast(row32, tl.int64)
            zz = tl.load(z + row * width + at, mask=inside, other=0.0).to(tl.float32)
            s = tl.maximum(zz, 0.0) + tl.load(kept + row * width + at, mask=inside, other=0.0).to(tl.float32)
            scale = tl.load(scales + row)
            normed = tl.where(inside, (s - tl.load(means + row)) * scale, 0.0)
            g = tl.load(dy + row * width + at, mask=inside, other=0.0).to(tl.float32)
            dw += g * normed
            db += g
            g *= w
            ds = scale * (g - (tl.sum(g, 0) + normed * tl.sum(g * normed, 0)) / width)
            if KEPT:
                tl.store(dkept + row * width + at, ds.to(dkept.dtype.element_ty), mask=inside)
            tl.store(dz + row * width + at, tl.where(zz > 0.0, ds, 0.0).to(dz.dtype.element_ty), mask=inside)
        tl.store(dnorm + 2 * group * width + at, dw, mask=inside)
        tl.store(dnorm + (2 * group + 1) * width + at, db, mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def _sum_runs(rows, order, starts, lengths, sums, width, ROWS: tl.constexpr, BLOCK: tl.constexpr):
        run = tl.program_id(0).to(tl.int64)
        at = tl.arange(0, BLOCK)
        inside = at < width
        lane = tl.arange(0, ROWS)
        start = tl.load(starts + run)
        length = tl.load(lengths + run)
        total = tl.zeros((BLOCK,), tl.float32)
        for first in range(0, length, ROWS):
            there = first + lane < length
            row = tl.load(order + start + first + lane, mask=there, other=0).to(tl.int64)
            both = there[:, None] & inside[None, :]
            total += tl.sum(tl.load(rows + row[:, None] * width + at[None, :], mask=both, other=0.0), 0)
        tl.store(sums + run * width + at, total, mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def _add_sums(sums, types, first, gradient, width, BLOCK: tl.constexpr):
        number = tl.program_id(0)
        at = tl.arange(0, BLOCK)
        inside = at < width
        row = tl.load(types + number).to(tl.int64)
        total = tl.load(gradient + row * width + at, mask=inside, other=0.0)
        for run32 in range(tl.load(first + number), tl.load(first + number + 1)):
            run = tl.cast(run32, tl.int64)
            total += tl.load(sums + run * width + at, mask=inside, other=0.0)
        tl.store(gradient + row * width + at, total, mask=inside)


def scatter_rows(rows: Tensor, runs: Runs, gradient: Tensor) -> None:
    """Add each token's row (n, d) to the row of its type in ``gradient`` (U + 1, d), in a fixed order."""
    width = rows.shape[1]
    block = triton.next_power_of_2(width)
    sums = torch.empty(len(runs.start), width, dtype=torch.float32, device=rows.device)
    _sum_runs[(len(runs.start),)](
        rows, runs.order, runs.start, runs.length, sums, width, ROWS=4, BLOCK=block, num_warps=4
    )
    _add_sums[(len(runs.types),)](sums, runs.types, runs.first, gradient, width, BLOCK=block, num_warps=4)


def plain_scatter_rows(rows: Tensor, types: Tensor, gradient: Tensor) -> None:
    """``scatter_rows`` by torch's own operator, from the type of each token, (n,)."""
    gradient.index_add_(0, types, rows)


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kept: Tensor,
        z: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        gather: Gather | None,
        save: bool,
    ) -> Tensor:
        kept, z = kept.contiguous(), z.contiguous()
        rows, width = z.shape
        y = torch.empty_like(z)
        means = torch.empty(rows if save else 1, dtype=torch.float32, device=z.device)
        scales = torch.empty_like(means)
        table, types = (z, means) if gather is None else (gather.table, gather.types)
        _add_norm[(rows,)](
            kept,
            z,
            table,
            types,
            weight,
            bias,
            y,
            means,
            scales,
            width,
            0 if gather is None else table.shape[1],
            0 if gather is None else types.stride(0),
            0 if gather is None else types.stride(1),
            eps,
            PLACES=0 if gather is None else len(table),
            SAVE=save,
            BLOCK=triton.next_power_of_2(width),
            num_warps=4,
        )
        if save:
            ctx.gather = gather
            ctx.save_for_backward(kept, z, weight, means, scales)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        kept, z, weight, means, scales = ctx.saved_tensors
        gather: Gather | None = ctx.gather
        rows, width = z.shape
        groups = min(GROUPS, rows)
        dz = torch.empty_like(z)
        dkept = torch.empty_like(kept) if ctx.needs_input_grad[0] else None
        dnorm = torch.empty(groups, 2, width, dtype=torch.float32, device=z.device)
        _add_norm_backward[(groups,)](
            dy.contiguous(),
            kept,
            z,
            weight,
            means,
            scales,
            dz if dkept is None else dkept,
            dz,
            dnorm,
            rows,
            width,
            KEPT=dkept is not None,
            BLOCK=triton.next_power_of_2(width),
            num_warps=4,
        )
        if gather is not None and gather.gradient is not None:
            for runs, gradient in zip(gather.runs, gather.gradient, strict=True):
                scatter_rows(dz, runs, gradient)
        dweight, dbias = dnorm.sum(0).to(weight.dtype)
        return dkept, dz, dweight, dbias, None, None, None


def add_norm(
    kept: Tensor, z: Tensor, weight: Tensor, bias: Tensor, eps: float, gather: Gather | None = None
) -> Tensor:
    """LayerNorm(kept + relu(z + gathered rows)) over the last dimension: (n, d), (n, d) -> (n, d) in z's dtype.

    With ``gather`` z is overwritten by the sum, and the backward pass adds the table's gradient to
    ``gather.gradient``.
    """
    save = torch.is_grad_enabled() and any(part.requires_grad for part in (kept, z, weight, bias))
    y: Tensor = _AddNorm.apply(  # type: ignore[no-untyped-call]
        kept, z, weight, bias, eps, gather, save
    )
    return y


def plain_add_norm(
    kept: Tensor,
    z: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    table: Tensor | None = None,
    types: Tensor | None = None,
) -> Tensor:
    """``add_norm`` by torch's own operators, which autograd sends backwards.

    Args:
        table, types: those of a ``Gather``.
    """
    if table is not None and types is not None:
        for rows, kinds in zip(table, types.unbind(1), strict=True):
            z = z + rows[kinds]
    return F.layer_norm(kept + F.relu(z), weight.shape, weight, bias, eps)
