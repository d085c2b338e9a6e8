"""How a budget of operations is best split into model and data size, by a fitted joint law.

Training costs C = c N^p D^q: 6 N D where nobody counted (Kaplan et al. 2020; Hoffmann et al. 2022), else what the runs'
own operations say. The split is a closed form for every law (``Surface.split``): N grows as C^(beta / (q alpha + p beta)).
Its interval is made as the law's own are: from refits, by the first order of the estimate's errors (of the exponent's
logit, so that it stays between its ends), or where those leave the law by the profile of the figure itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from cvfp_cli.laws.surface import ALPHA, BETA
from cvfp_cli.scaling.joint import Figure
from cvfp_cli.scaling.joint_profile import held_figure, walk
from cvfp_cli.scaling.joint_questions import AskedFit, prediction_at
from cvfp_cli.scaling.numbers import NO_SLOPE
from cvfp_cli.scaling.result import Compute, Estimate, Split
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.table_points import USUAL_FLOPS

SAME = 0.05  # counted operations that differ by less than this from a multiple of N D are one
NEAR = 1e-4  # of a figure that a profile holds
FARTHEST = 230.0  # ln of a size that no computer reaches


@dataclass(frozen=True)
class Relation:
    """What training costs: ``C = factor N^by_n D^by_d`` operations.

    Attributes:
        counted: from the runs' own operations. spread: standard deviation of ln C about it.
    """

    factor: float
    by_n: float = 1.0
    by_d: float = 1.0
    counted: bool = False
    spread: float = 0.0


def relation_of(n: Array, d: Array, passes: Array, flops: Array | None) -> Relation:
    """The relation of runs, all (m,): a multiple of N D where it is one, else the power law through their operations."""
    if flops is None:
        return Relation(USUAL_FLOPS * float(np.median(passes)))
    log_ratio = np.log(flops / (n * d))
    if np.std(log_ratio) < SAME:
        return Relation(float(np.exp(log_ratio.mean())), counted=True, spread=float(np.std(log_ratio)))
    columns = np.column_stack([np.ones_like(n), np.log(n), np.log(d)])
    found = np.linalg.lstsq(columns, np.log(flops), rcond=None)[0]
    off = np.log(flops) - columns @ found
    return Relation(float(np.exp(found[0])), float(found[1]), float(found[2]), True, float(np.std(off)))


def compute_of(law: AskedFit, relation: Relation, budgets: Sequence[float]) -> Compute:
    """How N and D grow with C, and the best split of each budget."""
    reason = ""
    if min(relation.by_n, relation.by_d) <= 0.0:
        reason = "the runs' operations do not grow with both sizes"
    elif law.undetermined - {"E"}:
        reason = "the runs leave parameters of the law undetermined"
    elif min(law.fit.theta[[ALPHA, BETA]]) <= NO_SLOPE or min(_shares(law)) <= NO_SLOPE:
        reason = "the fitted law does not fall with both sizes"
    if reason:
        return Compute(**vars(relation), reason=reason)
    asked = _Asked(law, relation)
    by_n, by_d = asked.exponents()
    return Compute(**vars(relation), model_size=by_n, x=by_d, splits=tuple(map(asked.split, budgets)))


def _shares(law: AskedFit) -> Array:
    """By how much of the loss each term falls with the logarithm of its size, in the middle of the runs, (2,)."""
    theta = law.fit.theta
    return np.asarray(np.exp(theta[1:3] - np.median(law.data.log_loss)) * theta[[ALPHA, BETA]])


@dataclass(frozen=True)
class _Asked:
    """A law and what training costs."""

    law: AskedFit
    relation: Relation

    @property
    def powers(self) -> tuple[float, float]:
        return self.relation.by_n, self.relation.by_d

    def exponents(self) -> tuple[Estimate, Estimate]:
        """Of N and D over C. With them p ln N and q ln D share ln C."""
        p, q = self.powers
        share = self._estimate(self._logit).map(special.expit)
        return share.map(lambda end: float(end / p)), share.turned().map(lambda end: float((1.0 + end) / q))

    def _logit(self, theta: Array) -> tuple[Array, Array]:
        """ln(p beta / (q alpha)), the logit of how p ln N grows with ln C."""
        p, q = self.powers
        alpha, beta = (np.maximum(theta[:, at], 1e-12) for at in (ALPHA, BETA))
        gradient = np.zeros_like(theta)
        gradient[:, ALPHA], gradient[:, BETA] = -1.0 / alpha, 1.0 / beta
        return np.log(p * beta / (q * alpha)), gradient

    def split(self, budget: float) -> Split:
        """N and D of one budget."""
        law, data = self.law, self.law.data
        p, q = self.powers
        log_cost = float(np.log(budget / self.relation.factor))
        centred = log_cost - p * data.centre_n - q * data.centre_d

        def log_n(theta: Array) -> tuple[Array, Array]:
            return data.law.split(theta, centred, self.powers, law.passes)

        found = self._estimate(log_n).map(lambda end: end + data.centre_n)
        other = found.turned().map(lambda end: (log_cost + p * end) / q)
        if max(abs(found.known), abs(other.known)) > FARTHEST:
            return Split(budget, None, None, None, "only at sizes far beyond any data")
        size, tokens = _size(found), _size(other)
        return Split(budget, size, tokens, prediction_at(law, size.known, tokens.known))

    def _estimate(self, figure: Figure) -> Estimate:
        """A figure of the law with its interval; an end that nothing bounds is infinite."""
        law = self.law
        value, gradient = figure(law.fit.theta[None])
        middle = float(value[0])
        reason = law.unknown(gradient[0])
        if reason or law.errors is None:
            return Estimate(middle, reason=reason)
        if law.draws is not None:
            drawn = figure(law.draws)[0]
            low, high = np.quantile(drawn, law.tails, method="nearest")
            return Estimate(middle, float(low), float(high))
        if law.profiled:
            allowed = law.errors.allowed(gradient[0], law.level)
            rise = self._profile(figure)
            ends = (walk(rise, middle, sign, allowed) for sign in (-1.0, 1.0))
            low, high = (
                sign * np.inf if end is None else end for end, sign in zip(ends, (-1.0, 1.0), strict=True)
            )
            return Estimate(middle, low, high)
        width = law.errors.half_width(gradient[0], law.level)
        return Estimate(middle, middle - width, middle + width)

    def _profile(self, figure: Figure) -> Callable[[float], float]:
        """The rise of the least loss of a law whose figure has a value."""
        held = held_figure(self.law.data, self.law.fit)

        def rise(value: float) -> float:
            def off(theta: Array) -> tuple[Array, Array]:
                found, gradient = figure(theta)
                return found - value, gradient

            return held(off, NEAR)

        return rise


def _size(logarithm: Estimate) -> Estimate:
    """A size from its logarithm; an end far beyond any is open."""
    size = logarithm.map(lambda end: float(np.exp(np.clip(end, -700.0, 700.0))))
    far = logarithm.high is not None and logarithm.high > FARTHEST
    return replace(size, high=None) if far else size
