"""A study becomes a list of experiments, cheapest first."""

from dataclasses import dataclass
from typing import Any

from cvfp_cli.data.description import Settings
from cvfp_cli.learners import Learner
from cvfp_cli.recipes import Configuration, Recipe


@dataclass(frozen=True)
class Experiment:
    """One point of a grid: what to train, and on how much of the study's text.

    Attributes:
        config: the learner's resolved configuration; its ``seed`` decides initialisation and noise.
        configuration: the recipe's entry it came from, which may carry the study's own name for it.
        samples: training samples.
        data_seed: which samples train; None the first ones.
        settings: the data tables, which an axis of the study may vary, too.
    """

    config: Any
    configuration: Configuration
    samples: int
    data_seed: int | None
    settings: Settings

    @property
    def learner(self) -> Learner:
        """Who trains it."""
        return self.configuration.learner

    @property
    def seed(self) -> int:
        """Of initialisation and noise."""
        return int(self.config.seed)

    @property
    def name(self) -> str:
        """The run's folder name, such as ``2L_768d_2tok_s50_seed42``: one name, one run of a study."""
        drawn = "" if self.data_seed is None else f"_data{self.data_seed}"
        return f"{self.configuration.label}_s{self.samples}_seed{self.seed}{drawn}"


def experiments(recipe: Recipe) -> tuple[Experiment, ...]:
    """Every combination of a study's configurations, sizes and seeds, each once, fewest samples first.

    Small runs first: their times tell how long the large ones will take, and a sweep that is stopped early
    leaves whole rows behind.
    """
    settings = {item.label: settings_of(recipe.at(item)) for item in recipe.configurations}
    found = {
        experiment.name: experiment
        for samples in sorted(set(recipe.sizes))
        for configuration in recipe.configurations
        for seed in recipe.runs.seeds
        for data_seed in recipe.data_seeds
        for experiment in [
            Experiment(
                recipe.experiment(configuration, seed, samples),
                configuration,
                samples,
                data_seed,
                settings[configuration.label],
            )
        ]
    }
    return tuple(found.values())


def settings_of(recipe: Recipe) -> Settings:
    """The recipe's data tables."""
    return Settings(recipe.data, recipe.validation, recipe.tokenizer, recipe.embedding)
