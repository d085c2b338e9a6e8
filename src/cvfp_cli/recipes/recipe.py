"""A recipe as data: everything that decides a study's figures, and the runs it consists of."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from typing import Any

import tomli_w

from cvfp_cli.core.config import ExperimentConfig
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.learners import Learner, get_learner
from cvfp_cli.learners.base import AxisValue
from cvfp_cli.recipes.paths import made_absolute, of_run
from cvfp_cli.results.schema import scalar
from cvfp_cli.settings import setting

DEFAULT_KIND = "cvfp"
LONGEST_WORD = 40  # of a value in a name
HASH_DIGITS = 6
BASE_TABLES: Mapping[str, type[Any]] = {
    "data": DataConfig,
    "validation": ValidationConfig,
    "tokenizer": TokenizerConfig,
    "embedding": EmbeddingConfig,
}


@dataclass(frozen=True)
class Configuration:
    """One point of a study's grid, up to sizes and seeds.

    Attributes:
        axes: its value on every axis: by the learner's short names (``layers``), else by ``table.key``.
        kind: the kind of model.
        name: the study's own name for it, such as ``baseline``; empty where it has none.
        shown: how values on the learner's own axes are written where not as they are: ``context_dim`` as ``2x256``.
    """

    axes: Mapping[str, AxisValue]
    kind: str = DEFAULT_KIND
    name: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def learner(self) -> Learner:
        """Who trains it."""
        return get_learner(self.kind)

    @property
    def label(self) -> str:
        """Its name in every table and file: ``2L_768d_2tok``, and ``_noise=0.2`` for each further axis."""
        own = {axis.name for axis in self.learner.axes}
        further = [
            f"_{short_name(key, self.kind)}={_word(value)}"
            for key, value in self.axes.items()
            if key not in own
        ]
        return self.learner.name.format(**{**self.axes, **self.shown}) + "".join(further)

    def to_json(self) -> dict[str, AxisValue]:
        """As a recipe lists it."""
        kind = {} if self.kind == DEFAULT_KIND else {"kind": self.kind}
        return {"name": self.name, **kind, **self.axes}


@dataclass(frozen=True)
class RunsConfig:
    """Which runs of each configuration are made.

    Attributes:
        samples: sizes to run instead of ``data.samples``; that stays the study's list, since it decides what a
            ``bpe:N`` tokenizer is trained on and where ``after-largest:N`` begins.
    """

    seeds: tuple[int, ...] = setting(
        (ExperimentConfig.seed,),
        "seeds of initialisation and noise",
        min=0,
        no_axis="a study trains every seed that it lists",
    )
    data_seeds: tuple[int, ...] = setting(
        (),
        "which samples train, drawn by seed (empty: the first n)",
        min=0,
        no_axis="a study trains every draw that it lists",
    )
    samples: tuple[int, ...] = setting(
        (),
        "training sizes to run now (empty: data.samples)",
        min=1,
        no_axis="a study trains every size that it lists",
    )
    ensemble: bool = setting(
        False,
        "whether the mean of the seeds' probabilities is a result of its own, for each configuration and size",
        no_axis="it adds a result to those of the seeds and changes no run",
    )


@dataclass(frozen=True)
class Recipe:
    """A study, checked and complete.

    Attributes:
        name: of the file, or the file's own ``name``.
        header: the comment at the file's head, without its number signs.
        tables: those of the kinds of model in it, by name, with the values of the first configuration.
        grid: the lists the configurations were made from, by axis; None where they are listed one by one.
        configurations: all of them, in the order in which they run.
        overrides: what was set on top of the file, in the order given: ``table.key`` to value.
        left_out: tables and axes of the file that belong to kinds of model that are not run.
    """

    name: str
    header: str
    data: DataConfig
    validation: ValidationConfig
    tokenizer: TokenizerConfig
    embedding: EmbeddingConfig
    tables: Mapping[str, Any]
    runs: RunsConfig
    grid: Mapping[str, tuple[AxisValue, ...]] | None
    configurations: tuple[Configuration, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

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
    def kinds(self) -> tuple[str, ...]:
        """Every kind of model in it, in the order of the configurations."""
        return tuple(dict.fromkeys(item.kind for item in self.configurations))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Training sizes to run."""
        return self.runs.samples or self.data.samples

    @property
    def data_seeds(self) -> tuple[int | None, ...]:
        """Data seeds to run; None stands for the first n samples."""
        return self.runs.data_seeds or (None,)

    def table(self, name: str) -> Any:
        """A table by its name: one of the data's, ``runs``, or one of a kind of model."""
        return self.tables[name] if name in self.tables else getattr(self, name)

    def at(self, configuration: Configuration) -> "Recipe":
        """The recipe with a configuration's value on every axis in its tables."""
        changed: dict[str, dict[str, AxisValue]] = {}
        for key, value in configuration.axes.items():
            table, _, name = field_of(key, configuration.kind).partition(".")
            changed.setdefault(table, {})[name] = value
        tables = {name: replace(self.table(name), **values) for name, values in changed.items()}
        base = {name: tables.pop(name) for name in BASE_TABLES if name in tables}
        return replace(self, **base, tables={**self.tables, **tables})

    def experiment(self, configuration: Configuration, seed: int, samples: int = 0) -> Any:
        """What decides the figures of one run, up to its data: the learner's own dataclass.

        Args:
            samples: for a recipe that names a folder by them.
        """
        tables = of_run(self.at(configuration).tables, samples, seed)
        return configuration.learner.config(tables, seed)

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
        tables["configurations"] = [item.to_json() for item in self.configurations]
        return tables

    def to_toml(self) -> str:
        """A recipe file that ``load_recipe`` reads back as this recipe, overrides worked in and paths absolute."""
        header = "".join(f"# {line}".rstrip() + "\n" for line in self.header.splitlines())
        tables = made_absolute(self._tables())
        return header + ("\n" if header else "") + tomli_w.dumps({"name": self.name, **tables})

    def _tables(self) -> dict[str, Any]:
        every = {**{name: getattr(self, name) for name in BASE_TABLES}, **self.tables}
        tables: dict[str, Any] = {name: _plain(asdict(table)) for name, table in every.items()}
        for item in self.configurations:
            for key in item.axes:
                table, _, name = field_of(key, item.kind).partition(".")
                tables[table].pop(name, None)
        tables["runs"] = _plain(asdict(self.runs))
        if self.grid is not None:
            tables["grid"] = _plain(dict(self.grid))
        else:
            tables["configurations"] = [item.to_json() for item in self.configurations]
        return tables


def tables_of(kind: str) -> dict[str, type[Any]]:
    """The tables that decide a run of this kind up to sizes and seeds: the data's and the learner's own."""
    return {**BASE_TABLES, **get_learner(kind).tables}


def has_field(key: str, kind: str) -> bool:
    """Whether ``table.key`` decides a run of this kind."""
    return key.partition(".")[0] in tables_of(kind)


def field_of(key: str, kind: str) -> str:
    """Where a recipe holds an axis: ``model.layers`` for ``layers``; ``table.key`` stands for itself."""
    return next((axis.field for axis in get_learner(kind).axes if axis.name == key), key)


def short_name(key: str, kind: str) -> str:
    """``noise`` for ``phase1.noise``, where no other table of this kind has such a key."""
    name = key.rpartition(".")[2]
    there = sum(name in (item.name for item in fields(table)) for table in tables_of(kind).values())
    return name if there == 1 else key


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()}


def _word(value: AxisValue) -> str:
    """A value as it can stand in a name that is also a folder's; where that is not all of it, with a hash of it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    text = str(scalar(value))
    word = re.sub(r"[^\w.+-]+", "-", text)
    if len(word) <= LONGEST_WORD and word == text.replace(":", "-"):
        return word or "none"
    return f"{word[:LONGEST_WORD]}-{sha256(text.encode()).hexdigest()[:HASH_DIGITS]}"
