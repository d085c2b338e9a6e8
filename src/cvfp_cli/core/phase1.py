"""Phase 1 of a run: of its ContextBlock, or of several blocks one after another (method.md, "Several blocks")."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cvfp_cli.core.config import ExperimentConfig
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.fixed_point import FixedPoint, FixedPointTrainer
from cvfp_cli.core.memory import GRAM_TOKENS, MemoryPlan
from cvfp_cli.core.model import ContextBlock, Recurrent, SideBySide, Stream
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Progress, StageResult
from cvfp_cli.core.shapes import block_stage


@dataclass
class BlockRun:
    """Phase 1 of one block: its state and its wall time in seconds."""

    state: FixedPoint
    seconds: float


@dataclass
class Phase1:
    """Phase 1 of all blocks, as far as it has come; without any block where the recipe leaves it out."""

    runs: list[BlockRun]

    @property
    def diverged(self) -> bool:
        """Whether some block's loss was not finite."""
        return any(run.state.stopped_by == "diverged" for run in self.runs)

    @property
    def slowest(self) -> FixedPoint | None:
        """The block with the most iterations, the first of several: "P1 iter" is its; None without phase 1."""
        return max((run.state for run in self.runs), key=lambda state: state.iterations, default=None)

    @property
    def figures(self) -> dict[str, Any]:
        """What a run records of it, by keys of the results; nothing without phase 1."""
        slowest = self.slowest
        if slowest is None:
            return {}
        last = next((run.state for run in self.runs if not run.state.converged), slowest)
        last_growth = (run.state.log[-1].growth for run in self.runs)
        known = [growth for growth in last_growth if growth is not None]
        return {
            "phase1_iterations": slowest.iterations,
            "phase1_rate": min(
                (run.state.rate for run in self.runs if run.state.rate is not None), default=None
            ),
            "phase1_converged": all(run.state.converged for run in self.runs),
            "phase1_stopped_by": last.stopped_by,
            "phase1_growth": max(known, default=None),
            "phase1_rate_by_iteration": tuple(entry.rate for entry in slowest.log),
        }

    @property
    def stages(self) -> tuple[StageResult, ...]:
        """One for each block."""
        many = len(self.runs) > 1
        return tuple(
            StageResult(block_stage(number if many else 0), run.state.iterations, run.seconds)
            for number, run in enumerate(self.runs, start=1)
        )


def slices(tokens: int, blocks: int) -> list[tuple[int, int]]:
    """First token and end of each block's slice: ⌊N/B⌋ tokens and the next slice's first; the last takes the rest."""
    length = tokens // blocks
    return [(b * length, (b + 1) * length + 1 if b + 1 < blocks else tokens) for b in range(blocks)]


class Phase1Trainer:
    """Trains every block of a model to its fixed point.

    Args:
        train: the whole training stream.
        table: raw embedding table (V, E), from which the streams of slices are made.
        clock: seconds, once the device has done what it was given.
    """

    def __init__(
        self,
        model: Recurrent,
        train: Stream,
        table: Tensor,
        config: ExperimentConfig,
        plan: MemoryPlan,
        arithmetic: Arithmetic,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.blocks = model.each() if isinstance(model, SideBySide) else [model]
        self.train = train
        self.table = table
        self.config = config
        self.plan = plan
        self.arithmetic = arithmetic.for_phase1()
        self.clock = clock

    def run(
        self,
        saved: list[dict[str, Any]],
        progress: Progress,
        offer: Callable[[list[dict[str, Any]]], None],
    ) -> tuple[Phase1, list[dict[str, Any]]]:
        """All blocks to their ends, and what a checkpoint keeps of them.

        Args:
            saved: what an earlier attempt offered last; empty for a new run.
            offer: called after every iteration with what a checkpoint keeps.
        """
        done = Phase1([])
        kept: list[dict[str, Any]] = []
        for number, block in enumerate(self.blocks):
            trainer = self._trainer(number, block, done)
            begun = saved[number] if number < len(saved) else None
            earlier, began = begun["seconds"] if begun else 0.0, self.clock()
            state = trainer.restore(begun["state"]) if begun else trainer.start()
            if not begun:
                progress(state.log[0])

            def here(state: FixedPoint = state, trainer: FixedPointTrainer = trainer) -> dict[str, Any]:
                return {"state": trainer.snapshot(state), "seconds": earlier + self.clock() - began}  # noqa: B023

            while not state.finished:
                trainer.iterate(state, progress)
                if state.stopped_by == "diverged":
                    break
                offer([*kept, here()])
            kept.append(here())
            done.runs.append(BlockRun(state, kept[-1]["seconds"]))
            if state.stopped_by == "diverged":
                break
        return done, kept

    def contexts(self, done: Phase1) -> Contexts | None:
        """c_{t−1} in row t as phase 1 left it, (N + 1, D), with nothing before token 0.

        None where no block has a context for every token: without phase 1, or with slices.
        """
        if len(done.runs) < len(self.blocks) or self.config.phase1.slices:
            return None
        parts = [run.state.contexts for run in done.runs]
        for part in parts:  # phase 1 kept its wrapped context there
            part.write(0, torch.zeros(1, part.width))
        if len(parts) == 1:
            return parts[0]
        together = Contexts(len(parts[0]), self.train.types.new_empty(0, self.config.model.context_dim))
        for start, stop in ranges(0, len(together), GRAM_TOKENS):
            together.write(start, torch.cat([part.read(start, stop) for part in parts], dim=1))
        return together

    def _trainer(self, number: int, block: ContextBlock, done: Phase1) -> FixedPointTrainer:
        """The trainer of a block. Block 1 of several draws what the block of a run with one would draw."""
        stream, ring, given = self.train, True, None
        if self.config.phase1.slices:
            start, stop = slices(len(stream), len(self.blocks))[number]
            stream, ring = Stream(stream.ids[start:stop], self.table, self.config.model.tokens), False
        if self.config.model.cascade and number:
            given = done.runs[-1].state.contexts
            last = len(given) - 1
            given.write(0, given.read(last, last + 1))  # the stream wraps around
        return FixedPointTrainer(
            block,
            stream,
            self.config.phase1,
            self.config.seed,
            *([f"block-{number + 1}"] if number else []),
            piece_tokens=self.plan.phase1_tokens,
            arithmetic=self.arithmetic,
            device_rows=self.plan.device_rows,
            ring=ring,
            given=given,
            stage=block_stage(number + 1 if len(self.blocks) > 1 else 0),
        )
