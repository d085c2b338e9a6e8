"""What a fitted joint law says elsewhere: losses at other sizes, and the D that reaches one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cvfp_cli.scaling.joint import JointData, JointFit, gradient
from cvfp_cli.scaling.joint_errors import OPEN_DESIGN, UNSEEN, JointErrors
from cvfp_cli.scaling.joint_intervals import JointIntervals
from cvfp_cli.scaling.joint_profile import FARTHEST, crossing, few_starts, through, value_ends, walk
from cvfp_cli.scaling.joint_runs import JointRuns
from cvfp_cli.scaling.predictions import maybe
from cvfp_cli.scaling.result import Prediction, Target
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.units import loss_of, y_of

# ln D of "infinitely many": beta times this is far below any loss.
ENDLESS = 700.0


@dataclass(frozen=True)
class AskedFit:
    """A fit, and what its intervals are made from.

    Attributes:
        undetermined: the parameters without a value.
    """

    runs: JointRuns
    found: JointIntervals
    undetermined: frozenset[str]

    @property
    def data(self) -> JointData:
        """What was fitted."""
        return self.runs.data

    @property
    def fit(self) -> JointFit:
        """The fit itself."""
        return self.found.fit

    @property
    def n(self) -> Array:
        """Model sizes of the runs, (m,)."""
        return self.runs.n

    @property
    def d(self) -> Array:
        """Data sizes of the runs, (m,)."""
        return self.runs.d

    @property
    def errors(self) -> JointErrors | None:
        """Errors of its figures; None without degrees of freedom."""
        return self.found.errors

    @property
    def profiled(self) -> bool:
        """Whether intervals are profiles of the loss."""
        return self.found.ends is not None

    @property
    def draws(self) -> Array | None:
        """Bootstrap refits in the fit's coordinates, (R, k), or None."""
        return self.found.draws

    @property
    def level(self) -> float:
        """Level of intervals."""
        return self.found.level

    @property
    def tails(self) -> list[float]:
        """Shares of draws below the two ends of an interval."""
        tail = 0.5 * (1.0 - self.level)
        return [tail, 1.0 - tail]

    @property
    def passes(self) -> float:
        """How often the data that are asked about are passed over: the median of the runs."""
        return float(np.median(self.data.passes))

    def to_y(self, log_loss: Array | float) -> Array:
        """y from ln L."""
        return y_of(np.exp(np.asarray(log_loss)), self.runs.unit)

    def loss(self, target: float) -> float:
        """A target of y as a loss."""
        return float(loss_of(np.array(target), self.runs.unit))

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
        """Gradient of ln L at N and D by E and the other coordinates, (k,)."""
        u, v = self.coordinates(n, d)
        there = replace(self.data, u=np.array([u]), v=np.array([v]), passes=np.array([self.passes]))
        return np.asarray(gradient(self.fit.theta, there)[0])

    def unknown(self, row: Array) -> str:
        """Why the figure with gradient ``row`` (k,) has no interval; empty where it has one, however wide."""
        if self.draws is not None or self.errors is None:
            return self.found.untold
        if self.errors.unseen(row):
            return UNSEEN
        return "" if self.profiled or np.isfinite(self.errors.half_width(row, self.level)) else OPEN_DESIGN

    def half_width(self, n: float, d: float) -> float:
        """Half-width of the asymptotic interval of ln L at N and D; NaN where there is none."""
        return float("nan") if self.errors is None else self.errors.half_width(self.row(n, d), self.level)


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
        errors = np.random.default_rng(0).choice(law.fit.residuals, len(there))
        return tuple(float(end) for part in (there, there + errors) for end in np.quantile(part, law.tails))
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


def reach(law: AskedFit, n: float, target: float) -> Target:
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
            low = percentiles(law, _size_for(law, law.draws, n, loss))[0]
        elif rise is not None and target <= floor and rise(middle + FARTHEST) <= allowed:
            last = float(np.log(law.d.max()))
            if rise(last) > allowed:
                low = float(np.exp(crossing(rise, middle + FARTHEST, last, allowed)))
        return Target(target, None, low, None, True, reason, n)
    low = high = None
    if law.draws is not None:
        low, high = percentiles(law, _size_for(law, law.draws, n, loss))
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
    return bounded_exp(log_d, law.data.centre_d)


def bounded_exp(log_size: Array, centre: float) -> Array:
    """Sizes from their logarithms: infinite or 0 where they are far beyond any data, infinite where there is none."""
    off = np.where(np.isfinite(log_size), log_size - centre, np.inf)
    size = np.exp(np.clip(off, -FARTHEST, FARTHEST) + centre)
    return np.where(off > FARTHEST, np.inf, np.where(off < -FARTHEST, 0.0, size))


def percentiles(law: AskedFit, values: Array) -> tuple[float | None, float | None]:
    """Ends over draws; infinite draws are beyond every end, so that an end among them is open."""
    if values.size == 0:
        return None, None
    ordered = np.where(np.isfinite(values), values, np.inf)
    low, high = np.quantile(ordered, law.tails, method="nearest")
    return maybe(low), maybe(high)
