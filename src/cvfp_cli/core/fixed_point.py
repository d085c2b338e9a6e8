"""Phase 1: fixed-point training of the ContextBlock (method.md, "Phase 1").

All batches of an iteration run in as few pieces as memory allows. The loss of each batch needs only the mean and
the spread of its own outputs, so its gradient with respect to the outputs is written down here and sent backwards
in one go, instead of being traced through every reduction.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cvfp_cli.core.config import Phase1Config
from cvfp_cli.core.draws import normal_rows
from cvfp_cli.core.model import ContextBlock, Stream
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.result import Advance, Iteration, Progress


@dataclass
class FixedPoint:
    """Phase 1 under way or done.

    Attributes:
        contexts: shape (N + 1, D); row t + 1 is the context after token t, row 0 stands for the one before
            token 0.
        log: one entry an iteration, the untrained first one included.
        slow: iterations in a row whose rate improved by less than ``min_improvement``.
        converged: whether the last rate reached ``converged_ratio`` when the rule could stop.
        finished: whether phase 1 is over.
    """

    contexts: Tensor
    log: list[Iteration] = field(default_factory=list)
    slow: int = 0
    converged: bool = False
    finished: bool = False

    @property
    def iterations(self) -> int:
        """P1 iter: the number of the last iteration."""
        return len(self.log)

    @property
    def rate(self) -> float | None:
        """Share of tokens that had converged in the last iteration; None before any was trained."""
        return self.log[-1].rate


@dataclass(frozen=True)
class _Moments:
    """What a unit's loss knows of its outputs: mean (…, 1, D), spread ‖y − mean‖_F (…, 1, 1), MSE (…)."""

    mean: Tensor
    spread: Tensor
    mse: Tensor


class FixedPointTrainer:
    """Trains a ContextBlock on a stream, an iteration at a time."""

    def __init__(
        self,
        block: ContextBlock,
        stream: Stream,
        config: Phase1Config,
        seed: int,
        *,
        piece_tokens: int,
        arithmetic: Arithmetic,
        state_dtype: torch.dtype | None = None,
    ) -> None:
        self.block = block
        self.stream = stream
        self.config = config
        self.seed = seed
        self.piece_tokens = piece_tokens
        self.arithmetic = arithmetic
        self.state_dtype = state_dtype or stream.types.dtype
        self.optimiser = torch.optim.Adam(block.parameters(), lr=config.learning_rate, fused=True)

    def start(self) -> FixedPoint:
        """Iteration 1: contexts without training."""
        began = time.perf_counter()
        width = self.block.width
        contexts = torch.zeros(
            len(self.stream) + 1, width, dtype=self.state_dtype, device=self.stream.types.device
        )
        if self.config.start == "sequential":
            contexts[1:], _ = true_contexts(self.block, self.stream)
        else:
            for low, high in _ranges(0, len(self.stream), self.piece_tokens):
                rows = torch.empty(high - low, width, dtype=self.stream.types.dtype, device=contexts.device)
                contexts[low + 1 : high + 1] = normal_rows((self.seed, "initial"), low, high, rows, 0.01)
        state = FixedPoint(contexts)
        state.log.append(Iteration(1, None, None, None, None, time.perf_counter() - began))
        state.finished = self.config.max_iterations == 1
        return state

    def iterate(self, state: FixedPoint, progress: Progress) -> None:
        """Iteration k ≥ 2: new contexts from the old ones, in place, then one optimiser step."""
        began = time.perf_counter()
        number = state.iterations + 1
        tokens = len(self.stream)
        tables = self._tables()
        leaves = [table.detach().requires_grad_() for table in tables]
        units = self._units()
        batches = sum(count for _, _, count in units)
        state.contexts[0] = state.contexts[tokens]  # the stream wraps around
        totals = torch.zeros(
            3, dtype=torch.float64, device="cpu" if _no_float64(state.contexts) else state.contexts.device
        )
        before = state.contexts[0].clone()
        self.optimiser.zero_grad(set_to_none=True)
        for low, high, count in units:
            known = None
            if high - low > self.piece_tokens and count == 1:
                known = self._moments_in_pieces(state, leaves, before, number, low, high)
            for start, stop in [(low, high)] if known is None else _ranges(low, high, self.piece_tokens):
                previous = state.contexts[start + 1 : stop + 1].to(self.stream.types.dtype)
                y = self._outputs(state, leaves, before, number, start, stop)
                figures = self._backward(y, previous, count, known, high - low, batches)
                totals += figures.to(totals)
                before = state.contexts[stop].clone()
                state.contexts[start + 1 : stop + 1] = y.detach()
                progress(Advance("phase1", number, self.config.max_iterations, stop - start, tokens))
            if known is not None:
                totals += self._unit_losses(known, high - low).to(totals)
        if tables:
            with self.arithmetic.products():
                torch.autograd.backward(tables, [leaf.grad for leaf in leaves])
        nn.utils.clip_grad_norm_(self.block.parameters(), self.config.grad_clip)
        self.optimiser.step()
        mse, diversity, rate = (totals / tokens).tolist()
        w = self.config.diversity_weight
        entry = Iteration(
            number, (1 - w) * mse + w * diversity, mse, diversity, rate, time.perf_counter() - began
        )
        self._judge(state, entry)
        state.log.append(entry)
        progress(entry)

    def snapshot(self, state: FixedPoint) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "block": self.block.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "contexts": state.contexts,
            "log": [vars(entry) for entry in state.log],
            "slow": state.slow,
            "converged": state.converged,
            "finished": state.finished,
        }

    def restore(self, saved: dict[str, Any]) -> FixedPoint:
        """The inverse of ``snapshot``."""
        self.block.load_state_dict(saved["block"])
        self.optimiser.load_state_dict(saved["optimiser"])
        contexts = saved["contexts"].to(self.stream.types.device)
        log = [Iteration(**entry) for entry in saved["log"]]
        return FixedPoint(contexts, log, saved["slow"], saved["converged"], saved["finished"])

    def _units(self) -> list[tuple[int, int, int]]:
        """(first token, end, number of batches) of what runs together.

        Whole batches go together as far as a piece holds them; the last, shorter one stands alone, and so does a
        batch, or a stream, that is larger than a piece.
        """
        tokens = len(self.stream)
        batch = tokens if self.config.loss_over == "stream" else min(self.config.batch_tokens, tokens)
        together = max(1, self.piece_tokens // batch)
        full = tokens // batch
        units = [
            (first * batch, min(first + together, full) * batch, min(together, full - first))
            for first in range(0, full, together)
        ]
        if full * batch < tokens:
            units.append((full * batch, tokens, 1))
        return units

    def _tables(self) -> list[Tensor]:
        """The block's token tables, where they have fewer rows than the stream has tokens; else none."""
        rows = len(self.stream.types) * self.block.tokens
        if rows >= len(self.stream):
            return []
        with self.arithmetic.products():
            return self.block.token_tables(self.stream.types)

    def _outputs(
        self, state: FixedPoint, leaves: list[Tensor], before: Tensor, number: int, start: int, stop: int
    ) -> Tensor:
        """y of tokens ``start`` … ``stop`` − 1, (n, D). ``before`` is the previous context of token start − 1,
        whose row has already been overwritten."""
        shape = (stop - start, state.contexts.shape[1])
        given = torch.empty(shape, dtype=self.stream.types.dtype, device=state.contexts.device)
        if self.config.noise:
            normal_rows((self.seed, "noise", number), start, stop, given, self.config.noise)
            given[1:] += state.contexts[start + 1 : stop]
            given[0] += before
        else:
            given[1:] = state.contexts[start + 1 : stop]
            given[0] = before
        with self.arithmetic.products():
            at = slice(start, stop)
            if not leaves:
                return self.block.forward(given, self.stream.windows(at))[-1]
            return self.block.forward(given, self.block.token_parts(leaves, self.stream.window_types(at)))[-1]

    def _backward(
        self, y: Tensor, previous: Tensor, count: int, known: _Moments | None, unit: int, batches: int
    ) -> Tensor:
        """Send the gradient of the piece's losses backwards; return token-weighted sums of MSE, diversity, rate.

        With ``known`` moments of a larger unit the first two are left to the caller.
        """
        out = y.detach()
        n, width = unit // count, out.shape[1]
        w = self.config.diversity_weight
        change = out - previous
        per_token = torch.linalg.vector_norm(change, dim=1).square() / width
        converged = (per_token < self.config.convergence_mse).sum()
        grouped = out.view(count, -1, width)
        if known is None:
            mean = grouped.mean(1, keepdim=True)
            centred = grouped - mean
            spread = torch.linalg.vector_norm(centred, dim=(1, 2), keepdim=True)
            moments = _Moments(mean, spread, per_token.view(count, n).mean(1))
        else:
            centred, moments = grouped - known.mean, known
        # d(−spread/n)/dy = −(y − mean) / (n · spread), and 0 where all outputs are equal.
        pull = torch.where(moments.spread > 0, w / (n * moments.spread), 0.0)
        gradient = change.mul_(2 * (1 - w) / (n * width)).view(grouped.shape).addcmul_(centred, -pull)
        if self.config.diversity == "oacd":
            gradient += (0.2 * w / n) * moments.mean
        with self.arithmetic.products():
            torch.autograd.backward(y, gradient.view(out.shape).div_(batches))
        figures = torch.stack([converged.new_zeros((), dtype=torch.float32)] * 2 + [converged.float()])
        return figures if known is not None else figures + self._unit_losses(moments, n)

    def _unit_losses(self, moments: _Moments, n: int) -> Tensor:
        """Token-weighted sums of MSE and diversity over units of n tokens, and 0 in the rate's place."""
        diversity = -moments.spread.flatten() / n
        if self.config.diversity == "oacd":
            diversity = diversity + 0.1 * moments.mean.square().sum((1, 2))
        sums = torch.stack([moments.mse.sum(), diversity.sum()]) * n
        return torch.cat([sums, sums.new_zeros(1)])

    @torch.no_grad()
    def _moments_in_pieces(
        self, state: FixedPoint, leaves: list[Tensor], before: Tensor, number: int, low: int, high: int
    ) -> _Moments:
        """A first pass over a unit that is larger than a piece: its mean, spread and MSE, in float64."""
        device = torch.device("cpu") if _no_float64(before) else before.device
        width = state.contexts.shape[1]
        total = torch.zeros(width, dtype=torch.float64, device=device)
        squares = torch.zeros((), dtype=torch.float64, device=device)
        changes = torch.zeros((), dtype=torch.float64, device=device)
        for start, stop in _ranges(low, high, self.piece_tokens):
            first = before if start == low else state.contexts[start]
            y = self._outputs(state, leaves, first, number, start, stop)
            changes += (y - state.contexts[start + 1 : stop + 1]).square().sum().to(changes)
            exact = y.to(total)
            total += exact.sum(0)
            squares += exact.square().sum()
        n = high - low
        mean = total / n
        spread = (squares - n * mean.square().sum()).clamp_min(0.0).sqrt()
        like = self.stream.types
        return _Moments(
            mean.to(like).view(1, 1, -1),
            spread.to(like).view(1, 1, 1),
            (changes / (n * width)).to(like).view(1),
        )

    def _judge(self, state: FixedPoint, entry: Iteration) -> None:
        """Apply the stopping rules of method.md and, where set, the one of 2025-12-03."""
        config, rate = self.config, entry.rate
        assert rate is not None
        last = state.rate
        may_stop = entry.iteration >= config.min_iterations
        stalled = False
        if config.min_improvement > 0 and last is not None and rate >= config.improvement_from:
            state.slow = state.slow + 1 if rate - last < config.min_improvement else 0
            stalled = state.slow >= config.improvement_patience
        reached = rate >= config.converged_ratio
        state.converged = reached
        state.finished = (may_stop and (reached or stalled)) or entry.iteration >= config.max_iterations


def _ranges(low: int, high: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(low, high, size):
        yield start, min(start + size, high)


def _no_float64(tensor: Tensor) -> bool:
    return tensor.device.type == "mps"
