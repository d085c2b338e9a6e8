"""How many times the data one configuration is worth compared with another, by their log-log lines.

At a PPL that both reach, one needs n_1 tokens and the other n_2: the data of the second is worth n_1 / n_2 times the
first's. Around one size m, the geometric mean of n_1 and n_2, ln(n_1 / n_2) is the gap of the two lines at m over the
mean of their slopes, turned round: a ratio of two contrasts, whose interval is Fieller's (1954). What a size adds to
all configurations cancels in the gap, and stands in the slope alone.

m is where the PPL halfway (in ln PPL) between the highest and the lowest that both lines reach within their data
puts it. There a bend that both share cancels, too: for equal sizes m is the middle of the data.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from cvfp_cli.stats.contrasts import LogLine, exp_of
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.lines import Lines, RunPoint, fit_lines

LEAST_COMMON = 3  # sizes


@dataclass(frozen=True)
class Worth:
    """What the data of a second side is worth.

    Attributes:
        times: n_1 / n_2 with its interval, both ends None where nothing bounds it or no error is known.
        log_y: ln PPL at which the sizes are read off. sizes: n_1 and n_2 there.
        outside: one of the sizes lies outside its side's data.
        decided: the interval does not hold 1.
    """

    times: Estimate
    log_y: float
    sizes: tuple[float, float]
    outside: bool
    decided: bool


def alike(points: Sequence[RunPoint], first: str, second: str) -> Sequence[RunPoint]:
    """Runs with which what a size adds cancels in the difference of the lines of two configurations.

    These are all runs where both have the same sizes and numbers of seeds; else the means of the cells at sizes that both
    have, which are what the mean difference of a comparison rests on. Two common sizes or fewer make no lines to judge:
    all runs are kept.
    """
    one, other = (Counter(p.size for p in points if p.configuration == name) for name in (first, second))
    common = set(one) & set(other)
    if one == other or len(common) < LEAST_COMMON:
        return points
    cells: dict[tuple[str, float], list[RunPoint]] = {}
    for point in points:
        if point.size in common:
            cells.setdefault((point.configuration, point.size), []).append(point)
    return [
        part[0]._replace(data_seed=None, x=fmean(p.x for p in part), y=fmean(p.y for p in part))
        for part in cells.values()
    ]


def lines_of_pair(points: Sequence[RunPoint], second: str, *, independent: bool) -> Lines | None:
    """The lines of two configurations alone, with their own errors; None where nothing is left to judge them by.

    Args:
        independent: their data differ, so that a size of one is none of the other's.
    """
    if not independent:
        points = alike(points, _other(points, second), second)
    else:
        points = [
            point._replace(size=-1.0 - point.size) if point.configuration == second else point
            for point in points
        ]
    return fit_lines(points, own=True)


def worth(lines: Lines, first: Sequence[str], second: Sequence[str], level: float) -> Worth | None:
    """The worth of the second's data against the first's; of several configurations the mean of their lines counts.

    None where a configuration has no line of its own, or one of the two sides does not fall with size.
    """
    sides = (list(first), list(second))
    if not lines.own or any(lines.slope_of[lines.labels.index(name)] < 0 for side in sides for name in side):
        return None
    slopes = [lines.slopes(side).mean(axis=0) for side in sides]
    levels = [lines.at(side, lines.centre).mean(axis=0) for side in sides]
    slope, height = (np.array(lines.values(np.array(rows))) for rows in (slopes, levels))
    if np.any(slope >= 0.0):
        return None
    # A side's data reach from the last of its configurations' first sizes to the first of their last ones.
    spans = np.array([_span(lines, side) for side in sides]) - lines.centre
    reached = height[:, None] + slope[:, None] * spans
    log_y = 0.5 * float(reached[:, 0].min() + reached[:, 1].max())
    middle = float(np.mean((log_y - height) / slope))
    gap, half = levels[0] - levels[1] + middle * (slopes[0] - slopes[1]), 0.5 * (slopes[0] + slopes[1])
    value, mean = lines.values(np.array([gap, half]))
    times = -value / mean
    errors = lines.model.contrasts(np.array([gap, half, gap + half, gap + times * half]))
    v_gap, v_half, v_both, _ = errors.variance
    df = 0.0 if any(errors.reason) else float(errors.df[3])
    difference = LogLine(value, mean, 0.0, v_gap, v_half, 0.5 * (v_both - v_gap - v_half), df)
    crossing = difference.crossing(level)
    found = Estimate(exp_of(times))
    if not crossing.outside:
        found = replace(found, low=crossing.low, high=crossing.high, df=df or None)
    at = middle + 0.5 * times * np.array([1.0, -1.0])
    outside = bool(np.any(at < spans[:, 0] - 1e-9) or np.any(at > spans[:, 1] + 1e-9))
    bounds = (found.low, found.high)
    return Worth(
        found,
        float(height[0] + slope[0] * at[0]),
        (exp_of(at[0] + lines.centre), exp_of(at[1] + lines.centre)),
        outside,
        (bounds[0] is not None and bounds[0] > 1.0) or (bounds[1] is not None and bounds[1] < 1.0),
    )


def _other(points: Sequence[RunPoint], second: str) -> str:
    return next((point.configuration for point in points if point.configuration != second), second)


def _span(lines: Lines, labels: Sequence[str]) -> tuple[float, float]:
    """ln of the smallest and the largest size that all these configurations have."""
    ranges = []
    for label in labels:
        own = [point.x for point in lines.points if point.configuration == label]
        ranges.append((min(own), max(own)))
    low, high = np.max([low for low, _ in ranges]), np.min([high for _, high in ranges])
    return float(low), float(high)
