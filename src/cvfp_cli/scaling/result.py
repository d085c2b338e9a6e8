"""A fit as data: what ``cvfp fit --format json`` prints and what every table is made from."""

from dataclasses import dataclass, field, replace
from typing import Any

from cvfp_cli.laws.names import JOINTS
from cvfp_cli.notes import Note
from cvfp_cli.stats.estimate import Estimate as Estimate
from cvfp_cli.stats.estimate import range_json
from cvfp_cli.stats.replicates import Replicates, SizeMeans

DIFFER = 0.05  # p of the test of a pool below which a note says that its groups differ


@dataclass(frozen=True)
class FittedPoint:
    """One measured point: ``error`` is 100 * (predicted / y - 1), in percent; ``model_size`` is the joint law's N."""

    x: float
    y: float
    predicted: float
    error: float
    model_size: float | None = None

    def to_json(self) -> dict[str, float]:
        """The four keys of a fitted point, and ``model_size`` where it has one."""
        shape = {"x": self.x, "y": self.y, "predicted": self.predicted, "error": self.error}
        return shape if self.model_size is None else {**shape, "model_size": self.model_size}


@dataclass(frozen=True)
class Prediction:
    """The law at a size that need not have been measured.

    Attributes:
        x: the size; ``inf`` for the asymptote.
        value: the law there; None at the asymptote of a law that has none and does not fall.
        low, high: prediction interval: where one new run would land. None is an open end.
        extrapolated: beyond the smallest or largest measured size.
        mean_low, mean_high: confidence interval of the law itself there.
        model_size: the joint law's N; None for laws of x alone.
        reason: why there is no interval; empty where there is one.
    """

    x: float
    value: float | None
    low: float | None
    high: float | None
    extrapolated: bool
    mean_low: float | None = None
    mean_high: float | None = None
    model_size: float | None = None
    reason: str = ""

    def holding_the_law(self) -> "Prediction":
        """With the law's interval within the new run's: such a run is never known better than the law that it follows.

        The two are made with their own degrees of freedom, or from their own draws, and could cross.
        """
        if (None, None) in ((self.low, self.high), (self.mean_low, self.mean_high)):
            return self  # without an interval
        low = None if self.low is None or self.mean_low is None else min(self.low, self.mean_low)
        high = None if self.high is None or self.mean_high is None else max(self.high, self.mean_high)
        return replace(self, low=low, high=high)

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinity: x is the text ``"inf"`` there. ``reason`` stands only where there is one."""
        shape = {
            "x": "inf" if self.x == float("inf") else self.x,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "extrapolated": self.extrapolated,
            "mean_low": self.mean_low,
            "mean_high": self.mean_high,
            "model_size": self.model_size,
        }
        return {**shape, "reason": self.reason} if self.reason else shape


@dataclass(frozen=True)
class Target:
    """The size that reaches a perplexity.

    Attributes:
        ppl: the target.
        x: the size at which the fitted law reaches it; None where it never does.
        low, high: interval of that size; None is an open end (for ``high``: it may never be reached), and 0 for
            ``low`` is below all sizes.
        extrapolated: x lies beyond the measured sizes.
        reason: why x is None, or why it has no interval; empty otherwise.
        model_size: the joint law's N; None for laws of x alone.
    """

    ppl: float
    x: float | None
    low: float | None
    high: float | None
    extrapolated: bool
    reason: str = ""
    model_size: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Cheapest:
    """The model and data size that reach a target with the least product N D, of which training compute is a multiple.

    Attributes:
        ppl: the target. model_size, x, product: N, D and N D with intervals; None where there are none.
        extrapolated: the pair lies beyond the measured sizes. reason: why there is none, or no interval; empty otherwise.
    """

    ppl: float
    model_size: Estimate | None
    x: Estimate | None
    product: Estimate | None
    extrapolated: bool
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        parts = {"model_size": self.model_size, "x": self.x, "product": self.product}
        return {
            "ppl": self.ppl,
            **{name: range_json(part) for name, part in parts.items()},
            "extrapolated": self.extrapolated,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Split:
    """The model and data size with the least loss that a budget of operations pays for.

    Attributes:
        budget: C. model_size, x: N and D with intervals; None where there are none. there: the law at this pair.
        reason: why there is none; empty otherwise.
    """

    budget: float
    model_size: Estimate | None
    x: Estimate | None
    there: Prediction | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return {
            "budget": self.budget,
            "model_size": range_json(self.model_size),
            "x": range_json(self.x),
            "there": self.there.to_json() if self.there else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Compute:
    """How the best model and data size grow with the operations C that may be spent.

    Attributes:
        factor, by_n, by_d: C = factor N^by_n D^by_d. counted: by the runs' own operations, which lie about it with the
            standard deviation ``spread`` of their logarithms; else as is usual.
        model_size, x: the exponents of N and D over C; None where there are none.
        splits: of each budget that was asked for. reason: why nothing is said; empty otherwise.
    """

    factor: float
    by_n: float
    by_d: float
    counted: bool
    spread: float
    model_size: Estimate | None = None
    x: Estimate | None = None
    splits: tuple[Split, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The relation, the exponents and the splits."""
        return {
            "factor": self.factor,
            "by_model_size": self.by_n,
            "by_x": self.by_d,
            "counted": self.counted,
            "spread": self.spread,
            "model_size_exponent": range_json(self.model_size),
            "x_exponent": range_json(self.x),
            "budgets": [split.to_json() for split in self.splits],
            "reason": self.reason,
        }


@dataclass(frozen=True)
class PoolTest:
    """Whether groups share one joint law: an F test of one law for all against one for each.

    Attributes:
        groups: how many. df1, df2: parameters that one law saves, and degrees of freedom that separate laws leave.
        f, p: None where either is 0, so that nothing can be tested.
    """

    groups: int
    f: float | None
    df1: int
    df2: int
    p: float | None

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return dict(vars(self))


@dataclass(frozen=True)
class LocalExponent:
    """The slope of ln y over ln x within a window of neighbouring sizes, with its t interval."""

    x_low: float
    x_high: float
    points: int
    estimate: Estimate

    def to_json(self) -> dict[str, Any]:
        """Window, number of points, slope and ends."""
        return {
            "x_low": self.x_low,
            "x_high": self.x_high,
            "points": self.points,
            **self.estimate.range_json(),
        }


@dataclass(frozen=True)
class Starts:
    """How the optimum was found: starting points tried and the share that ended at the same optimum."""

    tried: int
    agree: float

    def to_json(self) -> dict[str, Any]:
        """Both fields by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Fit:
    """One law fitted to one group.

    Attributes:
        config: the group's label. law: its name (``laws.names``).
        x, y: names of the columns. objective: ``log`` or ``ppl``: what was squared (``huber`` for ``joint``).
        points: how many. k: parameters fitted. level: of every interval.
        limit: the simpler law that the fit ran into, or empty.
        parameters: by name, in the law's order.
        r_squared: on the objective's scale; None where y does not vary.
        rss_ppl, rss_log: residual sums of squares of y and of ln y.
        aic: m ln(rss_ppl / m) + 2k, as the studies print it; None where rss_ppl is 0.
        aicc, bic: from the objective's own RSS; aicc counts the error variance as a parameter and is None where
            m - k - 2 <= 0.
        loo_error: mean |ln(predicted / y)| over points left out one at a time; None where m - 1 < k.
        forward_error: the same over the largest sizes, fitted without them; None where too few are left.
        held_out: those largest sizes, each predicted from the smaller ones. held_out_by: the column whose values chose
            them instead of x, or empty.
        y_unit: one of ``units.UNITS``; empty where nothing says it. Of a bounded y the law is of the odds (``bounded``).
        per_doubling, per_tenfold: fall of y in percent when x doubles (grows tenfold) from the largest size.
        asymptote: y at infinite x; None for laws that fall to 0. distance: last measured y minus the asymptote.
        interval_method: ``t``, ``profile``, ``residual bootstrap`` and its like, ``error components (M-estimate)``,
            ``profile of the Huber loss``, or ``none``.
        means: what the weights of laws are made from, and not printed; None for a joint law.
        cheapest, compute, pool: of the joint law: for each target the least N D, the best split of a budget, and whether
            its groups share the law.
    """

    config: str
    law: str
    x: str
    y: str
    objective: str
    points: int
    k: int
    level: float
    parameters: dict[str, Estimate]
    r_squared: float | None
    rss_ppl: float
    rss_log: float
    aic: float | None
    aicc: float | None
    bic: float | None
    fitted: tuple[FittedPoint, ...]
    interval_method: str
    limit: str = ""
    loo_error: float | None = None
    forward_error: float | None = None
    held_out: tuple[FittedPoint, ...] = ()
    held_out_by: str = ""
    y_unit: str = ""
    per_doubling: Estimate | None = None
    per_tenfold: Estimate | None = None
    asymptote: Estimate | None = None
    distance: Estimate | None = None
    predictions: tuple[Prediction, ...] = ()
    targets: tuple[Target, ...] = ()
    cheapest: tuple[Cheapest, ...] = ()
    compute: Compute | None = None
    pool: PoolTest | None = None
    local_exponents: tuple[LocalExponent, ...] = ()
    replicates: Replicates | None = None
    means: SizeMeans | None = None
    starts: Starts | None = None
    warnings: tuple[Note, ...] = field(default=())

    @property
    def largest_error(self) -> float:
        """The largest |error| over the fitted points, in percent."""
        return max((abs(point.error) for point in self.fitted), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """The shape that ``cvfp fit --format json`` prints and ``summary.json`` keeps."""
        shape: dict[str, Any] = {
            "config": self.config,
            "law": self.law,
            "limit": self.limit or None,
            "x": self.x,
            "y": self.y,
            "y_unit": self.y_unit or None,
            "objective": self.objective,
            "points": self.points,
            "k": self.k,
            "level": self.level,
            "interval_method": self.interval_method,
            "parameters": {name: estimate.to_json() for name, estimate in self.parameters.items()},
            "r_squared": self.r_squared,
            "rss": {"ppl": self.rss_ppl, "log": self.rss_log},
            "aic": self.aic,
            "aicc": self.aicc,
            "bic": self.bic,
            "loo_error": self.loo_error,
            "forward_error": self.forward_error,
            "held_out_by": self.held_out_by or None,
            "held_out": [point.to_json() for point in self.held_out],
            "per_doubling": range_json(self.per_doubling),
            "per_tenfold": range_json(self.per_tenfold),
            "asymptote": range_json(self.asymptote),
            "distance": range_json(self.distance),
            "fitted": [point.to_json() for point in self.fitted],
            "largest_error": self.largest_error,
            "predictions": [prediction.to_json() for prediction in self.predictions],
            "targets": [target.to_json() for target in self.targets],
            "local_exponents": [window.to_json() for window in self.local_exponents],
            "replicates": self.replicates.to_json() if self.replicates else None,
            "starts": self.starts.to_json() if self.starts else None,
            "warnings": [{"code": note.code, "message": note.message} for note in self.warnings],
        }
        if self.law in JOINTS:
            shape["cheapest"] = [least.to_json() for least in self.cheapest]
            shape["compute"] = self.compute.to_json() if self.compute else None
            shape["pool"] = self.pool.to_json() if self.pool else None
        return shape
