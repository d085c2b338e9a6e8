"""Log-log lines of configurations that share sizes, with the errors of everything that is said of them together.

Every configuration has its own line, ln y = level + slope (ln n - centre), by least squares over its runs, which is
the law ``power``. What the lines miss is the error model's (``error_model.py``): a part of each size that all
configurations share, of each configuration at a size, and of each run. Differences between configurations in the same
sizes are free of the shared part; a mean over configurations is not, however many there are of them.

Without enough sizes for lines of their own the configurations get levels of their own and one slope, so that what
slopes differ by counts as error, and with one size their means, where nothing tells how far a configuration strays
from its line: that part then has to be taken as 0, which ``Lines.assumed`` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cvfp_cli.stats.components import Array, Rows
from cvfp_cli.stats.contrast_errors import Differences
from cvfp_cli.stats.error_model import ErrorModel, fit_error_model
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.labels import CELL, SEED, Labels
from cvfp_cli.stats.regression import tested
from cvfp_cli.stats.unequal import variance_stands_out

ENOUGH_FREEDOM = 3  # degrees of freedom of configurations by sizes from which lines of their own are taken
MOST_RUNS = 400  # beyond which the means of a cell's runs stand for them
ROUNDING = 1e-12  # residuals up to this, relative to the figures, are rounding


class RunPoint(NamedTuple):
    """One run: its configuration, nominal size, draw of the samples, ln n and ln y."""

    configuration: str
    size: float
    data_seed: int | None
    x: float
    y: float


class Variances(NamedTuple):
    """Of a configuration at a size, and of a seed of it; the first is 0 where one seed tells only their sum."""

    cell: float
    seed: float


@dataclass(frozen=True)
class Lines:
    """The fit.

    Attributes:
        labels: of the configurations, (g,). sizes: nominal ones, ascending.
        spare: degrees of freedom of configurations by sizes that lines of their own leave.
        coefficients: levels, then slopes (own ones, or one for all), (p,). centre: of ln n.
        slope_of: the column of each configuration's slope; -1 where it has none, (g,).
        model: the errors. assumed: parts that these runs do not show, taken as 0 in what is said of one size.
        points: the runs, or the means that stand for them, in the order of the model's rows.
        counts: runs behind each point, (m,).
        relative: squared residuals of the difference of each two configurations, relative to the mean of all, (g, g),
            where one configuration is noisier than the others; None where none stands out or sizes are not all shared.
    """

    labels: tuple[str, ...]
    sizes: tuple[float, ...]
    spare: int
    coefficients: Array
    centre: float
    slope_of: Rows
    model: ErrorModel
    assumed: tuple[str, ...]
    points: tuple[RunPoint, ...]
    counts: Array
    relative: Array | None = None

    @property
    def own(self) -> bool:
        """Whether every configuration with two sizes has a slope of its own."""
        slopes = self.slope_of[self.slope_of >= 0]
        return len(np.unique(slopes)) == len(slopes) > 0

    @property
    def variances(self) -> Variances:
        """What a configuration at a size and what a seed adds."""
        by_name = {
            name: (part.names, part.variance or 0.0) for part in self.model.parts for name in part.names
        }
        cell, seed = by_name[CELL], by_name[SEED]
        return Variances(0.0 if cell[0] == seed[0] or SEED in cell[0] else cell[1], seed[1])

    @property
    def seeds(self) -> int:
        """Runs of a cell, rounded."""
        cells = {(point.configuration, point.size) for point in self.points}
        return max(1, round(float(self.counts.sum()) / len(cells)))

    @property
    def step(self) -> float:
        """Mean step of ln n from one size to the next; 0 with one size."""
        at = [point.x for point in self.points]
        return (max(at) - min(at)) / (len(self.sizes) - 1) if len(self.sizes) > 1 else 0.0

    def slopes(self, labels: Sequence[str]) -> Array:
        """Contrasts that are the slopes of these configurations, (k, p)."""
        return self._pick([self.slope_of[self.labels.index(label)] for label in labels])

    def at(self, labels: Sequence[str], log_n: float) -> Array:
        """Contrasts that are the lines of these configurations at ln n, (k, p)."""
        levels = self._pick([self.labels.index(label) for label in labels])
        return levels + (log_n - self.centre) * self.slopes(labels)

    def values(self, rows: Array) -> list[float]:
        """What these contrasts are, (k, p) to k."""
        return [float(value) for value in rows @ self.coefficients]

    def fair(self, labels: Sequence[str], differences: Differences) -> Differences:
        """The same differences, each by its own residuals where one configuration is noisier than the others."""
        if self.relative is None:
            return differences
        at = [self.labels.index(label) for label in labels]
        freedom = np.minimum(differences.df, len(self.sizes) - 2.0)
        return Differences(differences.variance * self.relative[np.ix_(at, at)], freedom)

    def mean(self, rows: Array, level: float) -> Estimate:
        """The mean of some contrasts, with a t interval; the reason where the runs give it none."""
        row = rows.mean(axis=0)
        value = float(row @ self.coefficients)
        errors = self.model.contrasts(row)
        if errors.reason[0] or not errors.df[0] > 0:
            return Estimate(value, reason=errors.reason[0])
        return tested(value, float(np.sqrt(errors.variance[0])), float(errors.df[0]), level)

    def at_size(self, labels: Sequence[str], size: float) -> Differences:
        """Errors of the differences of the configurations' mean ln y at one size."""
        weights = np.zeros((len(labels), len(self.points)))
        order = {label: i for i, label in enumerate(labels)}
        for row, point in enumerate(self.points):
            if point.size == size and point.configuration in order:
                weights[order[point.configuration], row] = self.counts[row]
        total = weights.sum(axis=1, keepdims=True)
        found = self.model.run_differences(
            weights / np.where(total > 0, total, 1.0), unseen_is_zero=bool(self.assumed)
        )
        return self.fair(labels, found)

    def _pick(self, columns: Sequence[int]) -> Array:
        rows = np.zeros((len(columns), len(self.coefficients)))
        for i, column in enumerate(columns):
            if column >= 0:
                rows[i, column] = 1.0
        return rows


def fit_lines(points: Sequence[RunPoint], *, own: bool = False) -> Lines | None:
    """Fit the lines; None where nothing is left to judge them by, or the figures lie on them but for rounding.

    Args:
        own: keep to lines of their own, however little freedom they leave.
    """
    if not points:
        return None
    labels = tuple(dict.fromkeys(point.configuration for point in points))
    sizes = tuple(sorted({point.size for point in points}))
    kept, counts = list(points), np.ones(len(points))
    if len(kept) > MOST_RUNS:
        kept, counts = _means(kept)
    code = {label: i for i, label in enumerate(labels)}
    rows = np.array([code[point.configuration] for point in kept], dtype=np.intp)
    x = np.array([point.x for point in kept])
    y = np.array([point.y for point in kept])
    found = Labels.of([point.size for point in kept], rows, [(point.size, point.data_seed) for point in kept])
    centre = float(x.mean())
    there = [len({point.size for point in kept if point.configuration == label}) for label in labels]
    sloped = np.array([n > 1 and np.ptp(x[rows == i]) > 0.0 for i, n in enumerate(there)])
    cells = len({(point.configuration, point.size) for point in kept})
    spare = cells - sum(min(n, 2) for n in there) - max(len(sizes) - 2, 0)
    separate = own or (spare >= ENOUGH_FREEDOM and bool(sloped.any()))
    slope_of = np.full(len(labels), -1, dtype=np.intp)
    if separate:
        slope_of[sloped] = len(labels) + np.arange(int(sloped.sum()))
    elif sloped.any():
        slope_of[sloped] = len(labels)
    design = np.zeros((len(kept), max(len(labels), int(slope_of.max()) + 1)))
    design[np.arange(len(kept)), rows] = 1.0
    column = slope_of[rows]
    design[np.flatnonzero(column >= 0), column[column >= 0]] = (x - centre)[column >= 0]
    root = np.sqrt(counts)
    coefficients = _least_squares(design, y, root, rows if separate else None)
    residuals = y - design @ coefficients
    if np.max(np.abs(residuals)) <= ROUNDING * (1.0 + float(np.max(np.abs(y)))):
        return None
    model = fit_error_model(
        residuals,
        design,
        found,
        weight=None if len(kept) == len(points) else counts,
        blocks=rows if separate else None,
    )
    if model.free <= 0:
        return None
    assumed = model.unseen if len(sizes) == 1 else ()
    relative = _relative(labels, sizes, kept, residuals, counts) if separate else None
    return Lines(
        labels, sizes, spare, coefficients, centre, slope_of, model, assumed, tuple(kept), counts, relative
    )


def _least_squares(design: Array, y: Array, root: Array, blocks: Rows | None) -> Array:
    """Weighted least squares, block by block where blocks share no column."""
    if blocks is None:
        return np.asarray(np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0])
    found = np.zeros(design.shape[1])
    for code in np.unique(blocks):
        at = np.flatnonzero(blocks == code)
        columns = np.flatnonzero(np.any(design[at] != 0.0, axis=0))
        part = design[np.ix_(at, columns)] * root[at][:, None]
        found[columns] = np.linalg.lstsq(part, y[at] * root[at], rcond=None)[0]
    return found


def _relative(
    labels: Sequence[str], sizes: Sequence[float], points: Sequence[RunPoint], residuals: Array, counts: Array
) -> Array | None:
    """See ``Lines.relative``; residuals are averaged over the runs of a cell."""
    g, free = len(labels), len(sizes) - 2
    if g < 3 or free < 1:
        return None
    row = np.array([labels.index(point.configuration) for point in points])
    column = np.array([sizes.index(point.size) for point in points])
    total, runs = np.zeros((g, len(sizes))), np.zeros((g, len(sizes)))
    np.add.at(total, (row, column), counts * residuals)
    np.add.at(runs, (row, column), counts)
    if np.any(runs == 0):
        return None
    table = total / runs
    apart = table - table.mean(axis=0)
    due = np.full(g, free * (g - 1.0) / g)
    if not variance_stands_out(np.sum(apart**2, axis=1), due):
        return None
    gram = apart @ apart.T
    squares = np.diag(gram)[:, None] + np.diag(gram)[None, :] - 2.0 * gram
    return np.asarray(squares / (squares.sum() / (g * (g - 1.0))))


def _means(points: Sequence[RunPoint]) -> tuple[list[RunPoint], Array]:
    """One point a cell and draw of the samples: the means of its runs, and how many they are."""
    cells: dict[tuple[str, float, int | None], list[RunPoint]] = {}
    for point in points:
        cells.setdefault(point[:3], []).append(point)
    means = [
        RunPoint(*key, float(np.mean([p.x for p in part])), float(np.mean([p.y for p in part])))
        for key, part in cells.items()
    ]
    return means, np.array([float(len(part)) for part in cells.values()])
