"""What a fitted joint law says elsewhere: losses at other sizes, the D that reaches one, and the least N D that does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvfp_cli.scaling.joint import JointData, JointFit
from cvfp_cli.scaling.joint_errors import MET, NO_RUNS, OPEN_DESIGN, UNSEEN, JointErrors, gradient
from cvfp_cli.scaling.joint_profile import FARTHEST, crossing, few_starts, through, value_ends, walk
from cvfp_cli.scaling.predictions import maybe
from cvfp_cli.scaling.result import Cheapest, Estimate, Prediction, Target
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.units import YUnit, loss_of, y_of

# Up to this many model sizes, each is asked for the D that reaches a target; of more, the one measured most often.
MOST_SIZES = 8
# Draws of the parameters for the interval of the least N D.
DRAWS = 4000
# ln D of "infinitely many": beta times this is far below any loss.
ENDLESS = 700.0


@dataclass(frozen=True)
class AskedFit:
    """A fit, and what its intervals are made from.

    Attributes:
        n, d: sizes of the runs, (m,). unit: of y.
        errors: of its figures; None without degrees of freedom. profiled: whether intervals are profiles of the loss.
        draws: bootstrap refits in the fit's coordinates, (R, k), or None. level: of intervals.
        undetermined: the parameters without a value.
    """

    data: JointData
    fit: JointFit
    n: Array
    d: Array
    unit: YUnit
    errors: JointErrors | None
    profiled: bool
    draws: Array | None
    level: float
    undetermined: frozenset[str]

    @property
    def passes(self) -> float:
        """How often the data that are asked about are passed over: the median of the runs."""
        return float(np.median(self.data.passes))

    def to_y(self, log_loss: Array | float) -> Array:
        """y from ln L."""
        return y_of(np.exp(np.asarray(log_loss)), self.unit)

    def loss(self, target: float) -> float:
        """A target of y as a loss."""
        return float(loss_of(np.array(target), self.unit))

    def coordinates(self, n: float, d: float) -> tuple[float, float]:
        """Centred ln N and ln D."""
        return (
            float(np.log(n)) - self.data.centre_n,
            float(np.log(d)) - self.data.centre_d if np.isfinite(d) else ENDLESS,
        )

    def log_loss(self, theta: Array, n: float, d: float) -> Array:
        """ln L of each row of theta (P, k) at one pair of sizes, (P,)."""
        u, v = self.coordinates(n, d)
        wide = (len(theta), 1)
        return self.data.law.log_loss(theta, np.full(wide, u), np.full(wide, v), np.full(wide, self.passes))[
            0
        ][:, 0]

    def row(self, n: float, d: float) -> Array:
        """Gradient of ln L at N and D by the coordinates of ``JointFit.covariance``, (k,)."""
        u, v = self.coordinates(n, d)
        there = replace(self.data, u=np.array([u]), v=np.array([v]), passes=np.array([self.passes]))
        return np.asarray(gradient(self.fit.theta, there)[0])

    def unknown(self, row: Array) -> str:
        """Why the figure with gradient ``row`` (k,) has no interval; empty where it has one, however wide."""
        if self.draws is not None:
            return ""
        if self.errors is None:
            return NO_RUNS if len(self.n) <= self.data.held.k else MET
        if self.errors.unseen(row):
            return UNSEEN
        return "" if self.profiled or np.isfinite(self.errors.half_width(row, self.level)) else OPEN_DESIGN

    def half_width(self, n: float, d: float) -> float:
        """Half-width of the asymptotic interval of ln L at N and D; NaN where there is none."""
        return float("nan") if self.errors is None else self.errors.half_width(self.row(n, d), self.level)


@dataclass(frozen=True)
class Answers:
    """Answers to all questions; ``usual_size``: the model size that was measured most often, the largest of those."""

    predictions: tuple[Prediction, ...]
    targets: tuple[Target, ...]
    cheapest: tuple[Cheapest, ...]
    usual_size: float


def answer(
    law: AskedFit, sizes: Sequence[float], pairs: Sequence[tuple[float, float]], targets: Sequence[float]
) -> Answers:
    """Predict at data sizes (for the usual model size) and at pairs (N, D), and find what reaches each target."""
    models, counts = np.unique(law.n, return_counts=True)
    usual = float(models[counts == counts.max()].max())
    asked = [float(size) for size in models] if len(models) <= MOST_SIZES else [usual]
    wanted = [*((usual, size) for size in sizes), *pairs]
    return Answers(
        tuple(prediction_at(law, n, d) for n, d in wanted),
        tuple(_reach(law, n, target) for target in targets for n in asked),
        tuple(_with_reason(law, _cheapest(law, target)) for target in targets),
        usual,
    )


def prediction_at(law: AskedFit, n: float, d: float) -> Prediction:
    """The law at a pair of sizes."""
    value = float(law.log_loss(law.fit.theta[None], n, d)[0])
    outside = not (law.n.min() <= n <= law.n.max() and law.d.min() <= d <= law.d.max())
    reason = law.unknown(law.row(n, d))
    if reason:
        return Prediction(d, float(law.to_y(value)), None, None, outside, model_size=n, reason=reason)
    low, high, new_low, new_high = _ends(law, n, d, value)
    ends = [None if end is None else float(law.to_y(end)) for end in (new_low, new_high, low, high)]
    there = float(law.to_y(value))
    made = Prediction(d, there, ends[0], ends[1], outside, ends[2], ends[3], model_size=n)
    return made.holding_the_law()


def _ends(law: AskedFit, n: float, d: float, value: float) -> tuple[float | None, ...]:
    """Ends of ln L at N and D: of the law, and of a new run."""
    if law.draws is not None:
        there = law.log_loss(law.draws, n, d)
        tail = 0.5 * (1.0 - law.level)
        errors = np.random.default_rng(0).choice(law.fit.residuals, len(there))
        return tuple(
            float(end) for part in (there, there + errors) for end in np.quantile(part, [tail, 1.0 - tail])
        )
    assert law.errors is not None  # ``AskedFit.unknown`` was asked
    row = law.row(n, d)
    low: float | None
    high: float | None
    if law.profiled:
        low, high = value_ends(law.data, law.fit, n, d, law.passes, value, law.errors.allowed(row, law.level))
    else:
        width = law.errors.half_width(row, law.level)
        low, high = value - width, value + width
    run_low, run_high = (
        None if end is None else law.errors.run_half_width(abs(end - value), row, law.level)
        for end in (low, high)
    )
    return (
        low,
        high,
        None if low is None or run_low is None else min(low, value - run_low),
        None if high is None or run_high is None else max(high, value + run_high),
    )


def _reach(law: AskedFit, n: float, target: float) -> Target:
    """The D at which a model of size N reaches a target, with every D that the interval of the law there allows."""
    loss = law.loss(target)
    if loss <= 0.0:
        return Target(target, None, None, None, True, "a loss of 0 is out of any law's reach", n)
    x = float(_size_for(law, law.fit.theta[None], n, loss)[0])
    rise, allowed = _test(law, n, float(np.log(loss)))
    middle = law.data.centre_d
    if not 0.0 < x < np.inf:
        floor = float(law.to_y(law.log_loss(law.fit.theta[None], n, np.inf)[0]))
        reason = (
            f"out of reach: the fitted law falls to {floor:.4g}, above {target:g}"
            if target <= floor
            else f"only at a size far {'above' if x else 'below'} all data"
        )
        low = None
        if law.draws is not None:
            low = _percentiles(law, _size_for(law, law.draws, n, loss))[0]
        elif rise is not None and target <= floor and rise(middle + FARTHEST) <= allowed:
            last = float(np.log(law.d.max()))
            if rise(last) > allowed:
                low = float(np.exp(crossing(rise, middle + FARTHEST, last, allowed)))
        return Target(target, None, low, None, True, reason, n)
    low = high = None
    if law.draws is not None:
        low, high = _percentiles(law, _size_for(law, law.draws, n, loss))
    elif rise is not None:
        ends = (walk(rise, float(np.log(x)), sign, allowed) for sign in (-1.0, 1.0))
        low, high = (None if end is None else float(np.exp(end)) for end in ends)
    outside = not (law.n.min() <= n <= law.n.max() and law.d.min() <= x <= law.d.max())
    return Target(target, x, low, high, outside, law.unknown(law.row(n, x)), n)


def _test(law: AskedFit, n: float, log_target: float) -> tuple[Callable[[float], float] | None, float]:
    """A function of ln D that tells how far the data are from a law through the target at N, and what is allowed."""
    if law.errors is None or law.unknown(law.row(n, float(law.d[0]))):
        return None, 0.0
    errors, level = law.errors, law.level
    if law.profiled:
        starts = few_starts(law.data, law.fit)

        def rise(log_d: float) -> float:
            d = float(np.exp(log_d))
            risen = through(law.data, law.fit, n, d, law.passes, starts)(log_target)
            return risen / errors.allowed(law.row(n, d), level)

        return rise, 1.0

    def squared(log_d: float) -> float:
        d = float(np.exp(log_d))
        return float(((law.log_loss(law.fit.theta[None], n, d)[0] - log_target) / law.half_width(n, d)) ** 2)

    return squared, 1.0


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _size_for(law: AskedFit, theta: Array, n: float, loss: float) -> Array:
    """D at which each law of theta (P, k) has a loss at N; infinite where it never falls so far, (P,).

    Beyond ``FARTHEST`` from the data a size is as good as infinite, or as 0.
    """
    u = float(np.log(n)) - law.data.centre_n
    log_d = law.data.law.log_size(theta, u, loss, law.passes) + law.data.centre_d
    return _bounded_exp(log_d, law.data.centre_d)


def _bounded_exp(log_size: Array, centre: float) -> Array:
    """Sizes from their logarithms: infinite or 0 where they are far beyond any data, infinite where there is none."""
    off = np.where(np.isfinite(log_size), log_size - centre, np.inf)
    size = np.exp(np.clip(off, -FARTHEST, FARTHEST) + centre)
    return np.where(off > FARTHEST, np.inf, np.where(off < -FARTHEST, 0.0, size))


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _least(law: AskedFit, theta: Array, loss: float) -> tuple[Array, Array]:
    """ln N and ln D with the least N D among those at a loss; infinite where none has it."""
    log_n, log_d = law.data.law.least_product(theta, loss, law.passes)
    found = (log_n + law.data.centre_n, log_d + law.data.centre_d)
    return (np.where(np.isfinite(part), part, np.inf) for part in found)  # type: ignore[return-value]


def _cheapest(law: AskedFit, target: float) -> Cheapest:
    loss = law.loss(target)
    if law.undetermined:
        return Cheapest(target, None, None, None, True, "the runs leave parameters of the law undetermined")
    log_n, log_d = (float(part[0]) for part in _least(law, law.fit.theta[None], loss))
    if not (np.isfinite(log_n) and np.isfinite(log_d)):
        floor = float(law.to_y(law.fit.theta[0]))
        reason = f"out of reach at any size: the fitted law falls to {floor:.4g}"
        return Cheapest(target, None, None, None, True, reason)
    theta = drawn_laws(law)
    drawn_n, drawn_d = (np.array([]),) * 2 if theta is None else _least(law, theta, loss)
    data = law.data
    found = []
    for value, drawn, centre in (
        (log_n, drawn_n, data.centre_n),
        (log_d, drawn_d, data.centre_d),
        (log_n + log_d, drawn_n + drawn_d, data.centre_n + data.centre_d),
    ):
        size = float(_bounded_exp(np.array(value), centre))
        if not 0.0 < size < np.inf:
            return Cheapest(target, None, None, None, True, "only at sizes far beyond any data")
        found.append(Estimate(size, *_percentiles(law, _bounded_exp(drawn, centre))))
    n, d = np.exp(log_n), np.exp(log_d)
    outside = not (law.n.min() <= n <= law.n.max() and law.d.min() <= d <= law.d.max())
    return Cheapest(target, found[0], found[1], found[2], outside)


def _with_reason(law: AskedFit, least: Cheapest) -> Cheapest:
    """The least product without intervals, and why, where the runs say nothing of an error that it has."""
    if least.product is None:
        return least
    reason = next(filter(None, map(law.unknown, law.data.held.matrix.T)), "")
    if not reason:
        return least
    size, x, product = (
        Estimate(part.value, reason=reason) if part else None
        for part in (least.model_size, least.x, least.product)
    )
    return replace(least, model_size=size, x=x, product=product, reason=reason)


def drawn_laws(law: AskedFit) -> Array | None:
    """Coordinates of laws that the data allow, (R, k): bootstrap refits, or t draws of the asymptotic distribution."""
    if law.draws is not None:
        return law.draws
    if law.profiled or law.fit.covariance is None or law.errors is None:
        return None
    held = law.data.held
    parameters = law.errors.contrasts(np.eye(held.k))
    if any(parameters.reason):
        return None
    # One number of degrees of freedom for all: the least, so that none is drawn too near.
    df = float(parameters.df.min())
    rng = np.random.default_rng(0)
    scale = np.sqrt(df / rng.chisquare(df, size=(DRAWS, 1)))
    free = rng.multivariate_normal(np.zeros(held.k), law.errors.covariance, size=DRAWS, method="eigh")
    moved = scale * free @ held.matrix.T
    theta = law.fit.theta + moved
    floor = np.exp(law.fit.theta[0]) + moved[:, 0]
    theta[:, 0] = np.log(np.maximum(floor, 1e-13))
    theta[:, 3:5] = np.where(theta[:, 3:5] > 0.0, theta[:, 3:5], np.nan)
    return theta


def _percentiles(law: AskedFit, values: Array) -> tuple[float | None, float | None]:
    """Ends over draws; infinite draws are beyond every end, so that an end among them is open."""
    if values.size == 0:
        return None, None
    tail = 0.5 * (1.0 - law.level)
    ordered = np.where(np.isfinite(values), values, np.inf)
    low, high = np.quantile(ordered, [tail, 1.0 - tail], method="nearest")
    return maybe(low), maybe(high)
