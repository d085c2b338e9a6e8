"""A network over a token stream: table, body, head. The body is torch's recurrent modules, or what a learner brings."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_cli.core.baselines.config import SequenceConfig
from cvfp_cli.core.config import HeadConfig
from cvfp_cli.core.head import Head
from cvfp_cli.core.precision import Arithmetic


class Body(Protocol):
    """What turns the embeddings of a window into its outputs; an ``nn.Module``.

    Attributes:
        carries: whether its state goes on from window to window.
    """

    carries: bool

    def __call__(self, embedded: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Outputs (pieces, T, width) of embeddings (pieces, T, E), and the state after them.

        Args:
            state: what the window before left; None at the start.
        """


BodyMaker = Callable[[SequenceConfig, int], nn.Module]


class Recurrent(nn.Module):
    """Torch's GRU or LSTM, with dropout between its layers."""

    carries = True

    def __init__(
        self, cells: Callable[..., nn.GRU | nn.LSTM], config: SequenceConfig, embed_dim: int
    ) -> None:
        super().__init__()
        between = config.dropout if config.layers > 1 else 0.0
        self.cells = cells(embed_dim, config.width, config.layers, batch_first=True, dropout=between)

    def forward(self, embedded: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As ``Body``; the state is cut from the gradients of the windows before."""
        outputs, after = self.cells(embedded, state)
        cut = after.detach() if isinstance(after, Tensor) else tuple(part.detach() for part in after)
        return outputs, cut


class Network(nn.Module):
    """Token ids to the vectors that a head compares with its rows.

    A tied table that learns is one matrix, the head's. The embeddings are normalised, since tables come in all scales.

    Args:
        table: the raw embedding table (V, E), never written to.
        unigram: ln of the training unigram probabilities, (V,).
        seen: as ``Head`` takes it.
    """

    def __init__(
        self,
        config: SequenceConfig,
        make_body: BodyMaker,
        table: Tensor,
        unigram: Tensor,
        arithmetic: Arithmetic,
        seen: tuple[Tensor, float] | None = None,
    ) -> None:
        super().__init__()
        embed_dim = table.shape[1]
        self.arithmetic = arithmetic
        self.dropout = config.dropout
        self.norm = nn.LayerNorm(embed_dim)
        self.body = make_body(config, embed_dim)
        self.out = nn.Identity() if config.width == embed_dim else nn.Linear(config.width, embed_dim)
        self.to(table.device)
        tied = config.head == "tied"
        head = HeadConfig(
            weights=config.head,
            table=config.table if tied else "frozen",
            bias=config.bias,
            unseen=config.unseen,
            logit_scale=config.logit_scale,
            learn_logit_scale=True,
        )
        self.head = Head(head, table, unigram, torch.Generator(), arithmetic, seen=seen)
        if not tied and config.table == "trained":
            self.table = nn.Parameter(table.clone())
        elif not tied:
            self.register_buffer("table", table, persistent=False)
        self.tied = tied

    @property
    def carries(self) -> bool:
        """Whether its state goes on from window to window."""
        return bool(self.body.carries)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """v of every token of a window, (pieces, T, E), and the state after it; ids (pieces, T)."""
        rows = F.embedding(ids, self.head.weight if self.tied else self.table)
        with self.arithmetic.products():
            embedded = F.dropout(self.norm(rows), self.dropout, self.training)
            outputs, after = self.body(embedded, state)
            v = self.out(F.dropout(outputs, self.dropout, self.training))
        return v, after
