"""The output head and its cross-entropy, which holds logits for a bounded piece of tokens at a time."""

from typing import Any

import torch
from torch import Tensor, nn

from cvfp_cli.core.config import HeadConfig


class Head(nn.Module):
    """logits = logit_scale · (v · weightᵀ) + bias.

    Args:
        config: which parts are tied, scaled, biased and trained.
        table: raw embedding table (V, E); shared, never written to.
        unigram: natural logarithms of the training unigram probabilities (V,), for ``bias = "unigram"``.
        generator: draws an untied head's weights.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(
        self, config: HeadConfig, table: Tensor, unigram: Tensor, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        if config.weights == "untied":
            # The usual start of a linear map, U(±1/√E): the studies do not say theirs.
            bound = table.shape[1] ** -0.5
            drawn = torch.empty(table.shape).uniform_(-bound, bound, generator=generator)
            self.weight = nn.Parameter(drawn.to(table))
        elif config.table == "trained":
            self.weight = nn.Parameter(table.clone())
        else:
            self.register_buffer("weight", table, persistent=False)
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

    def logits(self, v: Tensor) -> Tensor:
        """(n, E) -> (n, V)."""
        return _logits(v * self.scale, self.weight, self.bias)

    def loss(self, v: Tensor, targets: Tensor, batch: int, piece_tokens: int) -> Tensor:
        """Sum of the cross-entropies of a piece over ``batch``: the piece's share of the batch's mean loss.

        Args:
            v: v_L of the piece's tokens, (n, E).
            targets: the tokens to predict, (n,).
            batch: targets in the whole batch.
            piece_tokens: logits exist for at most this many tokens at a time.
        """
        loss: Tensor = _CrossEntropy.apply(
            v, self.weight, self.scale, self.bias, targets, batch, piece_tokens
        )
        return loss

    @torch.no_grad()
    def score(self, v: Tensor, targets: Tensor, piece_tokens: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats and whether the likeliest token is right, for each target: (n,), (n,)."""
        losses, correct = [], []
        for piece, wanted in zip(v.split(piece_tokens), targets.split(piece_tokens), strict=True):
            logits = self.logits(piece).float() if v.dtype != torch.float64 else self.logits(piece)
            losses.append(logits.logsumexp(1) - logits.gather(1, wanted[:, None])[:, 0])
            correct.append(logits.argmax(1) == wanted)
        return torch.cat(losses), torch.cat(correct)


def _logits(scaled: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return scaled @ weight.t() if bias is None else torch.addmm(bias, scaled, weight.t())


class _CrossEntropy(torch.autograd.Function):
    """Loss and gradient in one pass, piece by piece, so that logits never outlive their piece."""

    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        weight: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        batch: int,
        piece_tokens: int,
    ) -> Tensor:
        dv = torch.empty_like(v)
        dweight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        dbias = torch.zeros_like(bias) if bias is not None else None
        total = v.new_zeros(())
        for start in range(0, len(v), piece_tokens):
            at = slice(start, start + piece_tokens)
            scaled = v[at] * scale
            p = _logits(scaled, weight, bias)
            wanted = targets[at, None]
            total += (p.logsumexp(1) - p.gather(1, wanted)[:, 0]).sum()
            p = torch.softmax(p, 1)
            p.scatter_add_(1, wanted, p.new_full(wanted.shape, -1.0))
            dv[at] = p @ weight
            if dweight is not None:
                dweight.addmm_(p.t(), scaled)
            if dbias is not None:
                dbias += p.sum(0)
        dscale = (dv * v).sum() if ctx.needs_input_grad[2] else None
        gradients = (dv * scale, dweight, dscale, dbias)
        ctx.save_for_backward(*[None if g is None else g / batch for g in gradients])
        return total / batch

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        scaled = [None if g is None else g * upstream for g in ctx.saved_tensors]
        return (*scaled, None, None, None)
