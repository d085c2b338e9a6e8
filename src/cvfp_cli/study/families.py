"""Runs gathered: cells (one configuration at one size), groups (one configuration), families (comparable groups).

A group is everything but samples and seeds. A family holds the groups that saw the same data, so that their
figures may be compared; every comparison of a report stays within one family. Ensembles have one of their own: they
are made of the other groups' runs, and what is estimated or tested over all groups would count these twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from statistics import fmean
from typing import Any

import numpy as np

from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import ENSEMBLE, Run
from cvfp_cli.study.groups import (
    TOKEN_INPUT,
    PlacedRun,
    Source,
    placed_runs,
    run_label,
    source_names,
    unfinished_training,
)
from cvfp_cli.study.points import SAME_SIZE, Points


@dataclass(frozen=True)
class Cell:
    """All finished runs of one configuration at one size; figures are means over seeds, of logs for PPL.

    Attributes:
        size: the nominal size: samples, or training tokens where samples are unknown.
        runs: at least one.
    """

    size: int
    runs: tuple[Run, ...]

    @property
    def samples(self) -> int | None:
        """Training samples."""
        return self.runs[0].samples

    @cached_property
    def train_tokens(self) -> float | None:
        """Training tokens; data seeds of one sample count differ a little."""
        return mean(run.train_tokens for run in self.runs)

    @cached_property
    def val_ppl(self) -> float | None:
        """Geometric mean of the validation perplexities."""
        return log_mean(run.val_ppl for run in self.runs)

    @cached_property
    def train_ppl(self) -> float | None:
        """Geometric mean of the training perplexities."""
        return log_mean(run.train_ppl for run in self.runs)

    @property
    def gap(self) -> float | None:
        """Validation PPL over training PPL."""
        if self.val_ppl is None or self.train_ppl is None:
            return None
        return self.val_ppl / self.train_ppl

    @cached_property
    def accuracy(self) -> float | None:
        """Validation accuracy, 0 to 1."""
        return mean(run.val_accuracy for run in self.runs)

    @cached_property
    def train_er(self) -> float | None:
        """Effective rank of the training contexts as a share of context_dim."""
        return mean(run.train_effective_rank for run in self.runs)

    @cached_property
    def val_er(self) -> float | None:
        """Effective rank of the validation contexts as a share of context_dim."""
        return mean(run.val_effective_rank for run in self.runs)

    @cached_property
    def iterations(self) -> float | None:
        """Phase-1 iterations."""
        return mean(run.phase1_iterations for run in self.runs)

    @property
    def seconds(self) -> float | None:
        """Mean time of one run, all parts that are known."""
        return mean(run.total_seconds for run in self.runs)


@dataclass(frozen=True)
class Group:
    """One configuration of one study.

    Attributes:
        label: its name in every table. config: without suffixes. alias: the recipe's own name for it, or "".
        kind: of model. axes: its value on every axis.
        cells: ascending in size; only runs that are done and have a validation PPL.
        runs: all, failed ones included.
    """

    label: str
    config: str
    alias: str
    study: str
    kind: str
    axes: Mapping[str, Any]
    token_input: str | None
    cells: tuple[Cell, ...]
    runs: tuple[Run, ...]

    @property
    def layers(self) -> int | None:
        """Of a kind of model that has layers."""
        return self.axes.get("layers")

    @property
    def context_dim(self) -> int | None:
        """Of a kind of model that has contexts."""
        return self.axes.get("context_dim")

    @property
    def tokens(self) -> int | None:
        """Input tokens per step, of a kind of model that has such a number."""
        return self.axes.get("tokens")

    @property
    def factors(self) -> dict[str, Any]:
        """All that groups can differ in but the study: the axes, the kind, and which layers read tokens."""
        flat = {} if TOKEN_INPUT in self.axes else {"token_input": self.token_input}
        return {**self.axes, **flat, "kind": self.kind}

    def factor(self, name: str) -> Any:
        """Its value of a factor, ``study`` included; None where its kind has none."""
        return self.study if name == "study" else self.factors.get(name)

    @property
    def last(self) -> Cell | None:
        """The cell of the largest size."""
        return self.cells[-1] if self.cells else None

    def cell(self, size: float) -> Cell | None:
        """The cell of this size, if there is one."""
        return self._by_size.get(size)

    @cached_property
    def _by_size(self) -> dict[float, Cell]:
        return {cell.size: cell for cell in self.cells}

    @cached_property
    def context_parameters(self) -> int | None:
        """Parameters trained in phase 1."""
        return _agreed(run.parameters.context_block for run in self.runs)

    @cached_property
    def token_parameters(self) -> int | None:
        """Parameters of the TokenBlock."""
        return _agreed(run.parameters.token_block for run in self.runs)

    @property
    def block_parameters(self) -> int | None:
        """Parameters of all but table and head: of a CVFP model both blocks."""
        return _agreed(run.parameters.body for run in self.runs)


@dataclass(frozen=True)
class Family:
    """Groups on the same data.

    Attributes:
        name: the studies in it, joined. ensembles: made of runs that are in another family, which no test may count twice.
        x: what laws are fitted over: ``train_tokens`` or, where more runs have those, ``samples``.
    """

    name: str
    groups: tuple[Group, ...]
    x: str
    ensembles: bool = False

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Every nominal size, ascending."""
        return tuple(sorted({cell.size for group in self.groups for cell in group.cells}))

    @cached_property
    def largest(self) -> int | None:
        """The largest size that at least half of the groups reached."""
        return self._common(reversed(self.sizes))

    @cached_property
    def smallest(self) -> int | None:
        """The smallest size that at least half of the groups have."""
        return self._common(self.sizes)

    def _common(self, sizes: Iterable[int]) -> int | None:
        there = Counter(cell.size for group in self.groups for cell in group.cells)
        reached = sum(bool(group.cells) for group in self.groups)
        return next((size for size in sizes if 2 * there[size] >= reached), None)

    @cached_property
    def size_kind(self) -> str:
        """What nominal sizes are: ``samples`` or ``train_tokens``."""
        return "samples" if all(cell.samples is not None for cell in self.cells) else "train_tokens"

    @property
    def cells(self) -> list[Cell]:
        """All cells, group by group."""
        return [cell for group in self.groups for cell in group.cells]

    @cached_property
    def replicated(self) -> bool:
        """Whether any cell holds more than one run."""
        return any(len(cell.runs) > 1 for cell in self.cells)

    @cached_property
    def sized(self) -> bool:
        """Whether ``x`` is known of every finished run."""
        return all(getattr(run, self.x) for cell in self.cells for run in cell.runs)

    def usable(self, group: Group) -> list[tuple[int, Run]]:
        """A group's finished runs whose ``x`` is known, each with its nominal size."""
        return [(cell.size, run) for cell in group.cells for run in cell.runs if getattr(run, self.x)]

    def points(self, group: Group) -> Points:
        """A group's validation perplexities, ready to fit."""
        runs = self.usable(group)
        parameters = group.block_parameters
        passes = [run.best_epoch or run.epochs for _, run in runs]
        flops = [run.flops for _, run in runs]
        return Points(
            x=np.array([getattr(run, self.x) for _, run in runs], dtype=float),
            y=np.array([run.val_ppl for _, run in runs], dtype=float),
            sizes=np.array([size for size, _ in runs], dtype=float),
            parameters=np.full(len(runs), float(parameters)) if parameters and runs else None,
            passes=np.array(passes, dtype=float) if runs and all(passes) else None,
            flops=np.array(flops, dtype=float) if runs and all(flops) else None,
            label=group.label,
            x_name=self.x,
            notes=tuple(unfinished_training(group.label, [run for _, run in runs])),
        )

    def varies(self, factor: str) -> bool:
        """Whether the groups differ in it."""
        return len({group.factor(factor) for group in self.groups}) > 1


def gather(sources: Sequence[Source]) -> tuple[Family, ...]:
    """Gather the runs of all files into families, in the order in which they first appear.

    Labels are those of ``cvfp fit``: the study stands in brackets where several meet, and the file too where one
    study comes from several.
    """
    gathered: dict[tuple[object, ...], list[PlacedRun]] = {}
    for item in placed_runs(sources):
        run = item.run
        key = (run_label(run), item.study, run.data_fingerprint, run.kind, *sorted(run.axes.items()))
        gathered.setdefault(key, []).append(item)
    families: dict[tuple[str, bool], list[Group]] = {}
    used: Counter[str] = Counter()
    for members in gathered.values():
        first, label = members[0].run, members[0].label
        family = first.data_fingerprint or f"study {first.study}"
        used[label] += 1
        # Names made by hand may stand for several architectures; a label stands for one group only.
        unique = label if used[label] == 1 else f"{label} #{used[label]}"
        families.setdefault((family, first.kind == ENSEMBLE), []).append(
            _group([item.run for item in members], unique)
        )
    return tuple(_family(part) for groups in families.values() for part in _same_sizes(groups))


def families_of(results: Sequence[Results], names: Sequence[str]) -> tuple[Family, ...]:
    """The runs of several files, gathered; those of one study pool, as ``cvfp fit`` pools them."""
    called, _ = source_names(results, names)
    return gather([Source(name, item.runs) for name, item in zip(called, results, strict=True)])


def mean(values: Iterable[float | None]) -> float | None:
    """Arithmetic mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def log_mean(values: Iterable[float | None]) -> float | None:
    """Geometric mean of what is known; None where nothing is. One value is returned as it is."""
    known = [value for value in values if value is not None]
    if len(set(known)) == 1:
        return known[0]
    return exp(fmean(map(log, known))) if known else None


def _group(runs: list[Run], label: str) -> Group:
    first = runs[0]
    by_size: dict[int, list[Run]] = {}
    for run in runs:
        size = run.samples if run.samples is not None else run.train_tokens
        if run.status == "done" and run.val_ppl is not None and size:
            by_size.setdefault(size, []).append(run)
    return Group(
        label,
        first.config,
        next((run.label for run in runs if run.label and run.label != first.config), ""),
        first.study,
        first.kind,
        first.axes,
        first.token_input,
        tuple(Cell(size, tuple(by_size[size])) for size in sorted(by_size)),
        tuple(runs),
    )


def _family(groups: list[Group]) -> Family:
    runs = [run for group in groups for cell in group.cells for run in cell.runs]
    tokens, samples = sum(bool(run.train_tokens) for run in runs), sum(bool(run.samples) for run in runs)
    names = dict.fromkeys(group.study for group in groups if group.study)
    ensembles = groups[0].kind == ENSEMBLE
    name = ", ".join(names) + (f" ({ENSEMBLE})" if ensembles else "")
    x = "train_tokens" if tokens >= samples else "samples"
    return Family(name, tuple(groups), x, ensembles)


def _same_sizes(groups: list[Group]) -> list[list[Group]]:
    """One family, or one a study where a sample count means other numbers of tokens from study to study."""
    logs: dict[int, list[float]] = {}
    for group in groups:
        for cell in group.cells:
            if cell.samples is not None and cell.train_tokens:
                logs.setdefault(cell.size, []).append(log(cell.train_tokens))
    if all(max(found) - min(found) <= SAME_SIZE for found in logs.values()):
        return [groups]
    by_study: dict[str, list[Group]] = {}
    for group in groups:
        by_study.setdefault(group.study, []).append(group)
    return list(by_study.values())


def varying(groups: Iterable[Group]) -> tuple[str, ...]:
    """The factors in which groups differ, in the order in which they are met; the study is none of them."""
    known = list(groups)
    names = dict.fromkeys(name for group in known for name in group.factors)
    return tuple(name for name in names if len({group.factor(name) for group in known}) > 1)


def _agreed(values: Iterable[int | None]) -> int | None:
    """The one value that all known entries share."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None
