"""Which runs to add: the expected width of an interval for any set of runs, and the set that makes it narrowest.

A run is a row x of the design and three groups: its size, its draw of the samples, its cell. With the components s of
the study's errors (``error_model.py``), least squares on all rows has for a contrast c the variance

    v = sum_i s_i |Z_i' X (X'X)^-1 c|^2,

and Satterthwaite's degrees of freedom nu = 2 v^2 / (k' I^-1 k), k_i = |Z_i' X (X'X)^-1 c|^2, with I the expected
information of REML at s, I_ij = tr(P V_i P V_j) / 2. Both need no figure of the new runs, so that the width t(nu) v^(1/2)
is known beforehand but for the components themselves.

The narrowest set within a budget is sought as exact optimal designs are (Fedorov 1972; Atkinson, Donev and Tobias 2007,
chapter 12): grown greedily, by gain and by gain for its cost, then improved by exchanges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cvfp_cli.stats.components import Array, Rows
from cvfp_cli.stats.error_model import ErrorModel
from cvfp_cli.stats.labels import CELL, DATA_SEED, SEED, SIZE, Labels

DENSE = 150  # runs up to which degrees of freedom are worked out anew; with more they have stopped to matter
MOST_ADDED = 60  # bundles in one plan
ROUNDS = 3  # of exchanges
PRIOR = 4.0  # groups' worth of belief that no part is special
SMALLEST_GAIN = 1e-3  # relative narrowing below which nothing more is added


@dataclass(frozen=True)
class Shares:
    """Variances of what runs share; ``seed`` is each run's own."""

    size: float
    data_seed: float
    cell: float
    seed: float

    @classmethod
    def of(cls, model: ErrorModel, curves: int) -> "Shares":
        """Of an estimated model of so many curves.

        What it tells only in sum counts for the finest shared part, where seeds do not help. Each part is drawn towards
        an equal share of all, as if ``PRIOR`` more groups had shown that: three sizes say little of what sizes share,
        and a plan that took a 0 found there at its word would only add seeds.
        """
        total = sum(part.variance or 0.0 for part in model.parts)
        equal = total / len(model.parts)
        k = len(model.workings.bread) // curves
        found = dict.fromkeys((SIZE, DATA_SEED, CELL, SEED), 0.0)
        cells = 0
        for part in model.parts:
            name = next(name for name in (CELL, DATA_SEED, SIZE, SEED) if name in part.names)
            told = {CELL: part.groups - curves * k, SEED: part.groups - cells}.get(name, part.groups - k)
            cells = part.groups
            df = max(told, 0) if part.variance is not None else 0
            found[name] += (df * (part.variance or 0.0) + PRIOR * equal) / (df + PRIOR)
        return cls(found[SIZE], found[DATA_SEED], found[CELL], found[SEED])


@dataclass(frozen=True)
class RunRow:
    """One run, made or to be made: its row of the design (p,), nominal size, configuration, draw of the samples."""

    x: Array
    size: float
    configuration: str
    data_seed: int | None = None


@dataclass(frozen=True)
class Bundle:
    """Runs that are added together, and what they cost in the budget's unit."""

    rows: tuple[RunRow, ...]
    cost: float


@dataclass(frozen=True)
class Widths:
    """Expected half-widths of the goals and their degrees of freedom, (k,) each; NaN where undetermined."""

    half_width: Array
    df: Array

    @property
    def score(self) -> float:
        """Mean logarithm of the half-widths, infinite where one is undetermined."""
        with np.errstate(divide="ignore"):
            mean = float(np.mean(np.log(self.half_width)))
        return mean if not np.isnan(mean) else float("inf")


def expected_widths(rows: Sequence[RunRow], goals: Array, shares: Shares, level: float) -> Widths:
    """Expected half-widths of the intervals of contrasts (k, p) once these runs are there."""
    x = np.array([row.x for row in rows])
    labels = Labels.of(
        [row.size for row in rows],
        [row.configuration for row in rows],
        [(row.size, row.data_seed) for row in rows],
    )
    cells = np.unique(np.stack([labels.size, labels.configuration], axis=1), axis=0, return_inverse=True)[1]
    draws = labels.data_seed
    codes = (labels.size, draws, cells.ravel())
    norms = np.linalg.norm(x, axis=0)
    norms[norms == 0.0] = 1.0
    u, singular, vt = np.linalg.svd(x / norms, full_matrices=False)
    kept = singular > 1e-10 * singular[0]
    u, back = u[:, kept], vt[kept].T / singular[kept]
    loads = u @ (back.T / norms @ goals.T)  # X (X'X)^-1 c, (m, k)
    lost = np.linalg.norm(x.T @ loads - goals.T, axis=0) > 1e-6 * np.linalg.norm(goals, axis=1)
    grouped = [_sums(code, loads) for code in codes]
    k = np.stack([*(np.sum(part**2, axis=0) for part in grouped), np.sum(loads**2, axis=0)], axis=1)
    s = np.array([shares.size, shares.data_seed, shares.cell, shares.seed])
    variance = k @ s
    free = len(rows) - u.shape[1]
    df = np.full(len(goals), float(free))
    if len(rows) <= DENSE and free > 0:
        inverse = _inverse_information(u, codes, s)
        spread = np.einsum("ki,ij,kj->k", k, inverse, k)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(spread > 0.0, np.clip(2.0 * variance**2 / spread, 1.0, free), df)
    if free <= 0:
        lost[:] = True
    half = special.stdtrit(np.maximum(df, 1.0), 0.5 + level / 2.0) * np.sqrt(variance)
    return Widths(np.where(lost, np.nan, half), np.where(lost, 0.0, df))


def cheapest_narrowing(
    made: Sequence[RunRow],
    bundles: Sequence[Bundle],
    goals: Array,
    shares: Shares,
    budget: float,
    level: float = 0.95,
) -> tuple[int, ...]:
    """Indices into ``bundles``, with repetition, of what narrows the intervals of ``goals`` most within the budget.

    A bundle taken twice is another seed of each of its runs.
    """
    search = _Search(made, bundles, goals, shares, budget, level)
    ends = [search.grown((), by_cost=by_cost) for by_cost in (True, False)]
    best = min((search.exchanged(end) for end in ends), key=search.score)
    return best if search.score(best) < search.score(()) else ()


class _Search:
    """Scores of sets of bundles, each worked out once."""

    def __init__(
        self,
        made: Sequence[RunRow],
        bundles: Sequence[Bundle],
        goals: Array,
        shares: Shares,
        budget: float,
        level: float,
    ) -> None:
        self._made = list(made)
        self._bundles = bundles
        self._goals, self._shares, self._level = goals, shares, level
        self._budget = budget
        self._known: dict[tuple[int, ...], float] = {}

    def cost(self, chosen: Sequence[int]) -> float:
        return sum(self._bundles[i].cost for i in chosen)

    def score(self, chosen: tuple[int, ...]) -> float:
        key = tuple(sorted(chosen))
        if key not in self._known:
            rows = self._made + [row for i in key for row in self._bundles[i].rows]
            self._known[key] = expected_widths(rows, self._goals, self._shares, self._level).score
        return self._known[key]

    def affordable(self, spent: float) -> list[int]:
        left = (self._budget - spent) * (1.0 + 1e-9)
        return [i for i, bundle in enumerate(self._bundles) if bundle.cost <= left]

    def grown(self, chosen: tuple[int, ...], *, by_cost: bool) -> tuple[int, ...]:
        now = self.score(chosen)
        while len(chosen) < MOST_ADDED and (there := self.affordable(self.cost(chosen))):
            gains = [now - self.score((*chosen, i)) for i in there]
            gains = [gain if not np.isnan(gain) else 0.0 for gain in gains]  # both undetermined
            rated = [
                gain / self._bundles[i].cost if by_cost else gain
                for gain, i in zip(gains, there, strict=True)
            ]
            at = int(np.argmax(rated))
            if gains[at] < SMALLEST_GAIN:
                break
            chosen = (*chosen, there[at])
            now = self.score(chosen)
        return chosen

    def exchanged(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        for _ in range(ROUNDS):
            now = self.score(chosen)
            options = []
            for out in dict.fromkeys(chosen):
                rest = list(chosen)
                rest.remove(out)
                options += [(*rest, i) for i in self.affordable(self.cost(rest)) if i != out]
            if not options:
                break
            best = min(options, key=self.score)
            if not self.score(best) < now - SMALLEST_GAIN:
                break
            chosen = self.grown(best, by_cost=False)
        return chosen


def _sums(codes: Rows, values: Array) -> Array:
    total = np.zeros((int(codes.max()) + 1, values.shape[1]))
    np.add.at(total, codes, values)
    return total


def _inverse_information(u: Array, codes: Sequence[Rows], s: Array) -> Array:
    """Of the components, in the order of ``s``; parts that the rows cannot tell apart share what they show.

    Args:
        u: an orthonormal basis of the design's columns, (m, rank).
    """
    parts = [(code[:, None] == code[None, :]).astype(float) for code in codes]
    parts.append(np.eye(len(u)))
    scale = float(s.sum()) or 1.0
    v = sum(value / scale * part for value, part in zip(np.maximum(s, 1e-9 * scale), parts, strict=True))
    inner = np.linalg.inv(v)
    weighted = inner @ u
    p = inner - weighted @ np.linalg.solve(u.T @ weighted, weighted.T)
    products = [p @ part for part in parts]
    information = np.array([[0.5 * np.sum(a * b.T) for b in products] for a in products])
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    relative = np.linalg.pinv(information / np.outer(size, size), rcond=1e-9, hermitian=True)
    return np.asarray(relative / np.outer(size, size) * scale**2)
