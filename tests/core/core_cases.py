"""What the core's tests share: golden cases, random models, and the method written as plainly as possible."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from cvfp_cli.core.config import ModelConfig
from cvfp_cli.core.model import ContextBlock, Stream, TokenBlock, initialise

GOLDEN = Path(__file__).parents[1] / "golden"
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA device")
CASES = ["1L1t", "2L2t", "3L3t", "3L2t-decreasing", "4L1t-decreasing"]


@dataclass(frozen=True)
class Golden:
    """One numeric case: its tensors, its figures, and blocks that hold its weights."""

    tensors: dict[str, Tensor]
    figures: dict
    model: ModelConfig
    context_block: ContextBlock
    token_block: TokenBlock

    @property
    def table(self) -> Tensor:
        return self.tensors["embedding.weight"]

    def stream(self, name: str = "ids") -> Stream:
        return Stream(self.tensors[name], self.table, self.model.tokens)


def load_golden(name: str) -> Golden:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    figures = json.loads((GOLDEN / f"{name}.json").read_text())
    token_input = "first_layer" if figures["variant"] == "first_layer_decreasing" else "all_layers"
    model = ModelConfig(figures["layers"], figures["context_dim"], figures["tokens"], token_input)
    blocks = ContextBlock(model, figures["embed_dim"]), TokenBlock(model, figures["embed_dim"])
    for block, prefix in zip(blocks, ("context.", "token."), strict=True):
        weights = {f"layers.{key[len(prefix) :]}": v for key, v in tensors.items() if key.startswith(prefix)}
        block.load_state_dict(weights)
    return Golden(tensors, figures, model, *blocks)


def agree(got: object, wanted: object, tolerance: float = 1e-5) -> None:
    """|difference| ≤ tolerance · max(1, |value|), in every component."""
    got, wanted = torch.as_tensor(got, dtype=torch.float64), torch.as_tensor(wanted, dtype=torch.float64)
    assert got.shape == wanted.shape
    excess = (got - wanted).abs() / wanted.abs().clamp_min(1.0)
    assert float(excess.max()) <= tolerance


def random_context_block(
    model: ModelConfig, embed_dim: int, seed: int, dtype: torch.dtype = torch.float64, recurrent: float = 1.0
) -> ContextBlock:
    """A drawn ContextBlock whose weights on the context are multiplied by ``recurrent``."""
    block = ContextBlock(model, embed_dim)
    initialise(block, model, torch.Generator().manual_seed(seed))
    block.to(dtype)
    with torch.no_grad():
        for layer in block.layers:
            layer.linear.weight[:, : layer.width_in] *= recurrent
    return block


def plain_windows(ids: Tensor, table: Tensor, tokens: int) -> Tensor:
    """x_t token by token, as method.md words it."""
    embeds = F.layer_norm(table, (table.shape[1],), eps=1e-5)[ids]
    rows = []
    for t in range(len(ids)):
        window = [embeds[s] if s >= 0 else torch.zeros_like(embeds[0]) for s in range(t - tokens + 1, t + 1)]
        rows.append(torch.cat(window))
    return torch.stack(rows)


def plain_context_block(block: ContextBlock, context: Tensor, window: Tensor) -> list[Tensor]:
    """u_1 … u_L by the formula, with one product over [u, x] a layer."""
    outputs, u = [], context
    for layer in block.layers:
        read = torch.cat([u, window], 1) if layer.linear.in_features > layer.width_in else u
        z = read @ layer.linear.weight.T + layer.linear.bias
        kept = u if layer.residual is None else u @ layer.residual.weight.T + layer.residual.bias
        s = kept + layer.act(z)
        centred = s - s.mean(1, keepdim=True)
        normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        u = normed * layer.norm.weight + layer.norm.bias
        outputs.append(u)
    return outputs


def plain_recurrence(block: ContextBlock, ids: Tensor, table: Tensor, tokens: int) -> Tensor:
    """c_0 … c_{N−1}, one token after another."""
    windows = plain_windows(ids, table, tokens)
    context, rows = table.new_zeros(1, block.width), []
    with torch.no_grad():
        for t in range(len(ids)):
            context = plain_context_block(block, context, windows[t : t + 1])[-1]
            rows.append(context[0])
    return torch.stack(rows)
