"""Counts: an interpolated modified Kneser-Ney n-gram model over token ids."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.baselines.config import BaselineConfig, NgramConfig
from cvfp_cli.core.baselines.sizes import Held, ngram_memory, ngram_work
from cvfp_cli.learners.base import Axis, AxisValue, Sizes, Stage

if TYPE_CHECKING:
    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.experiment import Checkpoint, Outcome
    from cvfp_cli.core.result import ExperimentData, Progress

STAGE = "count"


class _ToldByTraining:
    """Parameters of a model that consists of what the text holds."""

    parts: Mapping[str, int] = MappingProxyType({})
    total = None


class _Ngram:
    kind = "ngram"
    tables: Mapping[str, type[Any]] = {"ngram": NgramConfig}
    axes = (Axis("ngram_order", "ngram.order"),)
    name = "{ngram_order}gram"

    def config(self, tables: Mapping[str, Any], seed: int) -> BaselineConfig:
        """What decides the figures of a run, up to its data."""
        return BaselineConfig(tables["ngram"], seed)

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        """There are none."""
        return []

    def record(self, config: BaselineConfig) -> Mapping[str, AxisValue]:
        """Nothing besides the order."""
        return {}

    def stages(self, config: BaselineConfig, sizes: Sizes) -> tuple[Stage, ...]:
        """One pass that counts and scores."""
        work = ngram_work(config.settings, sizes.train_tokens, sizes.val_tokens)
        return (Stage(STAGE, "counts", "pass", 1, 1, work, arithmetic=False),)

    def parameters(self, config: BaselineConfig, sizes: Sizes) -> _ToldByTraining:
        """As many as the text has n-grams."""
        return _ToldByTraining()

    def memory(self, config: BaselineConfig, execution: "Execution", sizes: Sizes) -> Held:
        """The arrays of the counts."""
        return ngram_memory(config.settings, sizes.train_tokens)

    def train(
        self,
        config: BaselineConfig,
        data: "ExperimentData",
        execution: "Execution",
        progress: "Progress",
        checkpoint: "Checkpoint | None",
        notify: Callable[[str], None],
    ) -> "Outcome":
        """Count and score, on the host whatever the device; seconds, so there is no checkpoint."""
        import torch

        from cvfp_cli.core.baselines.ngram import KneserNey
        from cvfp_cli.core.experiment import Outcome
        from cvfp_cli.core.figures import check_data, run_result
        from cvfp_cli.core.metrics import perplexity, unigram_log_probabilities
        from cvfp_cli.core.result import Counted, StageResult

        check_data(data)
        settings = config.settings
        began = time.perf_counter()
        model = KneserNey(data.train_ids, settings.order, len(data.table), settings.discounts)
        scores = model.score(data.val_ids)
        seconds = time.perf_counter() - began
        loss = float(-scores.log_probabilities.mean())
        accuracy = float(scores.correct.mean())
        progress(Counted(1, model.parameters, loss, perplexity(loss), accuracy, seconds))
        result = run_result(
            data,
            unigram_log_probabilities(data.train_ids, len(data.table)),
            losses=-scores.log_probabilities,
            correct=scores.correct,
            stages=(StageResult(STAGE, 1, seconds),),
            peak_memory_bytes=None,
            execution_path={
                "device": "cpu",
                "state_dtype": "float64",
                "discounts": [list(level.discounts) for level in model.levels],
            },
            counted_parameters=model.parameters,
        )
        weights = {}
        for k, level in enumerate(model.levels, start=1):
            for part in ("keys", "suffixes", "counts", "shares", "backoffs"):
                weights[f"order{k}.{part}"] = torch.from_numpy(getattr(level, part))
        return Outcome(result, weights)


NGRAM = _Ngram()
