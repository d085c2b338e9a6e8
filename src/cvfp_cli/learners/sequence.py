"""What GRU, LSTM and Transformer answer alike: one table, one stage, the same training."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cvfp_cli.core.baselines.config import BaselineConfig, SequenceConfig
from cvfp_cli.core.baselines.sizes import Counts, Held, sequence_counts, sequence_memory, sequence_work
from cvfp_cli.learners.base import Axis, AxisValue, Sizes, Stage
from cvfp_cli.learners.exports import Exported, exported_cells, score_cells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cvfp_cli.core.baselines.network import BodyMaker
    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.experiment import Checkpoint, Outcome
    from cvfp_cli.core.result import ExperimentData, Progress
    from cvfp_cli.core.scoring import Scores

# Until a run has shown otherwise.
LIKELY_EPOCHS = 15


class SequenceLearner:
    """A network over the stream, trained in one stage.

    Args:
        kind: its name, which is its table's, too.
        table: the table's dataclass.
        body_parameters: parameters of its layers for inputs of a width.
        body: imports what it needs and gives the maker of its layers.
        contradictions: what no single key of its table shows.
    """

    def __init__(
        self,
        kind: str,
        table: type[SequenceConfig],
        body_parameters: Callable[[Any, int], int],
        body: "Callable[[], BodyMaker]",
        contradictions: Callable[[Any], list[str]] = lambda settings: [],
    ) -> None:
        self.kind = kind
        self.tables: Mapping[str, type[Any]] = {kind: table}
        self.axes = (Axis(f"{kind}_width", f"{kind}.width"), Axis(f"{kind}_layers", f"{kind}.layers"))
        self.name = f"{kind}_{{{kind}_layers}}L_{{{kind}_width}}d"
        self._body_parameters = body_parameters
        self.body = body
        self._contradictions = contradictions

    def config(self, tables: Mapping[str, Any], seed: int) -> BaselineConfig:
        """What decides the figures of a run, up to its data."""
        return BaselineConfig(tables[self.kind], seed)

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        """What no single key of its table shows; a clause each."""
        return self._contradictions(tables[self.kind])

    def record(self, config: BaselineConfig) -> Mapping[str, AxisValue]:
        """Nothing besides the axes."""
        return {}

    def stages(self, config: BaselineConfig, sizes: Sizes) -> tuple[Stage, ...]:
        """Its training."""
        settings = config.settings
        work = sequence_work(settings, self.parameters(config, sizes), **vars(sizes))
        likely = min(LIKELY_EPOCHS, settings.epochs) if settings.patience else settings.epochs
        return (Stage("training", "training", "epoch", settings.epochs, likely, work),)

    def parameters(self, config: BaselineConfig, sizes: Sizes) -> Counts:
        """Counts of body, head and table."""
        return sequence_counts(config.settings, self._body_parameters, sizes.embed_dim, sizes.vocab_size)

    def memory(self, config: BaselineConfig, execution: "Execution", sizes: Sizes) -> Held:
        """What a run holds."""
        return sequence_memory(config.settings, self.parameters(config, sizes), execution, **vars(sizes))

    def train(
        self,
        config: BaselineConfig,
        data: "ExperimentData",
        execution: "Execution",
        progress: "Progress",
        checkpoint: "Checkpoint | None",
        notify: Callable[[str], None],
    ) -> "Outcome":
        """Train epoch by epoch; the figures of the best one."""
        from cvfp_cli.core.baselines.training import train_network

        return train_network(config, self.body(), data, execution, progress, checkpoint)

    def exported(
        self, config: BaselineConfig, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
    ) -> Exported:
        """A trained model for the Transformers library."""
        return exported_cells(self.kind, config.settings, weights, table, share)

    def score(self, model: Exported, ids: "NDArray[np.int64]", execution: "Execution") -> "Scores":
        """Cross-entropy in nats and correctness of every target of a stream."""
        return score_cells(model, self.tables[self.kind], self.body(), ids, execution)
