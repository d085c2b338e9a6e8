"""The output head and its cross-entropy, which holds logits for a bounded piece of tokens at a time."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_cli.core import kernels
from cvfp_cli.core.config import HeadConfig
from cvfp_cli.core.kernels import head as fused
from cvfp_cli.core.precision import Arithmetic

# Rows of the head's products are padded to a multiple of this: GPT-2's 50257 logits a row would leave every row
# but the first unaligned, which costs a GPU's matrix units most of their speed and a CPU a third.
ALIGN = 128


class Head(nn.Module):
    """logits = logit_scale · (v · weightᵀ) + bias.

    Args:
        config: which parts are tied, scaled, biased and trained.
        table: raw embedding table (V, E); shared, never written to.
        unigram: natural logarithms of the training unigram probabilities (V,), for ``bias = "unigram"``.
        generator: draws an untied head's weights.
        arithmetic: precision of the products with the table.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(
        self,
        config: HeadConfig,
        table: Tensor,
        unigram: Tensor,
        generator: torch.Generator,
        arithmetic: Arithmetic,
    ) -> None:
        super().__init__()
        self.arithmetic = arithmetic
        self.fused = kernels.usable(table.device)
        self._frozen: Tensor | None = None
        self._scratch = _Scratch()
        if config.weights == "untied":
            # The usual start of a linear map, U(±1/√E): the studies do not say theirs.
            bound = table.shape[1] ** -0.5
            drawn = torch.empty(table.shape).uniform_(-bound, bound, generator=generator)
            self.weight = nn.Parameter(drawn.to(table))
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
        products = self._products()
        loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
            v.to(self.scale.dtype),
            self.weight,
            products,
            self.scale,
            self.bias,
            targets,
            batch,
            piece_tokens,
            None if self.fused else self._scratch,
        )
        return loss

    @torch.no_grad()
    def score(self, v: Tensor, targets: Tensor, piece_tokens: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats and whether the likeliest token is right, for each target: (n,), (n,)."""
        products = self._products()
        losses, correct = [], []
        for start in range(0, len(v), piece_tokens):
            wanted = targets[start : start + piece_tokens]
            scaled = (v[start : start + piece_tokens] * self.scale).to(products.dtype)
            if self.fused:
                loss, best = fused.score(scaled @ products.t(), self.bias, wanted, len(self.weight))
            else:
                logits, p = self._scratch.softmax(scaled, products, self.bias, len(self.weight))
                loss = _losses(logits, p, wanted)
                best = logits.argmax(1)
            losses.append(loss)
            correct.append(best == wanted)
        return torch.cat(losses), torch.cat(correct)

    def _products(self) -> Tensor:
        """The weights in the products' dtype, with zero rows up to a multiple of ``ALIGN``."""
        return self._aligned(self.weight.detach()) if self._frozen is None else self._frozen

    def _aligned(self, weight: Tensor) -> Tensor:
        cast = weight.to(self.arithmetic.product_dtype(weight.dtype))
        padding = -len(weight) % ALIGN
        return F.pad(cast, (0, 0, 0, padding)) if padding else cast


class _Scratch:
    """Memory for a piece's logits and probabilities, kept from piece to piece.

    Fresh memory of this size comes from the system page by page, which on a CPU takes as long as the softmax.
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None

    def softmax(
        self, scaled: Tensor, products: Tensor, bias: Tensor | None, vocab: int
    ) -> tuple[Tensor, Tensor]:
        """Logits (n, V) and their probabilities (n, V padded), at least in float32: a bias of some −10 nats would
        lose its digits in bf16. Both are overwritten by the next call; beyond V the probabilities are 0."""
        rows, padded = len(scaled), len(products)
        dtype = torch.float32 if scaled.dtype == torch.bfloat16 else scaled.dtype
        if self._kept is None or self._kept.shape[1] < rows or self._kept.dtype != dtype:
            self._kept = torch.empty(2, rows, padded, dtype=dtype, device=scaled.device)
        product, p = self._kept[0, :rows], self._kept[1, :rows]
        # Beyond V the products are 0; −inf in the bias takes them out of the softmax.
        shift = scaled.new_zeros(vocab, dtype=dtype) if bias is None else bias
        shift = F.pad(shift, (0, padded - vocab), value=-math.inf)
        if scaled.dtype == dtype:
            torch.addmm(shift, scaled, products.t(), out=product)
        else:
            torch.add(scaled @ products.t(), shift, out=product)
        torch.softmax(product, 1, out=p)
        return product[:, :vocab], p


def _losses(logits: Tensor, p: Tensor, targets: Tensor) -> Tensor:
    """−ln p of the targets, (n,); from the logits where a probability is too small for its logarithm to be exact."""
    probability = p.gather(1, targets[:, None])[:, 0]
    losses = -probability.log()
    rare = (probability < torch.finfo(p.dtype).tiny * 1e6).nonzero().flatten()
    if len(rare):
        exact = torch.log_softmax(logits[rare], 1, dtype=p.dtype)
        losses[rare] = -exact.gather(1, targets[rare, None])[:, 0]
    return losses


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
            else:
                logits, p = scratch.softmax(scaled, products, bias, vocab)
                total += _losses(logits, p, wanted).sum()
                p.scatter_add_(1, wanted[:, None], p.new_full((len(wanted), 1), -1.0))
                p = p.to(products.dtype)
            dv[at] = p @ products
            if dweight is not None:
                dweight += p[:, :vocab].t() @ scaled
            if dbias is not None and bias is not None:
                dbias += p[:, :vocab].sum(0, dtype=bias.dtype)
        dscale = (dv * v).sum() if ctx.needs_input_grad[3] else None
        ctx.save_for_backward(
            *[None if g is None else g / batch for g in (dv * scale, dweight, dscale, dbias)]
        )
        return total / batch

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        dv, dweight, dscale, dbias = (None if g is None else g * upstream for g in ctx.saved_tensors)
        return dv, dweight, None, dscale, dbias, None, None, None, None
