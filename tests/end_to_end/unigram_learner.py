"""A second learner, as small as one can be: counts of tokens, plus a constant. It lives in the tests alone."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from cvfp_cli.core.experiment import Outcome
from cvfp_cli.core.metrics import clustered_standard_error, sample_sums, unigram_log_probabilities
from cvfp_cli.core.result import ExperimentData, RunResult, StageResult, Step
from cvfp_cli.learners import Axis, Stage


@dataclass(frozen=True)
class CountsConfig:
    added: int = field(default=1, metadata={"doc": "what is added to every count", "min": 1})
    scale: float = field(default=1.0, metadata={"doc": "factor on the counts", "above": 0.0})


@dataclass(frozen=True)
class Config:
    counts: CountsConfig
    seed: int


@dataclass(frozen=True)
class Pass(Step):
    """One pass over the text."""

    stage: ClassVar[str] = "count"
    number: int
    loss: float
    seconds: float


class Unigram:
    kind = "unigram"
    tables: Mapping[str, type[Any]] = {"counts": CountsConfig}
    axes = (Axis("added", "counts.added", "What is added to every count."),)
    name = "uni_{added}added"

    def config(self, tables: Mapping[str, Any], seed: int) -> Config:
        return Config(tables["counts"], seed)

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        return []

    def record(self, config: Config) -> dict[str, Any]:
        return {}

    def stages(self, config: Config, sizes: Any) -> tuple[Stage, ...]:
        return (Stage("count", "count", "pass", 1, 1, float(sizes.train_tokens)),)

    def parameters(self, config: Config, sizes: Any) -> Any:
        return SimpleNamespace(parts={"counts": sizes.vocab_size}, total=sizes.vocab_size)

    def memory(self, config: Config, execution: Any, sizes: Any) -> Any:
        held = 8 * sizes.vocab_size
        return SimpleNamespace(held_bytes=held, peak_bytes=held, host_bytes=0)

    def train(
        self,
        config: Config,
        data: ExperimentData,
        execution: Any,
        progress: Callable[[Any], None],
        checkpoint: Any,
        notify: Callable[[str], None],
    ) -> Outcome:
        began = time.perf_counter()
        counts = np.bincount(data.train_ids, minlength=len(data.table)) * config.counts.scale
        weights = counts + config.counts.added
        losses = -np.log(weights / weights.sum())[data.val_ids[1:]]
        counted = sample_sums(np.ones(len(losses)), data.val_boundaries)
        sums = sample_sums(losses, data.val_boundaries)
        loss, seconds = float(losses.mean()), time.perf_counter() - began
        progress(Pass(1, loss, seconds))
        unigram = unigram_log_probabilities(data.train_ids, len(data.table))
        result = RunResult(
            train_tokens=len(data.train_ids),
            val_tokens=len(data.val_ids),
            val_bytes=data.val_bytes,
            train_ppl=None,
            val_ppl=float(np.exp(loss)),
            val_loss=loss,
            val_loss_se=clustered_standard_error(sums, counted),
            val_accuracy=None,
            val_accuracy_se=None,
            sample_losses=tuple((sums / np.maximum(counted, 1)).tolist()),
            sample_targets=tuple(counted.astype(int).tolist()),
            unigram_ppl=float(np.exp(-unigram[data.val_ids[1:]].mean())),
            best_epoch=None,
            epochs=0,
            stopped_by="epochs",
            reason="",
            train_ppl_by_epoch=(),
            val_ppl_by_epoch=(),
            stages=(StageResult("count", 1, seconds),),
            peak_memory_bytes=None,
            execution_path={},
        )
        return Outcome(result, {})
