"""The CVFP model on one page: ContextBlock, TokenBlock and the stream they read (method.md, "The model").

Shapes in comments: N tokens of a stream, n tokens of a piece, K tokens a window, E embedding width,
D context width, d the width of one layer, U token types that a stream uses.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_cli.core import kernels
from cvfp_cli.core.config import ModelConfig, Phase2Config
from cvfp_cli.core.kernels.layer import Gather, Runs, add_norm
from cvfp_cli.core.shapes import block_inputs, context_widths, read_widths, reads_tokens, token_widths

EPS = 1e-5
Activate = Callable[[Tensor], Tensor]
# What the windows add to a layer's product: summed rows of its token table (n, d), or the rows to gather.
TokenPart = Tensor | Gather
ACTIVATIONS: dict[str, Activate] = {"relu": F.relu, "gelu": F.gelu}


def normalise(table: Tensor) -> Tensor:
    """``embed_norm``: LayerNorm with weight 1 and bias 0, never trained. (V, E) -> (V, E)."""
    return F.layer_norm(table, table.shape[-1:], eps=EPS)


class Stream:
    """A token stream as the model reads it: windows of normalised embeddings, never stored whole.

    Attributes:
        ids: token ids, shape (N,).
        used: the ids of the token types that occur, (U,).
        types: normalised embeddings of the U token types that occur and, last, a zero row that stands
            for everything before the stream's start; shape (U + 1, E).
    """

    def __init__(self, ids: Tensor, table: Tensor, tokens: int) -> None:
        used, compact = torch.unique(ids, return_inverse=True)
        zero = table.new_zeros(1, table.shape[1])
        self.ids = ids
        self.used = used
        self.types = torch.cat([normalise(table[used]), zero])
        before = compact.new_full((tokens - 1,), len(used))
        self._windows = torch.cat([before, compact]).unfold(0, tokens, 1)  # (N, K), a view

    def __len__(self) -> int:
        return len(self.ids)

    def window_types(self, at: slice | Tensor) -> Tensor:
        """Rows of ``types`` that make up the windows at these positions, oldest first: (n, K)."""
        return self._windows[at]

    def embed(self, window_types: Tensor, table: Tensor | None = None) -> Tensor:
        """x_t of windows of types (n, K): (n, K·E), by one gather.

        Args:
            table: another raw table (V, E) than the stream's own, such as one that is trained.
        """
        if table is None:
            return F.embedding(window_types, self.types).flatten(1)
        last = len(self.used) - 1
        if table.is_cuda:  # no size depends on what occurs, so that a step can be captured in a graph
            rows = normalise(F.embedding(self.used[window_types.clamp_max(last)], table))
            return (rows * (window_types <= last)[..., None]).flatten(1)
        # Of the rows that occur alone: the table may have far more than a piece has tokens.
        present, places = torch.unique(window_types, return_inverse=True)
        rows = normalise(table[self.used[present.clamp_max(last)]])
        return F.embedding(places, rows * (present <= last)[:, None]).flatten(1)

    def windows(self, at: slice | Tensor) -> Tensor:
        """x_t at these positions: (n, K·E)."""
        return self.embed(self._windows[at])


class Linear(nn.Linear):
    """A linear map with bias, not yet drawn: ``initialise`` does that."""

    def reset_parameters(self) -> None:
        """Draw nothing: what torch would draw is thrown away, and 25 million weights take a quarter of a second."""


class ContextLayer(nn.Module):
    """u_i = LayerNorm(residual(u_{i-1}) + act(W·[u_{i-1}, x_t] + b))."""

    def __init__(self, width_in: int, width_out: int, window: int, activation: str) -> None:
        super().__init__()
        self.linear = Linear(width_in + window, width_out)
        self.norm = nn.LayerNorm(width_out, eps=EPS)
        self.residual = Linear(width_in, width_out) if width_in != width_out else None
        self.width_in = width_in
        self.reads_tokens = window > 0
        self.act = ACTIVATIONS[activation]

    def token_table(self, types: Tensor, tokens: int) -> Tensor:
        """What each token type adds to the linear map at each place of the window: (K, U + 1, d).

        The map is linear in the window, so W·x_t is a sum of K rows of this table: a product with every
        token of a stream becomes one with every token *type*. The bias rides on the newest place, which is
        never before the stream's start.
        """
        weight = self.linear.weight[:, self.width_in :]  # (d, K·E)
        by_place = weight.view(len(weight), tokens, -1).permute(1, 2, 0)  # (K, E, d)
        table = types @ by_place
        bias = F.pad(self.linear.bias.expand(1, 1, -1), (0, 0, 0, 0, tokens - 1, 0))
        return table + bias.to(table.dtype)

    def forward(self, u: Tensor, token_part: TokenPart | None, window: Tensor | None) -> Tensor:
        """(n, width_in) and, if this layer reads tokens, their part (n, d) or windows (n, K·E) -> (n, d)."""
        gather = None
        if isinstance(token_part, Gather):
            gather = token_part
            z = F.linear(u, self.linear.weight[:, : self.width_in])
        elif token_part is not None:
            z = torch.addmm(token_part, u, self.linear.weight[:, : self.width_in].t())
        else:
            z = self.linear(u if window is None else torch.cat([u, window], dim=1))
        kept = u if self.residual is None else self.residual(u)
        return _add_norm(kept, z, self.act, self.norm, gather)


class ContextBlock(nn.Module):
    """L context layers; c_t = u_L.

    Args:
        width_in: the width of the context that it reads, where that is another block's; by default its own.
    """

    def __init__(self, config: ModelConfig, embed_dim: int, width_in: int | None = None) -> None:
        super().__init__()
        widths = context_widths(config, embed_dim)
        widths[0] = widths[0] if width_in is None else width_in
        window = config.tokens * embed_dim
        self.tokens = config.tokens
        self.width = config.context_dim
        self.depth = config.layers
        self.layers = nn.ModuleList(
            ContextLayer(
                widths[i], widths[i + 1], window if reads_tokens(config, i) else 0, config.activation
            )
            for i in range(config.layers)
        )

    def gathers(self, like: Tensor) -> bool:
        """Whether rows of token tables are gathered inside a kernel, for tensors such as this one."""
        return _fused(self._layers()[0].act, like)

    def token_tables(self, types: Tensor) -> list[Tensor]:
        """One ``ContextLayer.token_table`` for each layer that reads tokens (a prefix of the layers)."""
        return [layer.token_table(types, self.tokens) for layer in self._layers() if layer.reads_tokens]

    def _layers(self) -> list[ContextLayer]:
        return [cast(ContextLayer, layer) for layer in self.layers]

    def token_parts(
        self, tables: list[Tensor], window_types: Tensor, runs: tuple[Runs, ...] = ()
    ) -> list[TokenPart]:
        """The K table rows of each window, for each reading layer: window_types (n, K) -> (n, d) when summed.

        Args:
            runs: on devices whose kernels gather rows themselves, the tokens by type at each place; with them the
                backward pass adds the tables' gradients to their ``grad``.
        """
        if self.gathers(tables[0]):
            return [Gather(table, window_types, table.grad if runs else None, runs) for table in tables]
        parts: list[TokenPart] = []
        for table in tables:
            part = F.embedding(window_types[:, 0], table[0])
            for place in range(1, table.shape[0]):
                part = part + F.embedding(window_types[:, place], table[place])
            parts.append(part)
        return parts

    def window_parts(self, windows: Tensor) -> list[TokenPart]:
        """``token_parts`` from the windows (n, K·E) themselves, through which gradients flow."""
        return [
            F.linear(windows, layer.linear.weight[:, layer.width_in :], layer.linear.bias)
            for layer in self._layers()
            if layer.reads_tokens
        ]

    def forward(self, context: Tensor, tokens: list[TokenPart] | Tensor) -> list[Tensor]:
        """c_{t-1} (n, D) and the windows x_t (n, K·E), or their token parts -> [u_1, …, u_L]; u_L is c_t (n, D)."""
        outputs = []
        u = context
        for i, layer in enumerate(self._layers()):
            if isinstance(tokens, Tensor):
                u = layer.forward(u, None, tokens if layer.reads_tokens else None)
            else:
                u = layer.forward(u, tokens[i] if layer.reads_tokens else None, None)
            outputs.append(u)
        return outputs


class SideBySide(nn.Module):
    """Several ContextBlocks of one layer as one block: its context C_t = [c¹_t, …, cᴮ_t] has width D_1 + … + D_B.

    It has all of a ContextBlock that a recurrence needs, so one pass over the stream moves every block. In a cascade
    block b > 1 reads c^{b−1}_{t−1} in place of its own context.
    """

    def __init__(self, config: ModelConfig, embed_dim: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.width = config.context_dim
        self.depth = 1
        self.widths = list(config.widths)
        self.cascade = config.cascade
        self.blocks = nn.ModuleList(
            ContextBlock(replace(config, blocks=(), context_dim=width), embed_dim, given)
            for given, width in zip(block_inputs(config), config.widths, strict=True)
        )

    def each(self) -> list[ContextBlock]:
        """The blocks, in order."""
        return [cast(ContextBlock, block) for block in self.blocks]

    def gathers(self, like: Tensor) -> bool:
        """``ContextBlock.gathers``."""
        return self.each()[0].gathers(like)

    def token_tables(self, types: Tensor) -> list[Tensor]:
        """The token table of each block's layer."""
        return [table for block in self.each() for table in block.token_tables(types)]

    def token_parts(
        self, tables: list[Tensor], window_types: Tensor, runs: tuple[Runs, ...] = ()
    ) -> list[TokenPart]:
        """``ContextBlock.token_parts`` of each block's table."""
        return self.each()[0].token_parts(tables, window_types, runs)

    def window_parts(self, windows: Tensor) -> list[TokenPart]:
        """``ContextBlock.window_parts`` of each block."""
        return [part for block in self.each() for part in block.window_parts(windows)]

    def forward(self, context: Tensor, tokens: list[TokenPart] | Tensor) -> list[Tensor]:
        """C_{t-1} (n, D) and the windows x_t (n, K·E), or the blocks' token parts -> [C_t], of (n, D)."""
        given = list(torch.split(context, self.widths, dim=1))
        if self.cascade:
            given = given[:1] + given[:-1]
        outputs = [
            block.forward(own, tokens if isinstance(tokens, Tensor) else [tokens[b]])[-1]
            for b, (block, own) in enumerate(zip(self.each(), given, strict=True))
        ]
        return [torch.cat(outputs, dim=1)]


# What a recurrence runs.
Recurrent = ContextBlock | SideBySide


def context_model(config: ModelConfig, embed_dim: int) -> Recurrent:
    """The ContextBlock of a configuration, or its several ones side by side; not yet drawn."""
    return SideBySide(config, embed_dim) if config.blocks else ContextBlock(config, embed_dim)


class TokenLayer(nn.Module):
    """v_i = LayerNorm(residual(v_{i-1}) + act(W·[u_i, v_{i-1}] + b)).

    With ``last_token`` the residual is the newest token's embedding instead (layer 1 of 2025-11-28-v1).
    """

    def __init__(
        self, context: int, width_in: int, width_out: int, activation: str, last_token: bool
    ) -> None:
        super().__init__()
        self.linear = Linear(context + width_in, width_out)
        self.norm = nn.LayerNorm(width_out, eps=EPS)
        learned = width_in != width_out and not last_token
        self.residual = Linear(width_in, width_out) if learned else None
        self.act = ACTIVATIONS[activation]
        self.last_token = last_token

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """(n, context) and (n, width_in) -> (n, width_out)."""
        z = self.linear(torch.cat([u.to(v.dtype), v], dim=1))
        kept = v
        if self.last_token:
            kept = v[:, -z.shape[1] :]
        elif self.residual is not None:
            kept = self.residual(v)
        return _add_norm(kept, z, self.act, self.norm)


# What dropout does to rows, which it is told the name of.
Drop = Callable[[Tensor, str], Tensor]


def _keep(rows: Tensor, part: str) -> Tensor:
    return rows


class TokenBlock(nn.Module):
    """L token layers; v_L, of width E, goes to the head."""

    def __init__(
        self,
        config: ModelConfig,
        embed_dim: int,
        phase2: Phase2Config = Phase2Config(),  # noqa: B008  frozen
    ) -> None:
        super().__init__()
        read = read_widths(config, phase2, embed_dim)
        v = token_widths(config, embed_dim)
        early = config.token_block == "early"
        self.layers = nn.ModuleList(
            TokenLayer(read[i], v[i], v[i + 1], config.activation, last_token=early and i == 0)
            for i in range(config.layers)
        )

    def forward(self, contexts: list[Tensor], window: Tensor, drop: Drop = _keep) -> Tensor:
        """[u_1, …, u_L], or what stands for them, and x_t (n, K·E) -> v_L (n, E).

        Args:
            drop: dropout, told of what: ``input``, ``context-0`` ….
        """
        v = drop(window, "input")
        for i, (layer, u) in enumerate(zip(self.layers, contexts, strict=True)):
            v = layer(drop(u, f"context-{i}"), v)
        return v


class TokenMlp(nn.Module):
    """v = LayerNorm(e_t + W₂·GELU(W₁·[LayerNorm(c), x_t] + b₁) + b₂): one hidden layer over context and window.

    c is what the TokenBlock's only layer reads of contexts, e_t the newest embedding of the window.
    """

    def __init__(self, config: ModelConfig, embed_dim: int, phase2: Phase2Config) -> None:
        super().__init__()
        (read,) = read_widths(config, phase2, embed_dim)
        self.context_norm = nn.LayerNorm(read, eps=EPS)
        self.hidden = Linear(read + config.tokens * embed_dim, config.token_hidden)
        self.out = Linear(config.token_hidden, embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=EPS)

    def forward(self, contexts: list[Tensor], window: Tensor, drop: Drop = _keep) -> Tensor:
        """As ``TokenBlock.forward``; e_t stands beside the hidden layer, so nothing of it is left out."""
        (c,) = contexts
        read = drop(self.context_norm(c.to(window.dtype)), "context-0")
        hidden = F.gelu(self.hidden(torch.cat([read, drop(window, "input")], dim=1)))
        z = self.out(drop(hidden, "hidden"))
        out: Tensor = self.norm(window[:, -z.shape[1] :] + z)
        return out


def token_model(
    config: ModelConfig,
    embed_dim: int,
    phase2: Phase2Config = Phase2Config(),  # noqa: B008  frozen
) -> TokenBlock | TokenMlp:
    """The TokenBlock of a configuration, not yet drawn."""
    form = TokenMlp if config.token_block == "mlp" else TokenBlock
    return form(config, embed_dim, phase2)


def _fused(act: Activate, like: Tensor) -> bool:
    """Whether a kernel does what follows a layer's product."""
    return act is F.relu and like.dtype != torch.float64 and kernels.usable(like.device)


def _add_norm(
    kept: Tensor, z: Tensor, act: Activate, norm: nn.LayerNorm, gather: Gather | None = None
) -> Tensor:
    """What every layer ends in: LayerNorm(kept + act(z)), z with the gathered rows where there are any."""
    if _fused(act, z):
        return add_norm(kept, z, norm.weight, norm.bias, EPS, gather)
    out: Tensor = norm(kept + act(z))
    return out


def initialise(block: nn.Module, config: ModelConfig, generator: torch.Generator) -> None:
    """Draw every linear map of a block, residual maps included, in the order they stand in.

    ``normal``: weights N(0, 0.1²), biases N(0, 0.01²). ``xavier``: Xavier-uniform weights, zero biases
    (2025-12-03). A TokenMlp's weights are uniform within 1/√(inputs) and its biases zero whatever ``initialisation``
    says, or its output would drown e_t. LayerNorms keep weight 1 and bias 0. Drawn on the CPU, so that every device starts alike.
    """
    for module in block.modules():
        if not isinstance(module, nn.Linear):
            continue
        weight = torch.empty(module.weight.shape)
        bias = torch.zeros(module.bias.shape)
        if isinstance(block, TokenMlp):
            bound = weight.shape[1] ** -0.5
            weight.uniform_(-bound, bound, generator=generator)
        elif config.initialisation == "normal":
            weight.normal_(0.0, 0.1, generator=generator)
            bias.normal_(0.0, 0.01, generator=generator)
        else:
            nn.init.xavier_uniform_(weight, generator=generator)
        with torch.no_grad():
            module.weight.copy_(weight)
            module.bias.copy_(bias)
