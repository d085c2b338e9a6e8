"""CVFP in its two phases: a fixed point of the contexts, then the next token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.config import (
    Execution,
    ExperimentConfig,
    HeadConfig,
    ModelConfig,
    Phase1Config,
    Phase2Config,
    width_name,
)
from cvfp_cli.core.memory import MemoryPlan, plan, work
from cvfp_cli.core.shapes import ParameterCounts, block_stage, parameter_counts
from cvfp_cli.learners.base import Axis, AxisValue, Sizes, Stage
from cvfp_cli.learners.exports import Exported, exported_blocks, score_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cvfp_cli.core.experiment import Checkpoint, Outcome
    from cvfp_cli.core.result import ExperimentData, Progress
    from cvfp_cli.core.scoring import Scores

# Until a run has shown otherwise: most of the studies' configurations with more than one layer or token
# converged in 6 to 24 iterations and stopped after about six epochs.
LIKELY_ITERATIONS = 20
LIKELY_EPOCHS = 6

_RANK = next(item for item in fields(ExperimentConfig) if item.name == "effective_rank_tokens")


@dataclass(frozen=True)
class EvaluationConfig:
    """How figures are measured."""

    effective_rank_tokens: int = field(
        default=ExperimentConfig.effective_rank_tokens, metadata=_RANK.metadata
    )


class _Cvfp:
    kind = "cvfp"
    tables: Mapping[str, type[Any]] = {
        "model": ModelConfig,
        "head": HeadConfig,
        "phase1": Phase1Config,
        "phase2": Phase2Config,
        "evaluation": EvaluationConfig,
    }
    axes = (
        Axis("layers", "model.layers", "Layers in each block (L)."),
        Axis("tokens", "model.tokens", "Input tokens per step (K)."),
        Axis("context_dim", "model.context_dim", "Width of the context vector (D)."),
    )
    name = "{layers}L_{context_dim}d_{tokens}tok"

    def config(self, tables: Mapping[str, Any], seed: int) -> ExperimentConfig:
        """What decides the figures of a run, up to its data."""
        return ExperimentConfig(
            model=tables["model"],
            head=tables["head"],
            phase1=tables["phase1"],
            phase2=tables["phase2"],
            effective_rank_tokens=tables["evaluation"].effective_rank_tokens,
            seed=seed,
        )

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        """What no single key of its tables shows; a clause each."""
        problems = []
        phase1, head = tables["phase1"], tables["head"]
        if phase1.min_iterations > phase1.max_iterations:
            problems.append(
                f"phase1.min_iterations ({phase1.min_iterations}) is above "
                f"phase1.max_iterations ({phase1.max_iterations})"
            )
        if tables["phase2"].embedding == "trained" and head.table == "trained":
            problems.append(
                "phase2.embedding trains the table that a tied head shares: leave head.table frozen"
            )
        problems += mlp_problems(tables["model"], tables["phase2"].dropout_hidden, "phase2")
        if tables["phase2"].embedding_learning_rate and tables["phase2"].embedding == "frozen":
            problems.append("phase2.embedding_learning_rate is that of a trained phase2.embedding")
        problems += _block_problems(tables["model"], phase1, tables["phase2"])
        if head.weights == "untied" and head.table == "trained":
            problems.append("head.table is the copy of a tied table: an untied head is always trained")
        if head.weights == "tied" and head.start == "uniform":
            problems.append("head.start is that of an untied head: a tied one starts as the table")
        return problems

    def decided_axes(self, raw: Mapping[str, Any]) -> Mapping[str, tuple[AxisValue, str]]:
        """With several blocks, D is what they give together."""
        model = raw.get("model")
        blocks = model.get("blocks") if isinstance(model, dict) else None
        whole = isinstance(blocks, list | tuple) and all(type(width) is int for width in blocks)
        return {"context_dim": (sum(blocks), "model.blocks")} if blocks and whole else {}

    def shown_axes(self, tables: Mapping[str, Any]) -> Mapping[str, str]:
        """``2x256`` for two blocks of 256."""
        blocks = tables["model"].blocks
        return {"context_dim": width_name(blocks)} if blocks else {}

    def record(self, config: ExperimentConfig) -> Mapping[str, AxisValue]:
        """Which context layers read the token window."""
        return {"token_input": config.model.token_input}

    def stages(self, config: ExperimentConfig, sizes: Sizes) -> tuple[Stage, ...]:
        """Phase 1 and phase 2; contexts take no steps."""
        operations = work(config, **vars(sizes))
        most = config.phase2.epochs
        blocks = 0 if config.phase1.skip else len(config.model.widths)
        return (
            *(
                Stage(
                    block_stage(number if blocks > 1 else 0),
                    f"phase 1 of block {number}" if blocks > 1 else "phase 1",
                    "iteration",
                    config.phase1.max_iterations,
                    min(LIKELY_ITERATIONS, config.phase1.max_iterations),
                    operations.iteration / blocks / (blocks if config.phase1.slices else 1),
                    free=1,
                )
                for number in range(1, blocks + 1)
            ),
            Stage(
                "phase2",
                "phase 2",
                "epoch",
                most,
                min(LIKELY_EPOCHS, most) if config.phase2.patience else most,
                operations.epoch,
            ),
        )

    def parameters(self, config: ExperimentConfig, sizes: Sizes) -> ParameterCounts:
        """Counts of each part."""
        return parameter_counts(config.model, config.head, sizes.embed_dim, sizes.vocab_size, config.phase2)

    def memory(self, config: ExperimentConfig, execution: Execution, sizes: Sizes) -> MemoryPlan:
        """What a run holds, and where."""
        return plan(config, execution, **vars(sizes))

    def train(
        self,
        config: ExperimentConfig,
        data: "ExperimentData",
        execution: Execution,
        progress: "Progress",
        checkpoint: "Checkpoint | None",
        notify: Callable[[str], None],
    ) -> "Outcome":
        """Both phases, and the figures of the best epoch."""
        from cvfp_cli.core import experiment

        return experiment.run_experiment(config, data, execution, progress, checkpoint, notify)

    def exported(
        self, config: ExperimentConfig, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
    ) -> Exported:
        """A trained model for the Transformers library."""
        return exported_blocks(config, weights, table, share, joint=False)

    def score(self, model: Exported, ids: "NDArray[np.int64]", execution: Execution) -> "Scores":
        """Cross-entropy in nats and correctness of every target of a stream."""
        return score_blocks(model, ids, execution)


def mlp_problems(model: ModelConfig, dropout_hidden: float, table: str) -> list[str]:
    """What the hidden layer of a TokenBlock cannot be combined with; ``table`` is where its dropout stands."""
    mlp = model.token_block == "mlp"
    found = {
        f'model.token_block = "mlp" reads one context, and model.layers is {model.layers}': mlp
        and model.layers != 1,
        f'{table}.dropout_hidden is that of model.token_block = "mlp"': dropout_hidden and not mlp,
    }
    return [problem for problem, present in found.items() if present]


def _block_problems(model: ModelConfig, phase1: Phase1Config, phase2: Phase2Config) -> list[str]:
    """What several blocks, earlier contexts and a run without phase 1 cannot be combined with."""
    several = len(model.blocks) > 1
    found = {
        f"model.blocks has one layer a block, and model.layers is {model.layers}": model.blocks
        and model.layers != 1,
        'model.token_block = "early" has no form for model.blocks': model.blocks
        and model.token_block == "early",
        "phase1.slices needs several model.blocks": phase1.slices and not several,
        "model.cascade needs several model.blocks": model.cascade and not several,
        "a cascade's blocks read one stream: phase1.slices must be false": model.cascade and phase1.slices,
        'a cascade starts from phase1.start = "random"': model.cascade and phase1.start == "sequential",
        'with phase1.slices no block knows the whole stream: phase2.train_contexts must be "recurrence"': phase1.slices
        and phase2.train_contexts == "phase1",
        'without phase 1 (phase1.skip) phase2.train_contexts must be "recurrence"': phase1.skip
        and phase2.train_contexts == "phase1",
        f"phase2.past_count needs model.layers = 1, which is {model.layers}": phase2.past_count
        and model.layers != 1,
    }
    return [problem for problem, present in found.items() if present]


CVFP = _Cvfp()
