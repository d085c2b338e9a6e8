"""What runs that are not planned yet will cost, from a results folder alone: by ``--dry-run``'s estimates, or in proportion.

No text is read. The learner says what a run's steps compute; what a finished run of the configuration took says how many
steps to expect and how fast they go. Where the folder has no recipe for a configuration, or the file is no folder of ours,
operations and seconds are in proportion to training tokens.
"""

import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import tomli_w

from cvfp_cli.errors import InputError
from cvfp_cli.learners import Sizes, Stage
from cvfp_cli.recipes import Configuration, Recipe, load_recipe
from cvfp_cli.results import Results, Run
from cvfp_cli.results.reader import RUNS_FOLDER
from cvfp_cli.scaling.narrowing import Cost
from cvfp_cli.study.families import Group
from cvfp_cli.sweeps.estimate import Pace
from cvfp_cli.sweeps.recording import CONFIG_FILE


@dataclass(frozen=True)
class Costs:
    """Call it for the cost of one run of a group at a nominal size.

    Attributes:
        pace: what the finished runs teach. recipe: of those whose folder has one.
        fixed: validation tokens, rows and width of the table, by configuration.
    """

    pace: Pace
    recipe: Recipe | None
    fixed: Mapping[str, tuple[int, int, int]]

    def __call__(self, group: Group, size: int) -> Cost:
        """By the learner's stages, else in proportion to the tokens of the group's largest run."""
        cell = min(group.cells, key=lambda cell: abs(log(cell.size / size)))
        tokens = (cell.train_tokens or cell.size) / cell.size * size
        stages = _stages(self.recipe, self.fixed, group.label, round(tokens))
        if stages is not None and self.pace.rate:
            work = self.pace.expected(stages, group.config)
            counted = all(stage.arithmetic for stage in stages)
            return Cost(work / self.pace.rate, tokens, work if counted else None)
        runs = [run for cell in group.cells[-1:] for run in cell.runs]
        share = size / group.cells[-1].size
        flops = [run.flops for run in runs if run.flops is not None]
        seconds = [run.total_seconds for run in runs if run.total_seconds is not None]
        return Cost(
            share * sum(seconds) / len(seconds) if seconds else None,
            tokens,
            share * sum(flops) / len(flops) if flops else None,
        )


def costs_of(results: Sequence[Results], groups: Iterable[Group]) -> Costs:
    """What the runs of these results teach of those to come."""
    recipe, fixed = None, {}
    summary = results[0].summary if len(results) == 1 else None
    vocab_size = _vocab_size(summary.data) if summary is not None else None
    if vocab_size is not None:
        recipe = recorded_recipe(results[0].path, [group.runs for group in groups])
    for run in (run for item in results for run in item.runs):
        if vocab_size is not None and run.embed_dim and run.val_tokens:
            fixed[run.config] = (run.val_tokens, vocab_size, run.embed_dim)
    pace = Pace()
    for run in sorted((run for item in results for run in item.runs), key=lambda run: run.samples or 0):
        stages = _stages(recipe, fixed, run.config, run.train_tokens or 0)
        if stages is not None:
            pace.learn(stages, run)
    return Costs(pace, recipe, fixed)


def recorded_recipe(place: Path, runs: Sequence[Sequence[Run]]) -> Recipe | None:
    """The study as its runs' ``config.toml`` files have it, with the configurations of these groups of runs.

    Args:
        place: a results folder, or its ``summary.json``. runs: one group a configuration.

    Returns:
        None where a group has no such file, or this version does not read it.
    """
    folder = place if place.is_dir() else place.parent
    first: dict[str, Any] = {}
    configurations = []
    for group in runs:
        files = [folder / RUNS_FOLDER / _run_name(run) / CONFIG_FILE for run in group]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            return None
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return None
        first = first or raw
        configurations += raw.get("configurations", [])
    if not configurations:
        return None
    with tempfile.TemporaryDirectory() as kept:
        whole = Path(kept) / "study.toml"
        whole.write_text(tomli_w.dumps({**first, "configurations": configurations}), encoding="utf-8")
        try:
            return load_recipe(whole)
        except InputError:
            return None


def _run_name(run: Run) -> str:
    drawn = "" if run.data_seed is None else f"_data{run.data_seed}"
    return f"{run.config}_s{run.samples}_seed{run.seed}{drawn}"


def _vocab_size(data: Mapping[str, Any]) -> int | None:
    tokenizer = data.get("tokenizer")
    found = tokenizer.get("vocab_size") if isinstance(tokenizer, dict) else None
    return found if isinstance(found, int) else None


def _stages(
    recipe: Recipe | None, fixed: Mapping[str, tuple[int, int, int]], label: str, tokens: int
) -> Sequence[Stage] | None:
    configuration = configuration_of(recipe, label) if recipe is not None else None
    if recipe is None or configuration is None or label not in fixed:
        return None
    return configuration.learner.stages(recipe.experiment(configuration, 0), Sizes(tokens, *fixed[label]))


def configuration_of(recipe: Recipe, label: str) -> Configuration | None:
    """The configuration that runs of this name were made from."""
    return next((item for item in recipe.configurations if item.label == label), None)
