"""A recipe as data: everything that decides a study's figures, and the runs it consists of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import tomli_w

from cvfp_cli.core.config import ExperimentConfig, HeadConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.recipes.paths import made_absolute

_EXPERIMENT = {item.name: item for item in fields(ExperimentConfig)}
GRID_KEYS = ("layers", "context_dim", "tokens")


@dataclass(frozen=True)
class GridConfig:
    """The configurations of a study as a product of lists."""

    layers: tuple[int, ...] = field(
        default=(ModelConfig.layers,), metadata={"doc": "layers in each of the two blocks (L)", "min": 1}
    )
    context_dim: tuple[int, ...] = field(
        default=(ModelConfig.context_dim,), metadata={"doc": "widths of the context vector (D)", "min": 1}
    )
    tokens: tuple[int, ...] = field(
        default=(ModelConfig.tokens,), metadata={"doc": "input tokens per step (K)", "min": 1}
    )


@dataclass(frozen=True)
class Configuration:
    """One architecture of a study.

    Attributes:
        name: the study's own name for it, such as ``baseline``; empty where it has none.
    """

    name: str = field(default="", metadata={"doc": "the study's own name for the configuration"})
    layers: int = field(
        default=ModelConfig.layers, metadata={"doc": "layers in each of the two blocks (L)", "min": 1}
    )
    context_dim: int = field(
        default=ModelConfig.context_dim, metadata={"doc": "width of the context vector (D)", "min": 1}
    )
    tokens: int = field(default=ModelConfig.tokens, metadata={"doc": "input tokens per step (K)", "min": 1})


@dataclass(frozen=True)
class EvaluationConfig:
    """How figures are measured."""

    effective_rank_tokens: int = field(
        default=ExperimentConfig.effective_rank_tokens,
        metadata=_EXPERIMENT["effective_rank_tokens"].metadata,
    )


@dataclass(frozen=True)
class RunsConfig:
    """Which runs of each configuration are made.

    Attributes:
        samples: sizes to run instead of ``data.samples``; that stays the study's list, since it decides what a
            ``bpe:N`` tokenizer is trained on and where ``after-largest:N`` begins.
    """

    seeds: tuple[int, ...] = field(
        default=(ExperimentConfig.seed,), metadata={"doc": "seeds of initialisation and noise", "min": 0}
    )
    data_seeds: tuple[int, ...] = field(
        default=(), metadata={"doc": "which samples train, drawn by seed (empty: the first n)", "min": 0}
    )
    samples: tuple[int, ...] = field(
        default=(), metadata={"doc": "training sizes to run now (empty: data.samples)", "min": 1}
    )


@dataclass(frozen=True)
class Recipe:
    """A study, checked and complete.

    Attributes:
        name: of the file, or the file's own ``name``.
        header: the comment at the file's head, without its number signs.
        model: what all configurations share; its layers, context_dim and tokens are those of the first one.
        grid: the lists the configurations were made from; None where they are listed one by one.
        configurations: all of them, in the order in which they run.
        overrides: what was set on top of the file, in the order given: ``table.key`` to value.
    """

    name: str
    header: str
    data: DataConfig
    validation: ValidationConfig
    tokenizer: TokenizerConfig
    embedding: EmbeddingConfig
    model: ModelConfig
    head: HeadConfig
    phase1: Phase1Config
    phase2: Phase2Config
    evaluation: EvaluationConfig
    runs: RunsConfig
    grid: GridConfig | None
    configurations: tuple[Configuration, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """The first line of the header."""
        return self.header.partition("\n")[0]

    @property
    def expected(self) -> str:
        """What the header says to expect (its line ``Expected: …``); empty where it says nothing."""
        lines = [line for line in self.header.splitlines() if line.startswith("Expected:")]
        return lines[0].removeprefix("Expected:").strip() if lines else ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Training sizes to run."""
        return self.runs.samples or self.data.samples

    @property
    def data_seeds(self) -> tuple[int | None, ...]:
        """Data seeds to run; None stands for the first n samples."""
        return self.runs.data_seeds or (None,)

    def experiment(self, configuration: Configuration, seed: int) -> ExperimentConfig:
        """What decides the figures of one run, up to its data."""
        return ExperimentConfig(
            model=replace(
                self.model,
                layers=configuration.layers,
                context_dim=configuration.context_dim,
                tokens=configuration.tokens,
            ),
            head=self.head,
            phase1=self.phase1,
            phase2=self.phase2,
            effective_rank_tokens=self.evaluation.effective_rank_tokens,
            seed=seed,
        )

    def only(self, configuration: Configuration, samples: int, seed: int, data_seed: int | None) -> "Recipe":
        """The same study narrowed to one run: what a run's ``config.toml`` holds."""
        return replace(
            self,
            grid=None,
            configurations=(configuration,),
            runs=RunsConfig(
                seeds=(seed,), data_seeds=() if data_seed is None else (data_seed,), samples=(samples,)
            ),
        )

    def resolved(self) -> dict[str, Any]:
        """Every table with every key, as JSON and TOML can hold it; the configurations always one by one."""
        tables = self._tables()
        tables.pop("grid", None)
        tables["configurations"] = [_plain(asdict(item)) for item in self.configurations]
        return tables

    def to_toml(self) -> str:
        """A recipe file that ``load_recipe`` reads back as this recipe, overrides worked in and paths absolute."""
        header = "".join(f"# {line}".rstrip() + "\n" for line in self.header.splitlines())
        tables = made_absolute(self._tables())
        return header + ("\n" if header else "") + tomli_w.dumps({"name": self.name, **tables})

    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = {
            name: _plain(asdict(getattr(self, name)))
            for name in ("data", "validation", "tokenizer", "embedding", "model", "head", "phase1", "phase2")
        }
        for key in GRID_KEYS:
            del tables["model"][key]
        tables["evaluation"] = asdict(self.evaluation)
        tables["runs"] = _plain(asdict(self.runs))
        if self.grid is not None:
            tables["grid"] = _plain(asdict(self.grid))
        else:
            tables["configurations"] = [asdict(item) for item in self.configurations]
        return tables


def expand(grid: GridConfig) -> tuple[Configuration, ...]:
    """The product of a grid's lists, in the studies' order: by width, then tokens, then layers."""
    return tuple(
        Configuration("", layers, width, tokens)
        for width in grid.context_dim
        for tokens in grid.tokens
        for layers in grid.layers
    )


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()}
