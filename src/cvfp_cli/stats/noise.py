"""What counts as noise for each measure, and which figures are best beyond it.

For perplexities: the spread over seeds; without seeds the residual of ln PPL = size + configuration, where that
has enough freedom, or the paired differences of per-sample validation losses. For accuracy: its standard error,
clustered by validation sample. For iterations and effective rank: seeds only. A figure is marked best only if
every other one is told from it at the 5 % level after Holm's correction over all pairs; otherwise all that
cannot be told from the best are marked alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cvfp_cli.stats.comparison import Curve, JointTest, joint_test
from cvfp_cli.stats.contrasts import holm_adjusted
from cvfp_cli.study.families import Cell, Family

Vector = NDArray[np.float64]
Method = Literal["seeds", "two-way", "samples", "clustered", "slopes"]

ENOUGH_FREEDOM = 3  # degrees of freedom from which the two-way residual is preferred to per-sample losses
ROUNDING = 1e-12  # differences (of shares, or of logarithms) up to this are rounding
HOLM_UP_TO = 300  # figures; beyond that Bonferroni's bound (Holm's first step) spares sorting all pairs


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of differences between figures.

    Attributes:
        method: where they come from.
        df: degrees of freedom of the estimate.
        variance: of each figure, shape (figures,).
        shared: what the figures have in common, shape (figures, samples): the covariance of two figures is the
            product of their rows. None where figures are independent.
    """

    method: Method
    df: float
    variance: Vector
    shared: Vector | None = None

    def difference_variance(self, i: int) -> Vector:
        """Variance of every figure's difference from figure ``i``, shape (figures,)."""
        both = self.variance + self.variance[i]
        return np.asarray(both if self.shared is None else both - 2 * self.shared @ self.shared[i])

    def of(self, rows: Sequence[int]) -> "StandardErrors":
        """The noise of these figures alone."""
        chosen = list(rows)
        return replace(
            self,
            variance=self.variance[chosen],
            shared=None if self.shared is None else self.shared[chosen],
        )

    def of_means(self, members: Sequence[Sequence[int]]) -> "StandardErrors":
        """The noise of means over these figures, which share nothing."""
        spread = [self.variance[list(rows)].sum() / len(rows) ** 2 for rows in members]
        return replace(self, variance=np.array(spread), shared=None)


def log_of(measure: Callable[[Cell], float | None]) -> Callable[[Cell], float | None]:
    """The logarithm of a measure, on whose scale perplexities and their ratios are compared."""

    def logged(cell: Cell) -> float | None:
        value = measure(cell)
        return log(value) if value is not None and 0 < value < inf else None

    return logged


def val_ppl(cell: Cell) -> float | None:
    """Validation perplexity of a cell."""
    return cell.val_ppl


def seed_variance(family: Family, measure: Callable[[Cell], float | None]) -> tuple[float, int] | None:
    """Variance of one run within its cell, pooled over all cells, and its degrees of freedom."""
    squares, df = 0.0, 0
    for cell in family.cells:
        if len(cell.runs) < 2:
            continue
        values = [measure(Cell(cell.size, (run,))) for run in cell.runs]
        known = np.array([value for value in values if value is not None])
        if len(known) > 1:
            squares += float(np.sum((known - known.mean()) ** 2))
            df += len(known) - 1
    return (squares / df, df) if df else None


def ppl_noise(
    family: Family, cells: Sequence[Cell], measure: Callable[[Cell], float | None] = val_ppl
) -> StandardErrors | None:
    """Noise of the logarithm of a perplexity (or of a ratio of two) in these cells, all of one size."""
    logged = log_of(measure)
    runs = np.array([len(cell.runs) for cell in cells], dtype=float)
    spread = seed_variance(family, logged)
    if spread is not None and spread[0] > 0.0:  # repeats that agree in every digit tell of no noise
        return StandardErrors("seeds", spread[1], spread[0] / runs)
    curves = []
    for group in family.groups:
        known = [(cell, value) for cell in group.cells if (value := logged(cell)) is not None]
        if known:
            sizes = tuple(float(cell.size) for cell, _ in known)
            values = tuple(value for _, value in known)
            curves.append(Curve(group.label, sizes, sizes, values, (1,) * len(known)))
    joint = joint_test(curves)
    two_way = None
    if joint is not None and joint.two_way_variance is not None and joint.two_way_df > 0:
        two_way = StandardErrors("two-way", joint.two_way_df, np.full(len(cells), joint.two_way_variance))
    if two_way is not None and two_way.df >= ENOUGH_FREEDOM:
        return two_way
    if measure is val_ppl and (samples := _sample_noise(cells)) is not None:
        return samples
    return two_way


def accuracy_noise(family: Family, cells: Sequence[Cell]) -> StandardErrors | None:
    """Standard errors clustered by validation sample; without them the spread over seeds."""
    errors = [[run.val_accuracy_se for run in cell.runs if run.val_accuracy_se is not None] for cell in cells]
    if cells and all(errors):
        clusters = [len(run.sample_targets) for cell in cells for run in cell.runs if run.sample_targets]
        variance = np.array([float(np.mean(np.square(error))) for error in errors])
        return StandardErrors("clustered", min(clusters) - 1 if clusters else float("inf"), variance)
    return seed_noise(family, cells, lambda cell: cell.accuracy)


def seed_noise(
    family: Family, cells: Sequence[Cell], measure: Callable[[Cell], float | None]
) -> StandardErrors | None:
    """The spread over seeds; None with one seed."""
    spread = seed_variance(family, measure)
    if spread is None:
        return None
    return StandardErrors(
        "seeds", spread[1], spread[0] / np.array([len(cell.runs) for cell in cells], dtype=float)
    )


def slope_noise(lines: JointTest | None, curves: Sequence[Curve]) -> StandardErrors | None:
    """Noise of the slopes of these curves, from the residuals of all lines on common sizes."""
    if lines is None or lines.variance is None or lines.df <= 0:
        return None
    spreads = np.array([np.sum((np.array(curve.x) - np.mean(curve.x)) ** 2) for curve in curves])
    if not len(spreads) or spreads.min() <= 0.0:
        return None
    return StandardErrors("slopes", lines.df, lines.variance / spreads)


def as_low_as_best(
    values: Sequence[float | None], noise: StandardErrors | None, *, level: float = 0.95
) -> tuple[bool, ...]:
    """Which figures are the lowest one, or cannot be told from it after Holm's correction over all pairs.

    Without an estimate of the noise, or fewer than two finite figures, none are.
    """
    known = [i for i, value in enumerate(values) if value is not None and np.isfinite(value)]
    chosen = [False] * len(values)
    if noise is None or len(known) < 2:
        return tuple(chosen)
    figures = np.array([values[i] for i in known], dtype=float)
    best = int(np.argmin(figures))
    p_values = _against_best(figures, noise.of(known), best)
    for i, p_value in zip(known, p_values, strict=True):
        chosen[i] = bool(p_value >= 1 - level)
    chosen[known[best]] = True
    return tuple(chosen)


def _against_best(figures: Vector, noise: StandardErrors, best: int) -> Vector:
    """p of each figure's difference from the best, after Holm's correction over all pairs."""
    count = len(figures)
    if count > HOLM_UP_TO:
        p_values = _p(figures - figures[best], noise.difference_variance(best), noise.df)
        return np.minimum(1.0, p_values * (count * (count - 1) / 2))
    rows, columns = np.triu_indices(count, 1)
    variance = np.array([noise.difference_variance(i) for i in range(count)])[rows, columns]
    p_values = _p(figures[columns] - figures[rows], variance, noise.df)
    against = np.ones(count)
    with_best = (rows == best) | (columns == best)
    against[np.where(rows == best, columns, rows)[with_best]] = holm_adjusted(p_values)[with_best]
    return against


def _p(difference: Vector, variance: Vector, df: float) -> Vector:
    """Two-sided t probability of each difference; one within rounding is none, however small the noise."""
    error = np.sqrt(np.maximum(variance, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(np.abs(difference) <= ROUNDING, 0.0, np.abs(difference) / error)
    tail = special.stdtr(df, -t) if np.isfinite(df) else special.ndtr(-t)
    return np.asarray(2.0 * tail, dtype=float)


def _sample_noise(cells: Sequence[Cell]) -> StandardErrors | None:
    """Variance of each difference of mean validation loss, from the same samples' losses under both."""
    losses, targets = [], None
    for cell in cells:
        run = cell.runs[0]
        if not run.sample_losses or not run.sample_targets or len(run.sample_losses) < 2:
            return None
        if targets is not None and run.sample_targets != targets:
            return None
        targets = run.sample_targets
        losses.append(run.sample_losses)
    if targets is None or len(losses) < 2 or len({len(row) for row in losses}) > 1:
        return None
    weights = np.array(targets, dtype=float) / sum(targets)
    table = np.array(losses)
    samples = len(targets)
    deviations = weights * (table - (table @ weights)[:, None]) * np.sqrt(samples / (samples - 1))
    return StandardErrors("samples", samples - 1, np.sum(deviations**2, axis=1), deviations)
