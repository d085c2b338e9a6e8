"""A grid becomes a list of experiments, cheapest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cvfp_cli.core.config import ExperimentConfig, ModelConfig

MOST_EXPERIMENTS = 10_000


@dataclass(frozen=True)
class Experiment:
    """One point of a grid: what to train, and on how much of the study's text.

    Attributes:
        config: the resolved configuration; its ``seed`` decides initialisation and noise.
        samples: training samples.
        data_seed: which samples train; None the first ones.
        label: the recipe's own name for the configuration, where it has one.
    """

    config: ExperimentConfig
    samples: int
    data_seed: int | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        """The run's folder name, such as ``2L_768d_2tok_s50_seed42``: one name, one run of a study."""
        drawn = "" if self.data_seed is None else f"_data{self.data_seed}"
        return f"{self.config.model.name}_s{self.samples}_seed{self.config.seed}{drawn}"


def expand(
    base: ExperimentConfig,
    models: Sequence[tuple[str | None, ModelConfig]],
    samples: Sequence[int],
    seeds: Sequence[int],
    data_seeds: Sequence[int | None] = (None,),
) -> tuple[Experiment, ...]:
    """Every combination, each once, fewest samples first.

    Small runs first: their times tell how long the large ones will take, and a sweep that is stopped early
    leaves whole rows behind.

    Args:
        base: everything that the grid does not vary.
        models: (label, configuration) in the recipe's order.
    """
    found = {
        experiment.name: experiment
        for count in sorted(set(samples))
        for label, model in models
        for seed in seeds
        for data_seed in data_seeds
        for experiment in [Experiment(replace(base, model=model, seed=seed), count, data_seed, label)]
    }
    return tuple(found.values())
