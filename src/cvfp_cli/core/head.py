"""The output head and its cross-entropy, which holds logits for a bounded piece of tokens at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_cli.core import kernels
from cvfp_cli.core.config import HeadConfig
from cvfp_cli.core.kernels import head as fused
from cvfp_cli.core.metrics import new_share
from cvfp_cli.core.precision import Arithmetic

# Rows of the head's products are padded to a multiple of this: GPT-2's 50257 logits a row would leave every row
# but the first unaligned, which costs a GPU's matrix units most of their speed and a CPU a third.
ALIGN = 128
# Logits in float32 at a time where products are rounded: what stays in a processor's cache.
BLOCK_LOGITS = 2**20


class Head(nn.Module):
    """logits = logit_scale · (v · weightᵀ) + bias.

    Args:
        config: which parts are tied, scaled, biased and trained.
        table: raw embedding table (V, E); shared, never written to.
        unigram: natural logarithms of the training unigram probabilities (V,), for ``bias = "unigram"``.
        generator: draws an untied head's weights where ``start = "uniform"``.
        arithmetic: precision of the products with the table.
        shared: a trained table (V, E) that a tied head shares with the TokenBlock, in place of ``table``.
        seen: which types the training text has (V,), and the share of its tokens that held-out parts have new, for
            ``unseen = "reserved"``: p of the former is 1 − share times the softmax over them, and the others have the
            share in equal parts. So nothing that trains moves them.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None
    seen: Tensor

    def __init__(
        self,
        config: HeadConfig,
        table: Tensor,
        unigram: Tensor,
        generator: torch.Generator,
        arithmetic: Arithmetic,
        shared: nn.Parameter | None = None,
        seen: tuple[Tensor, float] | None = None,
    ) -> None:
        super().__init__()
        self.reserved = config.unseen == "reserved" and seen is not None and not bool(seen[0].all())
        if self.reserved:
            assert seen is not None
            known, share = (seen[0].to(table.device), seen[1])
            self.register_buffer("seen", known)
            self._rows = known.nonzero().flatten()
            self._places = known.cumsum(0) - 1  # of the seen types among their like
            # What −ln p is above that of the softmax over the types seen, and −ln p of each other.
            self.above = -math.log1p(-share)
            self.each = math.log(int((~known).sum()) / share)
        self.arithmetic = arithmetic
        self.fused = kernels.usable(table.device)
        self._frozen: Tensor | None = None
        self._scratch = _Scratch()
        if config.weights == "untied":
            bound = table.shape[1] ** -0.5  # the usual start of a linear map
            drawn = torch.zeros(table.shape)
            if config.start == "uniform":
                drawn.uniform_(-bound, bound, generator=generator)
            self.weight = nn.Parameter(drawn.to(table))
        elif shared is not None:
            self.weight = shared
        elif config.table == "trained":
            self.weight = nn.Parameter(table.clone())
        else:
            self.register_buffer("weight", table, persistent=False)
            self._frozen = self._aligned(table)
        scale = torch.tensor(config.logit_scale, dtype=table.dtype, device=table.device)
        if config.learn_logit_scale:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale, persistent=False)
        if config.bias == "none":
            self.bias = None
        else:
            start = unigram.to(table) if config.bias == "unigram" else table.new_zeros(table.shape[0])
            self.bias = nn.Parameter(start.clone())

    def loss(self, v: Tensor, targets: Tensor, batch: int, piece_tokens: int) -> Tensor:
        """Sum of the cross-entropies of a piece over ``batch``: the piece's share of the batch's mean loss.

        Args:
            v: v_L of the piece's tokens, (n, E).
            targets: the tokens to predict, (n,).
            batch: targets in the whole batch.
            piece_tokens: logits exist for at most this many tokens at a time.
        """
        products, weight, bias = self._products(), self.weight, self.bias
        if self.reserved:
            # A gather, so that their gradients go back to the rows they came from.
            weight = weight.index_select(0, self._rows)
            bias = None if bias is None else bias.index_select(0, self._rows)
            targets = self._places[targets]
        loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
            v.to(self.scale.dtype),
            weight,
            products,
            self.scale,
            bias,
            targets,
            batch,
            piece_tokens,
            None if self.fused else self._scratch,
        )
        return loss + self.above * len(v) / batch if self.reserved else loss

    @torch.no_grad()
    def score(self, v: Tensor, targets: Tensor, piece_tokens: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats and whether the likeliest token is right, for each target: (n,), (n,)."""
        products, bias, known = self._products(), self.bias, None
        if self.reserved:
            known, targets = self.seen[targets], self._places[targets].clamp_min(0)
            bias = None if bias is None else bias[self._rows]
        vocab = len(self._rows) if self.reserved else len(self.weight)
        losses, correct = [], []
        for start in range(0, len(v), piece_tokens):
            wanted = targets[start : start + piece_tokens]
            scaled = (v[start : start + piece_tokens] * self.scale).to(products.dtype)
            if self.fused:
                loss, best = fused.score(scaled @ products.t(), bias, wanted, vocab)
                losses.append(loss)
                correct.append(best == wanted)
                continue
            for rows, logits in self._scratch.logits(scaled, products, bias, vocab):
                top = logits.amax(1)
                correct.append(_right(logits, wanted[rows], top))
                losses.append(_softmax_(logits, wanted[rows], top))
        loss, right = torch.cat(losses), torch.cat(correct)
        if known is None:
            return loss, right
        return torch.where(known, loss + self.above, self.each), right & known

    def _products(self) -> Tensor:
        """The weights in the products' dtype, with zero rows up to a multiple of ``ALIGN``."""
        return self._aligned(self.weight.detach()) if self._frozen is None else self._frozen

    def _aligned(self, weight: Tensor) -> Tensor:
        if self.reserved:
            weight = weight[self._rows]
        cast = weight.to(self.arithmetic.product_dtype(weight.dtype))
        padding = -len(weight) % ALIGN
        return F.pad(cast, (0, 0, 0, padding)) if padding else cast


def seen_types(train_ids: NDArray[np.int64], vocab_size: int) -> tuple[Tensor, float]:
    """``seen`` of ``Head``, from the training stream (N,)."""
    return torch.from_numpy(np.bincount(train_ids, minlength=vocab_size) > 0), new_share(train_ids)


class _Scratch:
    """Memory for a piece's logits, kept from piece to piece.

    Fresh memory of this size comes from the system page by page, which on a CPU takes as long as the softmax.

    Attributes:
        p: what became of the logits of the last piece, (n or more, V padded), in the products' dtype.
    """

    p: Tensor

    def __init__(self) -> None:
        self._exact = torch.empty(0)
        self._products = torch.empty(0)

    def logits(
        self, scaled: Tensor, products: Tensor, bias: Tensor | None, vocab: int
    ) -> Iterator[tuple[slice, Tensor]]:
        """Which rows, and their logits (n, V padded).

        They are at least in float32: a bias of some −10 nats would lose its digits in bf16. Beyond V they are −∞. What
        they have become when the next are asked for is kept in ``p``.
        """
        n, padded = len(scaled), len(products)
        rounded = products.dtype == torch.bfloat16
        dtype = torch.float32 if rounded else products.dtype
        # Beyond V the products are 0; −∞ in the bias takes them out of the softmax.
        shift = scaled.new_zeros(vocab, dtype=dtype) if bias is None else bias
        shift = F.pad(shift, (0, padded - vocab), value=-math.inf)
        size = min(n, max(1, BLOCK_LOGITS // padded)) if rounded else n
        self._exact = _room(self._exact, (size, padded), dtype, scaled.device)
        if not rounded:
            self.p = self._exact[:n]
            yield slice(0, n), torch.addmm(shift, scaled, products.t(), out=self.p)
            return
        self._products = self.p = _room(self._products, (n, padded), products.dtype, scaled.device)
        torch.mm(scaled, products.t(), out=self.p[:n])
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            block = torch.add(self.p[rows], shift, out=self._exact[: rows.stop - start])
            yield rows, block
            self.p[rows] = block


def _room(kept: Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """``kept`` if its last but one dimension is large enough and all else is as wanted, else new memory."""
    large = kept.dim() == len(shape) and kept.shape[-2] >= shape[-2] and kept.shape[-1] == shape[-1]
    return kept if large and kept.dtype == dtype else torch.empty(shape, dtype=dtype, device=device)


def _softmax_(logits: Tensor, targets: Tensor, top: Tensor) -> Tensor:
    """Turn logits (n, V), of which ``top`` (n,) are the largest, into probabilities where they lie.

    Returns:
        −ln p of the targets, (n,).
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    if logits.device.type == "cpu":
        p = torch.softmax(logits, 1, out=logits)  # a row is read to its end before it is written
    else:
        p = logits.copy_(torch.softmax(logits, 1))
    probability = p.gather(1, targets[:, None])[:, 0]
    losses = -probability.log()
    # A probability may be too small for its logarithm to be exact; that of the likeliest token never is.
    rare = (probability < torch.finfo(p.dtype).tiny * 1e6).nonzero().flatten()
    losses[rare] = top[rare] - p[rare].amax(1).log() - own[rare]
    return losses


def _right(logits: Tensor, targets: Tensor, top: Tensor) -> Tensor:
    """Whether a target's logit is the first that equals the largest of its row, ``top`` (n,): (n,)."""
    largest = logits.gather(1, targets[:, None])[:, 0] == top
    candidates = largest.nonzero().flatten()
    # argmax, which costs several times as much as the maximum, only has to tell the first from its equals.
    largest[candidates] = logits[candidates].argmax(1) == targets[candidates]
    return largest


class _CrossEntropy(torch.autograd.Function):
    """Loss and gradient in one pass, piece by piece, so that logits never outlive their piece."""

    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        weight: Tensor,
        products: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        batch: int,
        piece_tokens: int,
        scratch: _Scratch | None,
    ) -> Tensor:
        vocab = len(weight)
        dv = torch.empty_like(v)
        dweight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        dbias = torch.zeros_like(bias) if bias is not None else None
        total = v.new_zeros(())
        for start in range(0, len(v), piece_tokens):
            at = slice(start, start + piece_tokens)
            scaled = (v[at] * scale).to(products.dtype)
            wanted = targets[at]
            if scratch is None:
                p = scaled @ products.t()
                total += fused.cross_entropy_(p, bias, wanted, vocab).sum()
                if dbias is not None:
                    dbias += p[:, :vocab].sum(0, dtype=dbias.dtype)
            else:
                for rows, q in scratch.logits(scaled, products, bias, vocab):
                    total += _softmax_(q, wanted[rows], q.amax(1)).sum()
                    q.scatter_add_(1, wanted[rows, None], q.new_full((len(q), 1), -1.0))
                    if dbias is not None:
                        dbias += q[:, :vocab].sum(0)
                p = scratch.p[: len(wanted)]
            dv[at] = p @ products
            if dweight is not None:
                dweight += p[:, :vocab].t() @ scaled
        dscale = (dv * v).sum() if ctx.needs_input_grad[3] else None
        ctx.save_for_backward(
            *[None if g is None else g / batch for g in (dv * scale, dweight, dscale, dbias)]
        )
        return total / batch

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        dv, dweight, dscale, dbias = (None if g is None else g * upstream for g in ctx.saved_tensors)
        return dv, dweight, None, dscale, dbias, None, None, None, None
