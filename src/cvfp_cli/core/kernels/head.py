"""The head's cross-entropy over a piece's logits: ``cross_entropy_`` reads them twice, ``score`` once."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_cli.core.kernels import PRESENT

if PRESENT:
    import triton
    import triton.language as tl

BLOCK = 4096


if PRESENT:

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
        target = tl.load(targets + row)
        # Kept from the first reading: once a warp has begun to overwrite the row, another must not read it again.
        wanted = tl.zeros((BLOCK,), tl.float32)
        for first in range(0, vocab, BLOCK):
            x = _load(start, bias, first + columns, vocab, BIASED)
            wanted += tl.where(first + columns == target, x, 0.0)
            new = tl.maximum(top, x)
            # A lane that has seen nothing yet has new = -inf, and its sum stays 0.
            safe = tl.where(new == -float("inf"), 0.0, new)
            total = total * tl.exp(top - safe) + tl.exp(x - safe)
            top = new
        peak = tl.max(top, 0)
        lse = peak + tl.log(tl.sum(total * tl.exp(top - peak), 0))
        tl.store(losses + row, lse - tl.sum(wanted, 0))
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


def plain_cross_entropy_(logits: Tensor, bias: Tensor | None, targets: Tensor, vocab: int) -> Tensor:
    """``cross_entropy_`` by torch's own operators, in the logits' dtype."""
    losses, _ = plain_score(logits, bias, targets, vocab)
    p = torch.softmax(_biased(logits, bias, vocab), 1)
    logits[:, :vocab] = p - F.one_hot(targets, vocab)
    logits[:, vocab:] = 0.0
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


def plain_score(logits: Tensor, bias: Tensor | None, targets: Tensor, vocab: int) -> tuple[Tensor, Tensor]:
    """``score`` by torch's own operators, in the logits' dtype."""
    biased = _biased(logits, bias, vocab)
    return F.cross_entropy(biased, targets, reduction="none"), biased.argmax(1)


def _biased(logits: Tensor, bias: Tensor | None, vocab: int) -> Tensor:
    return logits[:, :vocab] if bias is None else logits[:, :vocab] + bias
