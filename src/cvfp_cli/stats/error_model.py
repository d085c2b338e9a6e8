"""One model of errors for everything: ln y = law + size + configuration×size + seed (+ data seed).

Runs are not independent looks at a curve. All configurations trained on the same samples share what is easy or hard
in them (``size``; with several draws of the samples also ``data-seed``), all seeds of one cell share how far the law
misses that cell (``configuration-size``), and only the rest is a run's own (``seed``). Each part is a variance
component, estimated by REML (``components.py``) from the residuals of a fit and its Jacobian.

Estimates stay least squares. Their covariance is then

    Var(b) = (X'X)^-1 X'VX (X'X)^-1 = sum_i s_i (X'X)^-1 X'V_i X (X'X)^-1,

linear in the components, so that the variance of a contrast c'b is v = sum_i s_i k_i, k_i = |Z_i'X(X'X)^-1 c|^2.
That is why the adjustment of Kenward and Roger (1997) for the weights' own error is not needed: least squares has no
estimated weights. Degrees of freedom are Satterthwaite's (1946): nu = 2 v^2 / Var(v), Var(v) = k' I^-1 k with I the
information of the components. In a balanced design they are those of the analysis of variance.

A component may come out negative: sizes less apart than chance. Held at 0, it would make every interval too wide where
sizes share little (97.5-99.5 % held instead of 95-97 on 6×6 grids of independent errors), so variances of contrasts
use its sign, and only what is shown of the parts does not.

What the runs cannot tell is not assumed away. Parts whose groups coincide are told together (one seed: seed and
configuration×size). A contrast whose k is no combination of what the residuals show has no variance, and the reason
stands in its place: a law through as many sizes as parameters says nothing of how far laws miss sizes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from cvfp_cli.stats.components import Array, Components, Products, Rows, estimate_components, traces
from cvfp_cli.stats.contrast_errors import (
    NO_FREEDOM,
    NOT_DETERMINED,
    ContrastErrors,
    Differences,
)
from cvfp_cli.stats.labels import SEED, SIZE, Labels, parts_of
from cvfp_cli.stats.regression import df_of_square
from cvfp_cli.stats.rounding import ROUNDING
from cvfp_cli.stats.workings import Workings, solved, solved_by_blocks

SINGULAR = 1e-9  # relative to what the part is before the design is taken out
SMALLEST = 1e-3  # of the variance with components at 0 or above, below which that one is taken

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """One component of the error.

    Attributes:
        names: of the parts that it stands for; more than one where the runs tell them only together.
        groups: how many values of it there are among the runs.
        variance: of ln y (or of the scale of the residuals), 0 or above; None where the residuals say nothing of it.
        df: 2 variance^2 / Var(variance), Satterthwaite's; 0 where the variance is None or 0.
    """

    names: tuple[str, ...]
    groups: int
    variance: float | None
    df: float

    @property
    def of_size(self) -> bool:
        """Whether it is common to all runs of a size, and told from a run's own error."""
        return SIZE in self.names and SEED not in self.names


@dataclass(frozen=True)
class ErrorModel:
    """The components of one fit, and what follows from them.

    Attributes:
        parts: coarse to fine; a part's variance is None where nothing is left to see it by.
        method: ``reml`` or ``moments``.
        free: runs minus the rank of the design.
    """

    parts: tuple[Part, ...]
    method: str
    free: int
    workings: Workings

    @property
    def shared_by_size(self) -> float:
        """Share of the error variance that all runs of one size have in common."""
        total = sum(part.variance or 0.0 for part in self.parts)
        common = sum(part.variance or 0.0 for part in self.parts if part.of_size)
        return common / total if total > 0.0 else 0.0

    @property
    def told_together(self) -> tuple[tuple[str, ...], ...]:
        """Parts that these runs tell only in sum."""
        return tuple(part.names for part in self.parts if len(part.names) > 1)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Parts of which these residuals say nothing."""
        return tuple(name for part in self.parts if part.variance is None for name in part.names)

    def contrasts(
        self, weights: ArrayLike, *, by_squares: bool = False, at_least_zero: bool = False
    ) -> ContrastErrors:
        """Errors of ``weights @ coefficients``; weights of shape (k, p) or (p,).

        Args:
            by_squares: add the squares of the half-widths of each mean square instead of Satterthwaite's rule, which gives
                too many degrees of freedom where a part that has one or two of them happens to come out small.
            at_least_zero: count a part below 0 as 0: with one degree of freedom it comes out there by chance too often.
        """
        return self._errors(weights, new_run=False, by_squares=by_squares, at_least_zero=at_least_zero)

    def of_new_runs(self, rows: ArrayLike) -> ContrastErrors:
        """Errors of one run each at new sizes: of the law there, and all parts anew; rows of the Jacobian, (k, p) or (p,)."""
        return self._errors(rows, new_run=True, by_squares=True, at_least_zero=False)

    def _errors(
        self, rows: ArrayLike, *, new_run: bool, by_squares: bool, at_least_zero: bool
    ) -> ContrastErrors:
        own = self.workings
        c = np.atleast_2d(np.asarray(rows, dtype=float))
        plain = own.shares(c)
        k = plain + float(new_run)
        values = own.held if at_least_zero else own.values
        variance, least = k @ values, SMALLEST * (k @ own.held)
        variance = np.where(variance > least, variance, k @ own.held)
        df = self._df_by_squares(k, variance, values) if by_squares else self._df(k, variance)
        reason = tuple(
            NOT_DETERMINED if left_open else NO_FREEDOM if unseen or self.free <= 0 else ""
            for left_open, unseen in zip(own.left_open(c), own.unseen(k), strict=True)
        )
        bad = np.array([bool(text) for text in reason])
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.where(bad | new_run, np.nan, variance / plain[:, 0])
        return ContrastErrors(np.where(bad, np.nan, variance), np.where(bad, 0.0, df), scale, reason)

    def differences(self, weights: ArrayLike) -> Differences:
        """Errors of the differences of g contrasts of the coefficients, ``weights`` of shape (g, p)."""
        own = self.workings
        c = np.asarray(weights, dtype=float)
        found = self._differences(c @ own.bread @ c.T, c @ own.loads, unseen_is_zero=False)
        lost = own.left_open(c)
        bad = (lost[:, None] | lost[None, :]) & ~np.eye(len(c), dtype=bool)
        return Differences(np.where(bad, np.nan, found.variance), np.where(bad, 0.0, found.df))

    def run_differences(self, weights: ArrayLike, *, unseen_is_zero: bool = False) -> Differences:
        """Errors of the differences of g weighted sums of the runs themselves, such as means of a cell's seeds.

        Args:
            weights: of each run in each sum, (g, m).
            unseen_is_zero: parts of which the residuals say nothing are taken as 0, instead of leaving no variance.
        """
        own = self.workings
        u = np.asarray(weights, dtype=float) / own.root
        return self._differences(u @ u.T, u @ own.sharing, unseen_is_zero=unseen_is_zero)

    def _differences(self, plain: Array, loads: Array, *, unseen_is_zero: bool) -> Differences:
        """From the products of the estimates' loads on the runs (g, g), and their loads on the groups (g, q)."""
        own = self.workings
        grams = [
            plain,
            *(loads[:, own.owner == i] @ loads[:, own.owner == i].T for i in range(len(self.parts) - 1)),
        ]
        k = np.stack([np.diag(one)[:, None] + np.diag(one)[None, :] - 2.0 * one for one in grams], axis=-1)
        flat = np.maximum(k.reshape(-1, len(self.parts)), 0.0)
        variance, held = flat @ own.values, flat @ own.held
        variance = np.where(variance > SMALLEST * held, variance, held)
        df = self._df(flat, variance)
        if not unseen_is_zero:
            # What cancels in a difference leaves rounding behind, which is not to be taken for a part unseen.
            unknown = own.unseen(flat)
            variance, df = np.where(unknown, np.nan, variance), np.where(unknown, 0.0, df)
        if self.free <= 0:
            variance, df = np.full(len(flat), np.nan), np.zeros(len(flat))
        same = np.eye(len(plain), dtype=bool)
        shape = (len(plain), len(plain))
        return Differences(
            np.where(same, 0.0, variance.reshape(shape)), np.where(same, 0.0, df.reshape(shape))
        )

    def _df(self, k: Array, variance: Array) -> Array:
        spread = np.einsum("ki,ij,kj->k", k, self.workings.inverse, k)
        with np.errstate(invalid="ignore", divide="ignore"):
            satterthwaite = np.clip(2.0 * variance**2 / spread, 1.0, self.free)
        return np.where(spread > 0.0, satterthwaite, float(self.free))  # an exact fit has nothing to divide

    def _df_by_squares(self, k: Array, variance: Array, values: Array) -> Array:
        """Degrees of freedom of predictions, whose parts may have very different ones.

        Satterthwaite's are too many where a part of few happens to come out small (88-91 % held at three sizes of
        five seeds). The components are combinations of uncorrelated mean squares a_i, v = sum of h_i a_i; in balanced
        designs these are the analysis of variance's. Howe (1974) adds the squares of their own half-widths, and the
        degrees of freedom given are those with which t has that half-width at 95 %. A mean square that is subtracted
        counts with the normal quantile, so that it takes away no more than itself.
        """
        own = self.workings
        seen = np.flatnonzero(np.diag(own.inverse) > 0.0)
        if len(seen) == 0:
            return np.full(len(k), float(self.free))
        order = np.concatenate([seen[:1], seen[:0:-1]])  # fine to coarse: the finest is a mean square itself
        size = np.sqrt(np.diag(own.inverse)[order])
        relative = own.inverse[np.ix_(order, order)] / np.outer(size, size) + 1e-10 * np.eye(len(order))
        root = size[:, None] * np.linalg.cholesky(relative)
        unit = root / np.diag(root)
        squares, seen_squares = (
            np.maximum(np.linalg.solve(unit, each[order]), 0.0) for each in (values, own.values)
        )
        df = np.clip(2.0 * seen_squares**2 / np.diag(root) ** 2, 1.0, self.free)
        terms = (k[:, order] @ unit) * squares
        factor = np.where(terms > 0.0, special.stdtrit(df, 0.975), special.ndtri(0.975)) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            wanted = np.where(variance > 0.0, np.sum(terms * factor, axis=1) / variance, 0.0)
        return df_of_square(wanted, np.full(len(k), float(self.free)))


def fit_error_model(
    residuals: ArrayLike,
    design: ArrayLike,
    labels: Labels,
    *,
    weight: ArrayLike | None = None,
    blocks: Rows | None = None,
) -> ErrorModel:
    """Estimate the components of the error from a fit that is linear, or linear near its end.

    Args:
        residuals: y minus fitted, (m,), on the scale that the errors have one variance on. For an M-estimate with
            slope psi, hand in psi(residual) / mean(psi'): it has the errors' place in the estimate's first order.
        design: X, or the Jacobian at the estimate, (m, p).
        weight: relative precision of each run's own error, (m,), that the fit used; the other parts have none.
        blocks: a code for each run, (m,), where runs of different codes have no column in common: each is solved by
            itself, so that a thousand lines cost no more than reading them.
    """
    root = np.ones(len(labels.size)) if weight is None else np.sqrt(np.asarray(weight, dtype=float))
    x = np.asarray(design, dtype=float) * root[:, None]
    r = np.asarray(residuals, dtype=float) * root
    basis, bread, norms, lost = solved(x) if blocks is None else solved_by_blocks(x, blocks)
    free = len(r) - basis.shape[1]
    classes = parts_of(labels)
    groups = [int(codes.max()) + 1 for _, codes in classes]
    random = list(range(len(classes) - 1))
    owner = np.repeat(np.arange(len(random)), [groups[i] for i in random]).astype(np.intp)
    w = np.zeros((len(r), len(owner)))
    start = 0
    for i in random:
        w[np.arange(len(r)), start + classes[i][1]] = root
        start += groups[i]
    off_w = w - basis @ (basis.T @ w)
    off_r = r - basis @ (basis.T @ r)
    products = Products.of(off_r, off_w, owner, len(random), free)
    size = np.array(
        [np.sqrt(len(r)), *(np.linalg.norm(w[:, owner == i].T @ w[:, owner == i]) for i in random)]
    )
    blind, seen = _seen(traces(products), size)
    signed, inverse = _estimate(products, seen, negative=True)
    held, held_inverse = signed, inverse
    if np.any(signed.values < 0.0):
        held, held_inverse = _estimate(products, seen, negative=False)
    parts = []
    for i, (names, _) in zip((*(1 + j for j in random), 0), classes, strict=True):
        value, spread = float(held.values[i]), float(held_inverse[i, i])
        df = 2.0 * value**2 / spread if spread > 0 else 0.0
        parts.append(Part(names, groups[i - 1], value if seen[i] else None, df))
    loads = bread @ (x.T @ w)
    workings = Workings(signed.values, held.values, inverse, blind, bread, loads, owner, norms, lost, w, root)
    return ErrorModel(tuple(parts), signed.method, free, workings)


def _seen(full: Array, size: Array) -> tuple[Array, Flags]:
    """Null space of the traces, one vector a column, and which parts can be seen by themselves.

    ``size`` is each part's norm before the design is projected out; it makes the traces free of units. Where parts
    are dependent, the coarsest go, because the finer ones describe the rows that are left.
    """
    relative = full / np.outer(size, size)
    values, vectors = np.linalg.eigh(relative)
    blind = vectors[:, values < SINGULAR] / size[:, None]
    blind = blind / np.where(np.linalg.norm(blind, axis=0) > 0, np.linalg.norm(blind, axis=0), 1.0)
    seen = np.zeros(len(full), dtype=bool)
    for i in (0, *range(len(full) - 1, 0, -1)):
        trial = seen.copy()
        trial[i] = True
        part = relative[np.ix_(trial, trial)]
        seen[i] = np.linalg.eigvalsh(part)[0] > SINGULAR
    return blind, seen


def _estimate(products: Products, seen: Flags, *, negative: bool) -> tuple[Components, Array]:
    """Components with those unseen put to 0, and the inverse of the information of the others."""
    width = 1 + products.parts
    inverse = np.zeros((width, width))
    if not seen[0]:
        return Components(np.zeros(width), np.zeros((width, width)), "reml", float("-inf")), inverse
    kept = np.flatnonzero(seen[1:])
    found = estimate_components(products.only(kept), negative=negative)
    values, information = np.zeros(width), np.zeros((width, width))
    at = np.concatenate([[0], 1 + kept])
    values[at] = found.values
    values[0] = max(values[0], ROUNDING**2)
    information[np.ix_(at, at)] = found.information
    size = np.diag(found.information)
    told = size > 0.0  # of a variance at its floor, rounding alone is left
    scale = np.where(told, 1.0 / np.sqrt(np.where(told, size, 1.0)), 0.0)
    part = np.linalg.pinv(found.information * np.outer(scale, scale), rcond=1e-12, hermitian=True)
    inverse[np.ix_(at, at)] = part * np.outer(scale, scale)
    return Components(values, information, found.method, found.deviance), inverse
