"""One experiment from arrays to figures: phase 1, contexts, phase 2."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvfp_cli.core.background import background
from cvfp_cli.core.config import Execution, ExperimentConfig
from cvfp_cli.core.contexts import Contexts, ranges
from cvfp_cli.core.contraction import growth_per_step
from cvfp_cli.core.device import peak_memory
from cvfp_cli.core.draws import seeded
from cvfp_cli.core.figures import check_data, run_result, trained, what_diverged
from cvfp_cli.core.head import Head, seen_types
from cvfp_cli.core.memory import GRAM_TOKENS, MemoryPlan, plan
from cvfp_cli.core.metrics import (
    effective_rank,
    gram_matrix,
    unigram_log_probabilities,
)
from cvfp_cli.core.model import (
    SideBySide,
    Stream,
    TokenBlock,
    TokenMlp,
    context_model,
    initialise,
    token_model,
)
from cvfp_cli.core.phase1 import Phase1, Phase1Trainer
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import (
    FrozenContexts,
    Pieces,
    PredictionTrainer,
)
from cvfp_cli.core.recurrence import RecurrenceTrace, true_contexts
from cvfp_cli.core.result import Advance, ExperimentData, Progress, RunResult, StageResult
from cvfp_cli.core.shapes import dropout_widths
from cvfp_cli.core.stopping import Training
from cvfp_cli.errors import WorkError

SMALLEST_BUDGET = 16 * 2**20


class Checkpoint(Protocol):
    """Where a run under way is kept, so that it can go on after a break."""

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None."""

    def save(self, state: dict[str, Any]) -> None:
        """Offered after every iteration and epoch: a tree of dicts and lists over tensors, numbers and strings.

        Its tensors are the live ones, so keep it by writing it at once, or leave it for a later offer.
        """


@dataclass(frozen=True)
class Outcome:
    """A finished experiment: its figures and the trained weights of its best epoch, on their device.

    ``weights`` holds ``context.*``, ``token.*`` and ``head.*``; a frozen table is not among them.
    """

    result: RunResult
    weights: dict[str, Tensor]


def run_experiment(
    config: ExperimentConfig,
    data: ExperimentData,
    execution: Execution,
    progress: Progress = lambda event: None,
    checkpoint: Checkpoint | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Run one experiment. The same arguments on the same machine give the same figures.

    Where the device runs out of memory the run starts again with half the budget for its pieces, and more contexts on
    the host; that changes no figure beyond rounding, and what was in force is recorded in ``execution_path``.

    Args:
        notify: told in one sentence about such a new start.

    Raises:
        InputError: the arrays do not fit together.
        WorkError: the device cannot hold even what no smaller piece can shrink.
    """
    check_data(data)
    while True:
        try:
            return _Run(config, data, execution, progress, checkpoint).outcome()
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            smaller = execution.smaller()
        held = _Run.plan_for(config, data, execution).held_bytes
        if smaller.memory_bytes < SMALLEST_BUDGET:
            raise WorkError(
                f"{config.model.name}: {execution.device} ran out of memory; contexts, tables and weights alone "
                f"take {held / 2**30:.1f} GiB.",
                hint="Use fewer samples, a smaller --context-dim, or --device cpu.",
            )
        notify(f"out of memory: starting again in pieces of {smaller.memory_bytes / 2**30:.2g} GiB")
        execution = smaller
        if execution.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _out_of_memory(error: Exception) -> bool:
    """Whether the device had no memory left; on a CPU torch says so in words alone, NumPy by a MemoryError."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)


class _LastTable:
    """The table of the last run, kept on its device: a sweep runs all configurations of one table in a row."""

    def __init__(self) -> None:
        self._source: NDArray[np.float32] | None = None
        self._device = torch.device("cpu")
        self._copy = torch.empty(0)

    def on(self, device: torch.device, table: NDArray[np.float32]) -> Tensor:
        """``table`` (V, E) on the device; not to be written to."""
        if self._source is not table or self._device != device:
            self._source = None
            self._copy = torch.empty(0)  # lets go of the old one before the new one is made
            # A copy: cached arrays are read-only, which torch.from_numpy would warn about.
            self._copy = torch.tensor(table, device=device)
            self._source, self._device = table, device
        return self._copy


_LAST_TABLE = _LastTable()


class _Run:
    """The parts of one experiment on its device."""

    def __init__(
        self,
        config: ExperimentConfig,
        data: ExperimentData,
        execution: Execution,
        progress: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.config = config
        self.data = data
        self.execution = execution
        self.progress = progress
        self.checkpoint = checkpoint
        self.plan = self.plan_for(config, data, execution)
        self.arithmetic = Arithmetic(execution.device.split(":")[0], execution.precision)
        device = torch.device(execution.device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.table = _LAST_TABLE.on(device, data.table)
        model = config.model
        self.train = Stream(torch.tensor(data.train_ids, device=device), self.table, model.tokens)
        self.validation = Stream(torch.tensor(data.val_ids, device=device), self.table, model.tokens)
        self.context_model = context_model(model, data.table.shape[1])
        cpu = torch.device("cpu")
        each = (
            self.context_model.each() if isinstance(self.context_model, SideBySide) else [self.context_model]
        )
        for number, block in enumerate(each):
            key = [f"block-{number + 1}"] if number else []  # the first is drawn as the only one would be
            initialise(block, model, seeded(cpu, config.seed, "context-block", *key))
        self.context_model.to(device)
        # The TokenBlock is drawn while phase 1 runs: 25 million weights take a CPU thread a quarter of a second.
        with background() as thread:
            self._token_block = thread.submit(self._drawn_token_block)
        self.unigram = unigram_log_probabilities(data.train_ids, len(data.table))
        unigram = torch.from_numpy(self.unigram).float()
        self.embedding = (
            torch.nn.Parameter(self.table.clone()) if config.phase2.embedding == "trained" else None
        )
        drawn = seeded(cpu, config.seed, "head")
        seen = seen_types(data.train_ids, len(data.table))
        self.head = Head(config.head, self.table, unigram, drawn, self.arithmetic, self.embedding, seen)

    @staticmethod
    def plan_for(config: ExperimentConfig, data: ExperimentData, execution: Execution) -> MemoryPlan:
        return plan(
            config,
            execution,
            train_tokens=len(data.train_ids),
            val_tokens=len(data.val_ids),
            vocab_size=data.table.shape[0],
            embed_dim=data.table.shape[1],
        )

    def outcome(self) -> Outcome:
        saved = self.checkpoint.load() if self.checkpoint else None
        trainer = Phase1Trainer(
            self.context_model, self.train, self.table, self.config, self.plan, self.arithmetic, self._clock
        )
        fixed = Phase1([])
        kept: dict[str, Any] = {"phase1": []}
        if not self.config.phase1.skip:
            before = saved["phase1"] if saved else []
            if isinstance(before, dict):  # a checkpoint of 0.1.0, which knew one block
                before = [{"state": before, "seconds": saved["phase1_seconds"]}] if saved else []
            fixed, kept["phase1"] = trainer.run(
                before, self.progress, lambda state: self._offer({"phase1": state})
            )
        began = time.perf_counter()
        train_contexts = trainer.contexts(fixed)
        with background() as thread:
            train_rank = None
            if train_contexts is not None:
                train_rank = thread.submit(effective_rank, self._gram(train_contexts))
            val_contexts, val_trace = self._true_contexts(self.validation)
            val_rank = thread.submit(effective_rank, self._gram(val_contexts, past=True))
        traces = {"validation": val_trace}
        growth = growth_per_step(
            self.context_model, self.validation, val_contexts, self.config.seed, "growth", "validation"
        )
        if self.config.phase2.train_contexts == "recurrence" or train_contexts is None:
            train_contexts, traces["training"] = self._true_contexts(self.train)
        frozen_train = self._frozen(self.train, train_contexts)
        frozen_val = self._frozen(self.validation, val_contexts)
        seconds_contexts = self._clock() - began
        predicted, seconds2 = self._phase2(saved, kept, fixed.diverged, frozen_train, frozen_val)
        result = self._result(
            fixed,
            predicted,
            traces,
            None if train_rank is None else train_rank.result(),
            val_rank.result(),
            growth,
            (seconds_contexts, seconds2),
        )
        weights = {f"context.{key}": value for key, value in self.context_model.state_dict().items()}
        weights |= predicted.best_weights
        return Outcome(result, weights)

    def _frozen(self, stream: Stream, contexts: Contexts) -> FrozenContexts:
        phase2, piece = self.config.phase2, self.plan.phase2_tokens
        return FrozenContexts(self.context_model, stream, contexts, self.arithmetic, phase2, piece)

    def _drawn_token_block(self) -> TokenBlock | TokenMlp:
        block = token_model(self.config.model, self.data.table.shape[1], self.config.phase2)
        initialise(block, self.config.model, seeded(torch.device("cpu"), self.config.seed, "token-block"))
        return block

    def _phase2(
        self,
        saved: dict[str, Any] | None,
        phase1: dict[str, Any],
        diverged: bool,
        train: FrozenContexts,
        validation: FrozenContexts,
    ) -> tuple[Training, float]:
        """Phase 2 to its end; its state and its seconds."""
        began = time.perf_counter()
        earlier = saved["phase2_seconds"] if saved and "phase2" in saved else 0.0
        trainer = PredictionTrainer(
            self._token_block.result().to(self.table.device),
            self.head,
            train,
            validation,
            self.config.phase2,
            pieces=Pieces(self.plan.phase2_tokens, self.plan.logit_tokens),
            arithmetic=self.arithmetic,
            embedding=self.embedding,
            seed=self.config.seed,
            dropout=dropout_widths(self.config.model, self.config.phase2, self.data.table.shape[1]),
        )
        state = trainer.restore(saved["phase2"]) if saved and "phase2" in saved else Training()
        if diverged:
            state.stopped_by = "diverged"
        while not state.stopped_by:
            trainer.epoch(state, self.progress)
            seconds = earlier + self._clock() - began
            self._offer({**phase1, "phase2": trainer.snapshot(state), "phase2_seconds": seconds})
        return state, earlier + self._clock() - began

    def _offer(self, state: dict[str, Any]) -> None:
        if self.checkpoint:
            self.checkpoint.save(state)

    def _gram(self, contexts: Contexts, *, past: bool = False) -> Tensor:
        """Of the contexts after each token, or after as many random ones as the study took.

        Args:
            past: with the earlier contexts that the TokenBlock reads beside each.
        """
        tokens, sample = len(contexts) - 1, self.config.effective_rank_tokens
        earlier = range(1, self.config.phase2.past_count + 1) if past else ()
        if not sample or tokens <= sample:
            chosen = None
        else:
            generator = seeded(torch.device("cpu"), self.config.seed, "effective-rank")
            chosen = 1 + torch.randperm(tokens, generator=generator)[:sample]
        if not earlier:
            if chosen is None:
                return gram_matrix(contexts.pieces(ranges(1, tokens + 1, GRAM_TOKENS)))
            return gram_matrix([contexts.take(chosen)])
        rows = torch.arange(1, tokens + 1) if chosen is None else chosen
        interval = self.config.phase2.past_interval
        return gram_matrix(
            torch.cat([contexts.take((at - j * interval).clamp_min(0)) for j in (0, *earlier)], dim=1)
            for at in torch.split(rows, GRAM_TOKENS)
        )

    def _true_contexts(self, stream: Stream) -> tuple[Contexts, RecurrenceTrace]:
        """c_{t−1} in row t, (N + 1, D)."""
        contexts, trace = true_contexts(self.context_model, stream)
        self.progress(Advance("contexts", 0, 0, len(stream), len(stream)))
        return Contexts.of(torch.cat([contexts.new_zeros(1, contexts.shape[1]), contexts])), trace

    def _clock(self) -> float:
        if self.execution.device.startswith("cuda"):
            torch.cuda.synchronize(self.execution.device)
        return time.perf_counter()

    def _result(
        self,
        phase1: Phase1,
        predicted: Training,
        traces: dict[str, RecurrenceTrace],
        train_rank: float | None,
        val_rank: float | None,
        growth: float | None,
        seconds: tuple[float, float],
    ) -> RunResult:
        return run_result(
            self.data,
            self.unigram,
            **trained(predicted, _what_diverged(phase1, predicted, len(self.data.table))),
            stages=(
                *phase1.stages,
                StageResult("contexts", 0, seconds[0]),
                StageResult("phase2", len(predicted.log), seconds[1]),
            ),
            peak_memory_bytes=peak_memory(self.execution.device),
            execution_path={
                "device": self.execution.device,
                "threads": torch.get_num_threads(),
                "precision": self.execution.precision,
                "state_dtype": str(self.table.dtype).removeprefix("torch."),
                "kernels": "triton" if self.head.fused else "torch",
                "pieces": self.plan.as_dict(),
                "recurrence": {name: asdict(trace) for name, trace in traces.items()},
            },
            own={
                **phase1.figures,
                "growth": growth,
                "train_effective_rank": train_rank,
                "val_effective_rank": val_rank,
            },
        )


def _what_diverged(phase1: Phase1, predicted: Training, vocab_size: int) -> str:
    """Which loss of a run that diverged is no figure, and where; empty where none is."""
    if phase1.diverged:
        return f"the loss of phase 1 was not finite in iteration {phase1.runs[-1].state.iterations}"
    return what_diverged(predicted, "phase 2", vocab_size)
