"""One law through one data set, as a least-squares problem for the solver; a batch of P of them at a time.

The level of a curve enters ``ln f`` as a constant and ``f`` as a factor, so its best value given the shape has a
closed form on either scale; it is put in after every step (variable projection, Golub and Pereyra 1973, in the form
of Ruhe and Wedin 1980: the level is one of the step's unknowns, so the step already allows for its adjustment).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cvfp_cli.laws.base import Data, Law
from cvfp_cli.laws.quantities import Functional
from cvfp_cli.stats.solver import Array, Evaluation, Rows

# Values of a curve that are worked on at a time: their derivatives then stay within a processor's cache, and what a
# batch of any size needs beside its own data is a few megabytes.
PIECE = 2**15


def pieces(rows: int, width: int) -> Iterator[slice]:
    """``rows`` rows of ``width`` values each in slices of at most ``PIECE`` values, a row at least."""
    step = max(1, PIECE // max(width, 1))
    return (slice(first, first + step) for first in range(0, rows, step))


# Unknowns (P, k) and the problem of each row -> coordinates that obey a constraint (P, k), and their derivatives by
# the unknowns (P, k, k). An unknown that the constraint solves for has a column of zeros.
CoordinateMap = Callable[[Array, Rows], tuple[Array, Array]]


@dataclass(frozen=True)
class PseudoObservation:
    """One more measurement of each problem: a functional, what it was found to be, and its weight, (P,) each."""

    functional: Functional
    target: Array
    weight: Array

    def add_to(self, at: Evaluation, theta: Array, rows: Rows) -> Evaluation:
        """The evaluation with this measurement in it; ``rss`` stays the data's own."""
        value, gradient = self.functional(theta, rows)
        miss, weight = self.target[rows] - value, self.weight[rows]
        return Evaluation(
            at.rss,
            at.rss + weight * miss * miss,
            at.direction + (weight * miss)[:, None] * gradient,
            at.gram + weight[:, None, None] * gradient[:, :, None] * gradient[:, None, :],
        )


def best_level(law: Law, data: Data, theta: Array, rows: Rows) -> tuple[Array, Array]:
    """``theta`` (R, k) with the level that fits best given the shape, and the sum of squares there (R,).

    Args:
        rows: the data set of each.
    """
    out, rss = theta.copy(), np.empty(len(theta))
    out[:, 0] = 0.0
    for part in pieces(len(theta), data.z.shape[1]):
        own = data.take(rows[part])
        log_f = law.log_value(out[part], own.z)
        if data.objective == "log":
            level = np.sum(own.weight * (own.target - log_f), axis=1) / np.sum(own.weight, axis=1)
            miss = own.target - (log_f + level[:, None])
        else:
            # Shifted by the largest exponent, so that steep curves do not overflow.
            shift = np.max(np.where(own.weight > 0, log_f, -np.inf), axis=1, keepdims=True)
            f = np.exp(np.minimum(log_f - shift, 0.0))
            top = np.sum(own.weight * f * own.target, axis=1)
            level = np.log(np.maximum(top, 1e-280) / np.sum(own.weight * f * f, axis=1)) - shift[:, 0]
            miss = own.target - np.exp(np.minimum(log_f + level[:, None], 300.0))
        out[part, 0], rss[part] = level, np.einsum("pm,pm,pm->p", own.weight, miss, miss)
    return out, rss


def residuals(law: Law, data: Data, theta: Array) -> tuple[Array, Array]:
    """Weighted residuals (P, m) and the curve's weighted Jacobian (P, m, k), on the objective's scale."""
    value, jacobian = law.log_curve(theta, data.z)
    if data.objective == "ppl":
        value = np.exp(np.minimum(value, 300.0))
        jacobian = jacobian * value[:, :, None]
    root = np.sqrt(data.weight)
    return root * (data.target - value), root[:, :, None] * jacobian


def normal_equations(residual: Array, jacobian: Array) -> Evaluation:
    """Sum of squares, J'r and J'J from residuals (P, m) and a Jacobian (P, m, k)."""
    rss = np.einsum("pm,pm->p", residual, residual)
    transposed = jacobian.transpose(0, 2, 1)
    return Evaluation(rss, rss, (transposed @ residual[:, :, None])[:, :, 0], transposed @ jacobian)


@dataclass(frozen=True)
class CurveProblem:
    """Least squares of one law through each of P data sets, perhaps under a constraint, perhaps with one more measurement."""

    law: Law
    data: Data
    constraint: CoordinateMap | None = None
    pseudo: PseudoObservation | None = None

    def evaluate(self, theta: Array, rows: Rows) -> Evaluation:
        """See ``solver.Problem``."""
        parts = [self._evaluate(theta[at], rows[at]) for at in pieces(len(rows), self.data.z.shape[1])]
        if len(parts) == 1:
            return parts[0]
        return Evaluation(
            np.concatenate([part.rss for part in parts]),
            np.concatenate([part.cost for part in parts]),
            np.concatenate([part.direction for part in parts]),
            np.concatenate([part.gram for part in parts]),
        )

    def _evaluate(self, theta: Array, rows: Rows) -> Evaluation:
        if self.constraint is None:
            at = normal_equations(*residuals(self.law, self.data.take(rows), theta))
            return at if self.pseudo is None else self.pseudo.add_to(at, theta, rows)
        coordinates, by_unknown = self.constraint(theta, rows)
        at = normal_equations(*residuals(self.law, self.data.take(rows), coordinates))
        if self.pseudo is not None:
            at = self.pseudo.add_to(at, coordinates, rows)
        return through(at, by_unknown)

    def settle(self, theta: Array, rows: Rows) -> Array:
        """See ``solver.Problem``: the level, unless a constraint or a measurement has a say in it."""
        if self.constraint is not None or self.pseudo is not None:
            return theta
        return best_level(self.law, self.data, theta, rows)[0]


def through(at: Evaluation, by_unknown: Array) -> Evaluation:
    """Normal equations in the unknowns, from those in the coordinates and d coordinates / d unknowns (P, k, k)."""
    transposed = by_unknown.transpose(0, 2, 1)
    return Evaluation(
        at.rss,
        at.cost,
        (transposed @ at.direction[:, :, None])[:, :, 0],
        transposed @ at.gram @ by_unknown,
    )
