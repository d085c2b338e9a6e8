"""Steps of the recurrence c_t = ContextBlock(c_{t-1}, x_t): many rows side by side, a few tokens at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_cli.core.graphs import Graph
from cvfp_cli.core.model import Recurrent, Stream

# Steps that are taken together, fewer where they would take the token parts of more tokens than the second number.
TOGETHER = 8
GATHER_TOKENS = 16384


class Steps:
    """Advances rows of contexts over a stream.

    On NVIDIA devices ``TOGETHER`` steps are one CUDA graph: a step is a dozen small kernels a layer, and the host
    would set the pace. Where there are so many rows that the device does, there is none.

    Args:
        rows: the most rows that will advance side by side.

    Attributes:
        taken: steps so far. applied: block applications, counted over the rows of each step.
    """

    def __init__(self, block: Recurrent, stream: Stream, rows: int) -> None:
        self._block = block
        self._stream = stream
        self._tables = block.token_tables(stream.types)
        self._rows = rows
        self._together = max(1, min(TOGETHER, GATHER_TOKENS // rows))
        self._graphed = self._tables[0].device.type == "cuda" and self._together == TOGETHER
        self._graph: Graph | None = None
        self.taken = 0
        self.applied = 0

    def advance(self, state: Tensor, at: Tensor, count: int) -> Iterator[tuple[slice, Tensor]]:
        """Take ``count`` steps with rows of contexts (n, D) that stand before tokens ``at``, (n,).

        Yields:
            which steps, as a slice of 0 … count, and the contexts after each of them, (steps, n, D); these are
            written over when the next are asked for.
        """
        for start in range(0, count, self._together):
            stop = min(start + self._together, count)
            states = self._take(state, at + start, stop - start)
            state = states[-1]
            self.taken += stop - start
            self.applied += (stop - start) * len(at)
            yield slice(start, stop), states

    def _take(self, state: Tensor, at: Tensor, count: int) -> Tensor:
        if not self._graphed:
            return self._compute(state, at, count)
        # A graph has one shape: missing rows are filled up, and missing steps taken all the same.
        n = len(at)
        state, at = F.pad(state, (0, 0, 0, self._rows - n)), F.pad(at, (0, self._rows - n))
        if self.taken == 0:  # what has not run yet cannot be captured
            return self._compute(state, at)[:count, :n]
        if self._graph is None:
            self._graph = Graph(self._compute, state, at)
        states: Tensor = self._graph(state, at)[:count, :n]
        return states

    def _compute(self, state: Tensor, at: Tensor, count: int = TOGETHER) -> Tensor:
        """The contexts after each of ``count`` steps, (count, n, D); a position beyond the stream counts as its end."""
        positions = (at + torch.arange(count, device=at.device)[:, None]).clamp_(0, len(self._stream) - 1)
        parts = self._block.token_parts(self._tables, self._stream.window_types(positions.flatten()))
        states = []
        for of_step in zip(*(part.split(len(at)) for part in parts), strict=True):
            state = self._block.forward(state, list(of_step))[-1]
            states.append(state)
        return torch.stack(states)
