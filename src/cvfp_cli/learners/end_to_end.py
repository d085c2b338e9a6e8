"""The blocks of CVFP trained together, by cross-entropy through the recurrence."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.config import EndToEndConfig, Execution, HeadConfig, JointConfig, ModelConfig
from cvfp_cli.core.memory import MemoryPlan, plan, work
from cvfp_cli.core.shapes import ParameterCounts, parameter_counts
from cvfp_cli.learners.base import Axis, AxisValue, Sizes, Stage
from cvfp_cli.learners.cvfp import CVFP, mlp_problems
from cvfp_cli.learners.exports import Exported, exported_blocks, score_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cvfp_cli.core.experiment import Checkpoint, Outcome
    from cvfp_cli.core.result import ExperimentData, Progress
    from cvfp_cli.core.scoring import Scores

# Until a run has shown otherwise: through the recurrence models learn slower than phase 2 does.
LIKELY_EPOCHS = 12


class _EndToEnd:
    kind = "end-to-end"
    tables: Mapping[str, type[Any]] = {"model": ModelConfig, "head": HeadConfig, "joint": JointConfig}
    axes: tuple[Axis, ...] = CVFP.axes
    name = CVFP.name + "_e2e"

    def config(self, tables: Mapping[str, Any], seed: int) -> EndToEndConfig:
        """What decides the figures of a run, up to its data."""
        return EndToEndConfig(tables["model"], tables["head"], tables["joint"], seed)

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        """What no single key of its tables shows; a clause each."""
        model, head, joint = tables["model"], tables["head"], tables["joint"]
        found = {
            f"model.blocks has one layer a block, and model.layers is {model.layers}": model.blocks
            and model.layers != 1,
            'model.token_block = "early" has no form for model.blocks': model.blocks
            and model.token_block == "early",
            "model.cascade needs several model.blocks": model.cascade and len(model.blocks) < 2,
            "head.table is the copy of a tied table: an untied head is always trained": head.weights
            == "untied"
            and head.table == "trained",
            "head.start is that of an untied head: a tied one starts as the table": head.weights == "tied"
            and head.start == "uniform",
            "joint.embedding trains the table that a tied head shares: leave head.table frozen": joint.embedding
            == "trained"
            and head.table == "trained",
            "joint.embedding_learning_rate is that of a trained joint.embedding": joint.embedding_learning_rate
            and joint.embedding == "frozen",
        }
        problems = [problem for problem, present in found.items() if present]
        return problems + mlp_problems(model, joint.dropout_hidden, "joint")

    def decided_axes(self, raw: Mapping[str, Any]) -> Mapping[str, tuple[AxisValue, str]]:
        """With several blocks, D is what they give together."""
        return CVFP.decided_axes(raw)

    def shown_axes(self, tables: Mapping[str, Any]) -> Mapping[str, str]:
        """``2x256`` for two blocks of 256."""
        return CVFP.shown_axes(tables)

    def record(self, config: EndToEndConfig) -> Mapping[str, AxisValue]:
        """Which context layers read the token window."""
        return {"token_input": config.model.token_input}

    def stages(self, config: EndToEndConfig, sizes: Sizes) -> tuple[Stage, ...]:
        """One: all is trained together."""
        counts = self.parameters(config, sizes)
        epoch = work(config.as_phases, **vars(sizes)).epoch + 4.0 * counts.context_block * sizes.train_tokens
        most = config.joint.epochs
        likely = min(LIKELY_EPOCHS, most) if config.joint.patience else most
        return (Stage("training", "training", "epoch", most, likely, epoch),)

    def parameters(self, config: EndToEndConfig, sizes: Sizes) -> ParameterCounts:
        """Counts of each part."""
        phase2 = config.as_phases.phase2
        return parameter_counts(config.model, config.head, sizes.embed_dim, sizes.vocab_size, phase2)

    def memory(self, config: EndToEndConfig, execution: Execution, sizes: Sizes) -> MemoryPlan:
        """What a run holds, and where: as the same model in two phases, whose batch is one step here."""
        return plan(config.as_phases, execution, **vars(sizes))

    def train(
        self,
        config: EndToEndConfig,
        data: "ExperimentData",
        execution: Execution,
        progress: "Progress",
        checkpoint: "Checkpoint | None",
        notify: Callable[[str], None],
    ) -> "Outcome":
        """Training, and the figures of the best epoch."""
        from cvfp_cli.core import joint
        from cvfp_cli.results.weights import read_weights

        source = config.joint.start_from
        start = joint.StartingWeights(read_weights(source), source) if source else None
        return joint.run_end_to_end(config, data, execution, progress, checkpoint, start)

    def exported(
        self, config: EndToEndConfig, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
    ) -> Exported:
        """A trained model for the Transformers library."""
        return exported_blocks(config.as_phases, weights, table, share, joint=True)

    def score(self, model: Exported, ids: "NDArray[np.int64]", execution: Execution) -> "Scores":
        """Cross-entropy in nats and correctness of every target of a stream."""
        return score_blocks(model, ids, execution)


END_TO_END = _EndToEnd()
