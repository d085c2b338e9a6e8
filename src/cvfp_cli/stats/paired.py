"""Two arms of a study: the change of PPL from one to the other, with an interval over the seeds that both were run with."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean, variance
from typing import Literal

from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.regression import tested
from cvfp_cli.study.arms import NGRAM, Arms
from cvfp_cli.study.families import Cell

Unit = tuple[Hashable, Hashable]  # a seed, and the draw of the samples
FEWEST_SIZES = 3  # from which the spread over sizes may stand for that over seeds


@dataclass(frozen=True)
class ArmsCompared:
    """The change of ln PPL from the base of two arms to the other one.

    Attributes:
        sizes: those that both have, ascending. changes: one a size, over seeds.
        mean: over the sizes, of equal weight.
        over: what its interval is over: ``seeds``; ``sizes``, where there is one seed; else empty, without interval.
        repeats: how many of these.
    """

    arms: Arms
    sizes: tuple[int, ...]
    changes: tuple[Estimate, ...]
    mean: Estimate
    over: Literal["seeds", "sizes", ""]
    repeats: int


def compare_arms(arms: Arms, level: float) -> ArmsCompared | None:
    """The two at each common size and over all of them; None where they share no size."""
    sizes = tuple(cell.size for cell in arms.base.cells if arms.other.cell(cell.size) is not None)
    if not sizes:
        return None
    first, second = ([_losses(group.cell(size)) for size in sizes] for group in (arms.base, arms.other))
    fixed = arms.base.kind == NGRAM
    changes = tuple(
        paired_difference(one, other, level, fixed=fixed) for one, other in zip(first, second, strict=True)
    )
    one, other = _over_sizes(first), _over_sizes(second)
    mean = paired_difference(one, other, level, fixed=fixed) if one and other else Estimate(None)
    if mean.df is not None:
        shared = len(one.keys() & other.keys())
        repeats = len(other) if fixed else shared if shared > 1 else min(len(one), len(other))
        return ArmsCompared(arms, sizes, changes, mean, "seeds", repeats)
    gaps = [change.known for change in changes]
    if len(gaps) < FEWEST_SIZES:
        return ArmsCompared(arms, sizes, changes, Estimate(fmean(gaps)), "", 0)
    return ArmsCompared(arms, sizes, changes, over(gaps, level), "sizes", len(gaps))


def paired_difference(
    first: Mapping[Unit, float], second: Mapping[Unit, float], level: float, *, fixed: bool = False
) -> Estimate:
    """The mean of second - first with its t interval; without one where nothing is repeated.

    Units that both have are paired. Where draws of samples stand with several seeds and seeds with several draws,
    differences share both: the variances of the means by seed and by draw are added up, which is never too little, with
    the fewer degrees of freedom. With at most one unit in both, the two are independent samples (Welch 1947).

    Args:
        first, second: ln PPL by unit, at least one each.
        fixed: the first knows no seed, so that its one figure of a draw is all there is.
    """
    if fixed:
        drawn = {draw: value for (_, draw), value in first.items()}
        differences = {unit: value - drawn[unit[1]] for unit, value in second.items() if unit[1] in drawn}
        if differences:
            return _over_units(differences, level)
    both = [unit for unit in second if unit in first]
    if len(both) > 1 or len(first) == len(second) == len(both):
        return _over_units({unit: second[unit] - first[unit] for unit in both}, level)
    gap = fmean(second.values()) - fmean(first.values())
    if min(len(first), len(second)) < 2:
        return Estimate(gap)
    parts = [(variance(values.values()) / len(values), len(values) - 1) for values in (first, second)]
    total = sum(part for part, _ in parts)
    df = total**2 / sum(part**2 / each for part, each in parts) if total > 0 else float(parts[0][1])
    return tested(gap, sqrt(total), df, level)


def over(values: Sequence[float], level: float) -> Estimate:
    """The mean of independent values with its t interval; without one where there are fewer than two."""
    if len(values) < 2:
        return Estimate(fmean(values))
    return tested(fmean(values), sqrt(variance(values) / len(values)), len(values) - 1, level)


def _over_units(differences: Mapping[Unit, float], level: float) -> Estimate:
    levels: list[list[float]] = []
    for part in (0, 1):
        by_level: dict[Hashable, list[float]] = {}
        for unit, value in differences.items():
            by_level.setdefault(unit[part], []).append(value)
        levels.append([fmean(values) for values in by_level.values()])
    if any(len(means) == len(differences) for means in levels):  # each with a seed, or a draw, of its own
        return over(list(differences.values()), level)
    several = [means for means in levels if len(means) > 1]
    total = sum(variance(means) / len(means) for means in several)
    return tested(fmean(differences.values()), sqrt(total), min(map(len, several)) - 1, level)


def _losses(cell: Cell | None) -> dict[Unit, float]:
    """ln PPL by unit; runs without a seed, or of one and the same, are units of their own."""
    found: dict[Unit, float] = {}
    for i, run in enumerate(cell.runs if cell is not None else ()):
        if run.val_ppl:
            unit: Unit = (run.seed, run.data_seed)
            found[unit if unit not in found else (("again", i), run.data_seed)] = log(run.val_ppl)
    return found


def _over_sizes(losses: Sequence[Mapping[Unit, float]]) -> dict[Unit, float]:
    """The means over the sizes, of units that each of them has."""
    shared = [unit for unit in losses[0] if all(unit in each for each in losses)]
    return {unit: fmean(each[unit] for each in losses) for unit in shared}
