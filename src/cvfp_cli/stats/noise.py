"""What counts as noise for each measure, and which figures are best beyond it.

For perplexities and slopes: the error model of all configurations' lines (``lines.py``). For accuracy: its standard
error, clustered by validation sample. For iterations and effective rank: seeds only. The losses of the validation
samples are no noise of a perplexity: they do not hold the seeds, and marks by them were false in 38-58 % of studies
whose seeds move by 1-2 %. A figure is marked best only if it is told from every other one; otherwise all that may be
the best are marked alike (``best.py``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.stats.best import Best, best_of_differences
from cvfp_cli.stats.contrast_errors import Differences
from cvfp_cli.stats.lines import Lines, RunPoint, fit_lines
from cvfp_cli.study.families import Cell, Family, Group

Vector = NDArray[np.float64]
Method = Literal["seeds", "two-way", "lines", "clustered"]

ROUNDING = 1e-12  # differences (of shares, or of logarithms) up to this are rounding


@dataclass(frozen=True)
class FigureNoise:
    """Errors of the differences between figures.

    Attributes:
        method: where they come from.
        differences: variances and degrees of freedom, figures by figures.
        lines: the fit that they come from; None where there is none.
    """

    method: Method
    differences: Differences
    lines: Lines | None = None

    @classmethod
    def of_variances(cls, method: Method, variance: Vector, df: float) -> "FigureNoise":
        """Of figures that share nothing; ``variance`` is that of each, shape (figures,)."""
        both = variance[:, None] + variance[None, :]
        np.fill_diagonal(both, 0.0)
        return cls(method, Differences(both, np.full(both.shape, df)))

    @property
    def df(self) -> float:
        """The fewest degrees of freedom of any difference; 0 where one has none."""
        off = ~np.eye(len(self.differences.df), dtype=bool)
        return float(self.differences.df[off].min()) if off.any() else 0.0

    def of(self, rows: Sequence[int]) -> "FigureNoise":
        """The noise of these figures alone."""
        return replace(self, differences=self.differences.of(rows))

    def spread(self, rows: Sequence[int], count: int) -> "FigureNoise":
        """These figures at their places among ``count``, of which the others are not known."""
        variance, df = np.full((count, count), np.nan), np.full((count, count), self.df)
        at = np.ix_(list(rows), list(rows))
        variance[at], df[at] = self.differences.variance, self.differences.df
        return replace(self, differences=Differences(variance, df))


def log_of(measure: Callable[[Cell], float | None]) -> Callable[[Cell], float | None]:
    """The logarithm of a measure, on whose scale perplexities and their ratios are compared."""

    def logged(cell: Cell) -> float | None:
        value = measure(cell)
        return log(value) if value is not None and 0 < value < inf else None

    return logged


def val_ppl(cell: Cell) -> float | None:
    """Validation perplexity of a cell."""
    return cell.val_ppl


def ppl_lines(
    family: Family, measure: Callable[[Cell], float | None] = val_ppl, *, own: bool = False
) -> Lines | None:
    """The lines of the logarithm of a perplexity, or of a ratio of two, over ln n; None where they leave no error.

    Args:
        own: keep to lines of their own (``fit_lines``), over the runs whose size in ``family.x`` is known.
    """
    return fit_lines(run_points(family, family.groups, measure, by_x=own or family.sized), own=own)


def run_points(
    family: Family,
    groups: Sequence[Group],
    measure: Callable[[Cell], float | None] = val_ppl,
    *,
    by_x: bool = True,
) -> list[RunPoint]:
    """The logarithm of a perplexity, or of a ratio of two, of these groups' runs, each at its size.

    Args:
        by_x: over the size in ``family.x``, and only runs that have one; else over the nominal size.
    """
    logged = log_of(measure)
    points = []
    runs = [(group.label, cell.size, run) for group in groups for cell in group.cells for run in cell.runs]
    for label, size, run in runs:
        at = getattr(run, family.x) if by_x else size
        value = logged(Cell(size, (run,)))
        if at and value is not None:
            points.append(RunPoint(label, float(size), run.data_seed, log(at), value))
    return points


def ppl_noise(lines: Lines | None, labels: Sequence[str], size: float | None) -> FigureNoise | None:
    """Noise of the mean logarithms of these configurations at one size; None where the runs give none."""
    if lines is None or size is None or not set(labels) <= set(lines.labels):
        return None
    found = FigureNoise(
        "seeds" if len(lines.sizes) == 1 else "lines" if lines.own else "two-way",
        lines.at_size(labels, size),
        lines,
    )
    return found if found.df > 0 else None


def slope_noise(lines: Lines | None, labels: Sequence[str]) -> FigureNoise | None:
    """Noise of the slopes of these configurations."""
    if lines is None or not lines.own:
        return None
    rows = [label for label in labels if label in lines.labels]
    if len(rows) < len(labels) or any(lines.slope_of[lines.labels.index(label)] < 0 for label in rows):
        return None
    return _of_contrasts(lines, labels, lines.slopes(labels))


def mean_slope_noise(lines: Lines | None, members: Sequence[Sequence[str]]) -> FigureNoise | None:
    """Noise of means of slopes, each over some configurations."""
    if slope_noise(lines, [label for part in members for label in part]) is None:
        return None
    assert lines is not None
    rows = np.array([lines.slopes(part).mean(axis=0) for part in members])
    found = FigureNoise("lines", lines.model.differences(rows), lines)
    return found if found.df > 0 else None


def line_noise(lines: Lines | None, labels: Sequence[str], log_n: float) -> FigureNoise | None:
    """Noise of the lines of these configurations at ln n."""
    if slope_noise(lines, labels) is None:
        return None
    assert lines is not None
    return _of_contrasts(lines, labels, lines.at(labels, log_n))


def accuracy_noise(family: Family, cells: Sequence[Cell]) -> FigureNoise | None:
    """Standard errors clustered by validation sample; without them the spread over seeds."""
    errors = [[run.val_accuracy_se for run in cell.runs if run.val_accuracy_se is not None] for cell in cells]
    if cells and all(errors):
        clusters = [len(run.sample_targets) for cell in cells for run in cell.runs if run.sample_targets]
        variance = np.array([float(np.mean(np.square(error))) for error in errors])
        return FigureNoise.of_variances(
            "clustered", variance, min(clusters) - 1 if clusters else float("inf")
        )
    return seed_noise(family, cells, lambda cell: cell.accuracy)


def seed_noise(
    family: Family, cells: Sequence[Cell], measure: Callable[[Cell], float | None]
) -> FigureNoise | None:
    """The spread over seeds, pooled over all cells; None with one seed."""
    squares, df = 0.0, 0
    for cell in family.cells:
        values = [measure(Cell(cell.size, (run,))) for run in cell.runs] if len(cell.runs) > 1 else []
        known = np.array([value for value in values if value is not None])
        if len(known) > 1:
            squares += float(np.sum((known - known.mean()) ** 2))
            df += len(known) - 1
    if not df:
        return None
    runs = np.array([len(cell.runs) for cell in cells], dtype=float)
    return FigureNoise.of_variances("seeds", squares / df / runs, df)


def best_by(values: Sequence[float | None], noise: FigureNoise | None, *, level: float = 0.95) -> Best | None:
    """The lowest figure, against every other; None without noise, or with fewer than two finite figures."""
    figures = np.array([np.nan if value is None or not np.isfinite(value) else value for value in values])
    if noise is None or np.sum(np.isfinite(figures)) < 2:
        return None
    # What differs by rounding alone is equal, however small the noise.
    near = np.abs(figures - np.nanmin(figures)) <= ROUNDING
    return best_of_differences(
        np.where(near, np.nanmin(figures), figures), noise.differences, significance=1.0 - level
    )


def as_low_as_best(
    values: Sequence[float | None], noise: FigureNoise | None, *, level: float = 0.95
) -> tuple[bool, ...]:
    """Which figures may be the lowest one: it alone where it is told from every other, else the candidates.

    Without an estimate of the noise, or fewer than two finite figures, none are.
    """
    found = best_by(values, noise, level=level)
    if found is None:
        return (False,) * len(values)
    chosen = {found.best} if found.decided else {found.best, found.rival, *found.candidates}
    return tuple(i in chosen for i in range(len(values)))


def _of_contrasts(lines: Lines, labels: Sequence[str], rows: Vector) -> FigureNoise | None:
    found = FigureNoise("lines", lines.fair(labels, lines.model.differences(rows)), lines)
    return found if found.df > 0 else None
