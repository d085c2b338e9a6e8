"""Triton kernels for NVIDIA devices, where passes over memory and not arithmetic would set the pace.

``cross_entropy_`` and ``score`` read a piece's logits twice and once; ``add_norm`` fuses what follows a layer's
product. They compute what ``head`` and ``model`` compute with torch operations elsewhere. Triton comes with
torch's CUDA builds on Linux; where it is missing, or on other devices, the torch path is taken and recorded.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

if find_spec("triton") is not None:
    import triton
    import triton.language as tl
else:  # pragma: no cover - depends on the torch build
    triton = None

BLOCK = 4096


def usable(device: torch.device) -> bool:
    """Whether these kernels run on this device."""
    return triton is not None and device.type == "cuda"


if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]
    def _load(start, bias, at, vocab, BIASED: tl.constexpr):
        # The bias is added here and not in the product: beside some −10 nats bf16 logits would lose their digits.
        x = tl.load(start + at, mask=at < vocab, other=-float("inf")).to(tl.float32)
        if BIASED:
            x += tl.load(bias + at, mask=at < vocab, other=0.0)
        return x

    @triton.jit  # type: ignore[untyped-decorator]
    def _cross_entropy(
        logits, bias, targets, losses, stride, vocab, padded, BIASED: tl.constexpr, BLOCK: tl.constexpr
    ):
        row = tl.program_id(0).to(tl.int64)
        start = logits + row * stride
        columns = tl.arange(0, BLOCK)
        # Running maximum and sum for each lane; they are joined at the end.
        top = tl.full((BLOCK,), -float("inf"), tl.float32)
        total = tl.zeros((BLOCK,), tl.float32)
        for first in range(0, vocab, BLOCK):
            x = _load(start, bias, first + columns, vocab, BIASED)
            new = tl.maximum(top, x)
            # A lane that has seen nothing yet has new = -inf, and its sum stays 0.
            safe = tl.where(new == -float("inf"), 0.0, new)
            total = total * tl.exp(top - safe) + tl.exp(x - safe)
            top = new
        peak = tl.max(top, 0)
        lse = peak + tl.log(tl.sum(total * tl.exp(top - peak), 0))
        target = tl.load(targets + row)
        tl.store(losses + row, lse - _load(start, bias, target, vocab, BIASED))
        for first in range(0, padded, BLOCK):
            at = first + columns
            x = _load(start, bias, at, vocab, BIASED)
            p = tl.exp(x - lse) - tl.where(at == target, 1.0, 0.0)
            tl.store(start + at, p.to(logits.dtype.element_ty), mask=at < padded)

    @triton.jit  # type: ignore[untyped-decorator]
    def _score(logits, bias, targets, losses, best, stride, vocab, BIASED: tl.constexpr, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        start = logits + row * stride
        columns = tl.arange(0, BLOCK)
        top = tl.full((BLOCK,), -float("inf"), tl.float32)
        total = tl.zeros((BLOCK,), tl.float32)
        where = tl.zeros((BLOCK,), tl.int32)
        for first in range(0, vocab, BLOCK):
            x = _load(start, bias, first + columns, vocab, BIASED)
            where = tl.where(x > top, first + columns, where)
            new = tl.maximum(top, x)
            safe = tl.where(new == -float("inf"), 0.0, new)
            total = total * tl.exp(top - safe) + tl.exp(x - safe)
            top = new
        peak = tl.max(top, 0)
        lse = peak + tl.log(tl.sum(total * tl.exp(top - peak), 0))
        # Of equal logits the first counts, as torch's argmax has it.
        tl.store(best + row, tl.min(tl.where(top == peak, where, vocab), 0).to(tl.int64))
        tl.store(losses + row, lse - _load(start, bias, tl.load(targets + row), vocab, BIASED))


if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]
    def _add_norm(kept, z, weight, bias, y, means, scales, width, eps, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        at = tl.arange(0, BLOCK)
        inside = at < width
        s = tl.maximum(tl.load(z + row * width + at, mask=inside, other=0.0).to(tl.float32), 0.0)
        s += tl.load(kept + row * width + at, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(s, 0) / width
        centred = tl.where(inside, s - mean, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
        tl.store(means + row, mean)
        tl.store(scales + row, scale)
        w = tl.load(weight + at, mask=inside, other=0.0)
        b = tl.load(bias + at, mask=inside, other=0.0)
        tl.store(y + row * width + at, centred * scale * w + b, mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def _add_norm_backward(
        dy, kept, z, weight, means, scales, dkept, dz, dweight, dbias, rows, width, BLOCK: tl.constexpr
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
            tl.store(dkept + row * width + at, ds.to(dkept.dtype.element_ty), mask=inside)
            tl.store(dz + row * width + at, tl.where(zz > 0.0, ds, 0.0).to(dz.dtype.element_ty), mask=inside)
        tl.store(dweight + group * width + at, dw, mask=inside)
        tl.store(dbias + group * width + at, db, mask=inside)


# Programs of the backward kernel, each summing the weight's gradient over its share of the rows.
GROUPS = 528


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kept: Tensor, z: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        kept, z = kept.contiguous(), z.contiguous()
        rows, width = z.shape
        y = torch.empty_like(z)
        means = torch.empty(rows, dtype=torch.float32, device=z.device)
        scales = torch.empty_like(means)
        block = triton.next_power_of_2(width)
        _add_norm[(rows,)](kept, z, weight, bias, y, means, scales, width, eps, BLOCK=block, num_warps=4)
        ctx.save_for_backward(kept, z, weight, means, scales)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        kept, z, weight, means, scales = ctx.saved_tensors
        rows, width = z.shape
        groups = min(GROUPS, rows)
        dkept, dz = torch.empty_like(kept), torch.empty_like(z)
        dweight = torch.empty(groups, width, dtype=torch.float32, device=z.device)
        dbias = torch.empty_like(dweight)
        _add_norm_backward[(groups,)](
            dy.contiguous(),
            kept,
            z,
            weight,
            means,
            scales,
            dkept,
            dz,
            dweight,
            dbias,
            rows,
            width,
            BLOCK=triton.next_power_of_2(width),
            num_warps=4,
        )
        return dkept, dz, dweight.sum(0).to(weight.dtype), dbias.sum(0).to(weight.dtype), None


def add_norm(kept: Tensor, z: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm(kept + relu(z)) over the last dimension: (n, d), (n, d) -> (n, d) in z's dtype."""
    y: Tensor = _AddNorm.apply(  # type: ignore[no-untyped-call]
        kept, z, weight, bias, eps
    )
    return y


def cross_entropy_(logits: Tensor, bias: Tensor | None, targets: Tensor, vocab: int) -> Tensor:
    """Overwrite logits (n, ≥ vocab) with softmax(logits + bias) − one-hot; return the losses (n,), float32.

    What stands beyond ``vocab`` becomes 0.
    """
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    _cross_entropy[(len(logits),)](
        logits,
        losses if bias is None else bias,
        targets,
        losses,
        logits.stride(0),
        vocab,
        logits.shape[1],
        BIASED=bias is not None,
        BLOCK=BLOCK,
        num_warps=8,
    )
    return losses


def score(logits: Tensor, bias: Tensor | None, targets: Tensor, vocab: int) -> tuple[Tensor, Tensor]:
    """Losses (n,), float32, and the likeliest token (n,) of logits (n, ≥ vocab) + bias."""
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    best = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    _score[(len(logits),)](
        logits,
        losses if bias is None else bias,
        targets,
        losses,
        best,
        logits.stride(0),
        vocab,
        BIASED=bias is not None,
        BLOCK=BLOCK,
        num_warps=8,
    )
    return losses, best
