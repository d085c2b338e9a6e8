"""Phase 1: fixed-point training of the ContextBlock (method.md, "Phase 1").

All batches of an iteration run in as few pieces as memory allows: the loss of each needs only a few moments of its
own outputs (``unit_loss``), so there is no loop over batches.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cvfp_cli.core import kernels
from cvfp_cli.core.config import Phase1Config
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.contraction import growth_per_step
from cvfp_cli.core.device import float64_device
from cvfp_cli.core.draws import normal_rows, seed_of
from cvfp_cli.core.kernels.layer import Runs, runs_by_type
from cvfp_cli.core.kernels.phase1 import noisy_contexts, plain_noisy_contexts
from cvfp_cli.core.model import ContextBlock, Stream
from cvfp_cli.core.optimiser import Adam, backward
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.result import Advance, Iteration, Progress
from cvfp_cli.core.unit_loss import Moments, gradient_and_update, moments, unit_losses


@dataclass
class FixedPoint:
    """Phase 1 under way or done.

    Attributes:
        contexts: (N + 1, D); row t + 1 is the context after token t, row 0 stands for the one before token 0.
        log: one entry an iteration, the untrained first one included.
        slow: iterations in a row whose rate improved by less than ``min_improvement``.
        converged: whether the last rate reached ``converged_ratio`` when the rule could stop.
        stopped_by: ``ratio``, ``improvement`` or ``iterations``, whichever rule ended phase 1, or ``diverged``; empty
            while under way.
    """

    contexts: Contexts
    log: list[Iteration] = field(default_factory=list)
    slow: int = 0
    converged: bool = False
    stopped_by: str = ""

    @property
    def finished(self) -> bool:
        """Whether phase 1 is over."""
        return self.stopped_by != ""

    @property
    def iterations(self) -> int:
        """P1 iter: the number of the last iteration."""
        return len(self.log)

    @property
    def rate(self) -> float | None:
        """Share of tokens that had converged in the last iteration; None before any was trained."""
        return self.log[-1].rate


class FixedPointTrainer:
    """Trains a ContextBlock on a stream, an iteration at a time.

    Args:
        key: what its random numbers depend on besides the iteration and the token.
        ring: whether token 0 reads the last token's context; else it reads zeros.
        given: contexts (N + 1, D') that the block reads in place of its own, row t being that before token t; they
            are not trained.
        stage: its name in events.
    """

    def __init__(
        self,
        block: ContextBlock,
        stream: Stream,
        config: Phase1Config,
        *key: int | str,
        piece_tokens: int,
        arithmetic: Arithmetic,
        device_rows: int | None = None,
        ring: bool = True,
        given: Contexts | None = None,
        stage: str = "phase1",
    ) -> None:
        self.block = block
        self.stream = stream
        self.config = config
        self.key = key
        self.ring = ring
        self.given = given
        self.stage = stage
        self.piece_tokens = piece_tokens
        self.arithmetic = arithmetic
        self.device_rows = device_rows
        self.optimiser = Adam(block.parameters(), config.learning_rate)
        self._runs: dict[tuple[int, int], tuple[Runs, ...]] = {}

    def start(self) -> FixedPoint:
        """Iteration 1: contexts without training."""
        began = time.perf_counter()
        contexts = self._new_contexts()
        contexts.write(0, self.stream.types.new_zeros(1, self.block.width))
        if self.config.start == "sequential":
            contexts.write(1, true_contexts(self.block, self.stream)[0])
        else:
            for low, high in ranges(0, len(self.stream), self.piece_tokens):
                rows = self.stream.types.new_empty(high - low, self.block.width)
                contexts.write(low + 1, normal_rows((*self.key, "initial"), low, high, rows, 0.01))
        state = FixedPoint(contexts)
        state.log.append(Iteration(1, None, None, None, None, time.perf_counter() - began, self.stage))
        if self.config.max_iterations == 1:
            state.stopped_by = "iterations"
        return state

    def iterate(self, state: FixedPoint, progress: Progress) -> None:
        """Iteration k ≥ 2: new contexts from the old ones, in place, then one optimiser step."""
        began = time.perf_counter()
        number = state.iterations + 1
        tokens = len(self.stream)
        tables = self._tables()
        leaves = [table.detach().requires_grad_() for table in tables]
        if self.block.gathers(self.stream.types):
            for leaf in leaves:  # a kernel adds to them
                leaf.grad = torch.zeros_like(leaf)
        units = self._units()
        batches = sum(count for _, _, count in units)
        contexts = state.contexts
        if self.ring:
            contexts.write(0, contexts.read(tokens, tokens + 1))
        # MSE, diversity and converged tokens, summed over tokens.
        totals = torch.zeros(3, dtype=torch.float64, device=float64_device(contexts.device))
        before = contexts.read(0, 1)[0].clone()
        self.optimiser.zero_grad()
        pieces = [(piece, unit) for unit in units for piece in ranges(unit[0], unit[1], self.piece_tokens)]
        rows = contexts.pieces(_rows_after([piece for piece, _ in pieces]), update=True)
        whole = None
        for kept, ((start, stop), (low, high, count)) in zip(rows, pieces, strict=True):
            if start == low:
                whole = None
                if high - low > self.piece_tokens:
                    whole = self._moments_in_pieces(contexts, leaves, before, number, low, high)
                    totals[:2] += unit_losses(whole, high - low, self.config).to(totals)
            y = self._outputs(kept, leaves, before, number, start, stop)
            before = kept[-1].clone()
            known, converged = moments(y.detach(), kept, count, self.config.convergence_mse)
            totals[2] += converged.to(totals)
            unit = (high - low) // count
            if whole is None:
                totals[:2] += unit_losses(known, unit, self.config).to(totals)
            gradient = gradient_and_update(y.detach(), kept, whole or known, unit, batches, self.config)
            with self.arithmetic.products():
                backward(y, gradient)
            progress(Advance(self.stage, number, self.config.max_iterations, stop - start, tokens))
        if tables:
            with self.arithmetic.products():
                backward(tables, [leaf.grad for leaf in leaves if leaf.grad is not None])
        nn.utils.clip_grad_norm_(self.block.parameters(), self.config.grad_clip)
        self.optimiser.step()
        mse, diversity, rate = (totals / tokens).tolist()
        w = self.config.diversity_weight
        loss = (1 - w) * mse + w * diversity
        growth = None
        if self.given is None:  # a block that reads another's contexts has no recurrence of its own
            growth = growth_per_step(self.block, self.stream, contexts, *self.key, "growth", number)
        seconds = time.perf_counter() - began
        entry = Iteration(number, loss, mse, diversity, rate, seconds, self.stage, growth)
        self._judge(state, entry)
        state.log.append(entry)
        progress(entry)

    def snapshot(self, state: FixedPoint) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "block": self.block.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "contexts": state.contexts.parts(),
            "log": [vars(entry) for entry in state.log],
            "slow": state.slow,
            "converged": state.converged,
            "stopped_by": state.stopped_by,
        }

    def restore(self, saved: dict[str, Any]) -> FixedPoint:
        """The inverse of ``snapshot``."""
        self.block.load_state_dict(saved["block"])
        self.optimiser.load_state_dict(saved["optimiser"])
        contexts = self._new_contexts()
        at = 0
        for part in saved["contexts"]:
            contexts.write(at, part)
            at += len(part)
        log = [Iteration(**entry) for entry in saved["log"]]
        return FixedPoint(contexts, log, saved["slow"], saved["converged"], saved["stopped_by"])

    def _new_contexts(self) -> Contexts:
        like = self.stream.types.new_empty(0, self.block.width)
        return Contexts(len(self.stream) + 1, like, self.device_rows)

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
        self, earlier: Tensor, leaves: list[Tensor], before: Tensor, number: int, start: int, stop: int
    ) -> Tensor:
        """y of tokens ``start`` … ``stop`` − 1 from their contexts so far, both (n, D). ``before`` (D,) is the previous
        context of token start − 1, whose row has already been overwritten."""
        if self.given is not None:
            before = self.given.read(start, start + 1)[0]
            earlier = self.given.read(start + 1, stop + 1)
        given = self._noisy(earlier, before, number, start, stop)
        with self.arithmetic.products():
            at = slice(start, stop)
            if not leaves:
                return self.block.forward(given, self.stream.windows(at))[-1]
            types = self.stream.window_types(at)
            runs = self._runs_of(start, stop) if self.block.gathers(given) else ()
            return self.block.forward(given, self.block.token_parts(leaves, types, runs))[-1]

    def _noisy(self, earlier: Tensor, before: Tensor, number: int, start: int, stop: int) -> Tensor:
        """Input contexts of these tokens with fresh noise, (n, D)."""
        like, noise = self.stream.types, self.config.noise
        if kernels.usable(like.device) and like.dtype == torch.float32:
            return noisy_contexts(earlier, before, seed_of(*self.key, "noise", number), start, noise)
        given = torch.empty(earlier.shape, dtype=like.dtype, device=like.device)
        if noise:
            normal_rows((*self.key, "noise", number), start, stop, given, noise)
            return plain_noisy_contexts(earlier, before, given)
        given[1:] = earlier[:-1]
        given[0] = before
        return given

    def _runs_of(self, start: int, stop: int) -> tuple[Runs, ...]:
        """The piece's tokens by type, sorted once for all iterations."""
        if (start, stop) not in self._runs:
            places = self.stream.window_types(slice(start, stop)).unbind(1)
            self._runs[start, stop] = tuple(runs_by_type(types) for types in places)
        return self._runs[start, stop]

    @torch.no_grad()
    def _moments_in_pieces(
        self, contexts: Contexts, leaves: list[Tensor], before: Tensor, number: int, low: int, high: int
    ) -> Moments:
        """A first pass over a unit that is larger than a piece: its mean, spread and MSE, in float64."""
        device = float64_device(contexts.device)
        width = contexts.width
        total = torch.zeros(width, dtype=torch.float64, device=device)
        squares = torch.zeros((), dtype=torch.float64, device=device)
        changes = torch.zeros((), dtype=torch.float64, device=device)
        pieces = ranges(low, high, self.piece_tokens)
        for kept, (start, stop) in zip(contexts.pieces(_rows_after(pieces)), pieces, strict=True):
            y = self._outputs(kept, leaves, before, number, start, stop)
            before = kept[-1].clone()
            changes += (y - kept).square().sum().to(changes)
            exact = y.to(total)
            total += exact.sum(0)
            squares += exact.square().sum()
        n = high - low
        mean = total / n
        spread = (squares - n * mean.square().sum()).clamp_min(0.0).sqrt()
        like = self.stream.types
        return Moments(
            mean.to(like).view(1, -1), spread.to(like).view(1), (changes / (n * width)).to(like).view(1)
        )

    def _judge(self, state: FixedPoint, entry: Iteration) -> None:
        """Apply the stopping rules of method.md and, where set, the one of 2025-12-03."""
        config, rate = self.config, entry.rate
        assert rate is not None
        if entry.loss is None or not math.isfinite(entry.loss):
            state.stopped_by = "diverged"
            return
        last = state.rate
        may_stop = entry.iteration >= config.min_iterations
        stalled = False
        if config.min_improvement > 0 and last is not None and rate >= config.improvement_from:
            state.slow = state.slow + 1 if rate - last < config.min_improvement else 0
            stalled = state.slow >= config.improvement_patience
        reached = rate >= config.converged_ratio
        state.converged = reached
        if may_stop and reached:
            state.stopped_by = "ratio"
        elif may_stop and stalled:
            state.stopped_by = "improvement"
        elif entry.iteration >= config.max_iterations:
            state.stopped_by = "iterations"


def _rows_after(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Rows of the contexts after these tokens: row t + 1 is the context after token t."""
    return [(start + 1, stop + 1) for start, stop in pieces]
