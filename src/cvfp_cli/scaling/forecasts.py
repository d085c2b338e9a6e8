"""What to expect when nobody knows the law: forecasts from a mixture of laws, and whether the log-log line bends.

A law that is wrong gives intervals that are wrong: with a power law fitted where an asymptote is true, the 95 %
interval at ten times the largest size held 0 to 2 % of the time. The mixture of ``stats.mixture`` weighs the laws by AIC
and mixes their predictive distributions; docs/intervals.md says how often that held.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cvfp_cli.laws.names import MIXED
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.scaling.constraint import FREE, Constraint
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.numbers import NO_SLOPE
from cvfp_cli.scaling.result import Estimate, Fit, Prediction, Target
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.stats.curvature import Curvature, curvature
from cvfp_cli.stats.estimate import range_json
from cvfp_cli.stats.labels import Labels
from cvfp_cli.stats.mixture import Mixture, akaike_weights, extrapolation, mix
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

# ln n this far beyond the largest size is as good as never, and a figure this small as good as 0.
NEVER, NOTHING = 60.0, 1e-12
# Where a rising line ends: no figure, and yet one with a logarithm.
BEYOND = 1e305
# A law with this share of the weight is the answer; below it, the laws are not told apart.
PLAIN = 0.95


@dataclass(frozen=True)
class Forecast:
    """The mixture's answers for one group.

    Attributes:
        config, y, x: the group, and the names of its columns. weights: of every law that took part, their sum is 1; empty where none could.
        sizes: distinct sizes. level: of every interval.
        decided: the law that has nearly all of the weight; empty where the data do not tell.
        asymptote: what y falls to; 0 where a falling power law has the weight, without a value where a rising one has.
        predictions, targets: as a ``Fit`` has them; ``distances``: of each prediction from the data, in ranges of ln n.
        curvature: whether the log-log line bends. barred: laws that do not allow what is fixed.
    """

    config: str
    y: str
    x: str
    weights: dict[str, float]
    sizes: int
    level: float
    decided: str
    asymptote: Estimate | None
    predictions: tuple[Prediction, ...]
    distances: tuple[float, ...]
    targets: tuple[Target, ...]
    curvature: Curvature
    barred: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return {
            "config": self.config,
            "y": self.y,
            "x": self.x,
            "weights": self.weights,
            "sizes": self.sizes,
            "level": self.level,
            "decided": self.decided or None,
            "asymptote": range_json(self.asymptote),
            "predictions": [
                {**prediction.to_json(), "distance": distance if np.isfinite(distance) else None}
                for prediction, distance in zip(self.predictions, self.distances, strict=True)
            ],
            "targets": [target.to_json() for target in self.targets],
            "curvature": dict(vars(self.curvature)),
        }


def forecasts(
    groups: Sequence[Points],
    options: FitOptions,
    known: dict[str, tuple[Fit, ...]],
    *,
    mixed: bool,
    constraint: Constraint = FREE,
    barred: Collection[str] = (),
) -> tuple[Forecast, ...]:
    """One forecast a group, in order, each group by itself.

    Args:
        groups: those that a law of x can be fitted to.
        known: fits of laws that are at hand, by law; one of a group with the same options is used again.
        mixed: fit the laws that are missing; without it there is the test of curvature alone.
        constraint: what the laws are fitted under; nothing of it is shared. barred: laws that do not allow it.
    """
    members: dict[str, dict[str, Fit]] = {points.label: {} for points in groups}
    options, constraint = replace(options, hold_out=False), constraint.of_one
    k = {law: constraint.estimated(LAWS[law].parameters) for law in MIXED}
    for law in MIXED if mixed else ():
        ready = {
            fit.config: fit
            for fit in known.get(law, ())
            if not any(p.shared for p in fit.parameters.values())
        }
        room = [points for points in groups if points.distinct_sizes > k[law] and law not in barred]
        missing = [points for points in room if points.label not in ready]
        new = fit_constrained(missing, law, constraint, options) if missing else ()
        fitted = {fit.config: fit for fit in new}
        for points in room:
            members[points.label][law] = ready.get(points.label) or fitted[points.label]
    made = (_forecast(points, members[points.label], k, options) for points in groups)
    return tuple(replace(one, barred=frozenset(barred)) for one in made)


def _forecast(points: Points, fits: dict[str, Fit], k: dict[str, int], options: FitOptions) -> Forecast:
    labels = Labels.of(points.size_index)
    weight = None if points.weights is None else points.relative_weights
    bend = curvature(np.log(points.x), np.log(points.y), labels, weight=weight)
    # A law without an asymptote contradicts one that is fixed.
    held = any(fit.asymptote is not None and fit.asymptote.fixed for fit in fits.values())
    able = {law for law in fits if LAWS[law].has_floor or not held}
    # Runs of a size share its samples: what speaks for a law is how near it is to the means of the sizes.
    means = {law: fits[law].means for law in able}
    squares = [one.evidence(options.objective) if (one := means.get(law)) else np.inf for law in MIXED]
    sizes = points.distinct_sizes
    unit = 1.0 if options.objective == "log" else float(np.exp(np.mean(np.log(points.y))))
    share = akaike_weights(squares, [k[law] for law in MIXED], sizes, unit=unit)
    weights = {law: float(w) for law, w in zip(MIXED, share, strict=True) if law in fits}
    empty = Forecast(
        points.label, points.y_name, points.x_name, {}, sizes, options.level, "", None, (), (), (), bend
    )
    laws = [law for law in weights if weights[law] > 0.0]
    # A law that has no interval cannot be mixed, and an open one in its place would be a claim.
    if not laws or any(fits[law].interval_method == "none" for law in laws):
        return empty
    mixer = _Mixer([fits[law] for law in laws], [weights[law] for law in laws], sizes, options.level)
    first, last = float(points.x.min()), float(points.x.max())
    decided = next((law for law in laws if weights[law] >= PLAIN and len(weights) == len(MIXED)), "")
    return Forecast(
        config=points.label,
        y=points.y_name,
        x=points.x_name,
        weights=weights,
        sizes=sizes,
        level=options.level,
        decided=decided,
        asymptote=mixer.asymptote(),
        predictions=tuple(mixer.prediction(i) for i in range(len(options.predict))),
        distances=tuple(
            float("inf") if np.isinf(x) else float(extrapolation(x, first, last)) for x in options.predict
        ),
        targets=tuple(mixer.target(i, last) for i in range(len(options.targets))),
        curvature=bend,
    )


def _end_of_line(fit: Fit) -> tuple[float, float, float]:
    """What a law without an asymptote tends to, with its ends: 0 where it falls, else nothing that is a figure."""
    slope = fit.parameters[LAWS[fit.law].slope].value  # None where it is steeper than any curve may be
    return (0.0, 0.0, 0.0) if slope is not None and slope < -NO_SLOPE else (BEYOND, BEYOND, BEYOND)


@dataclass(frozen=True)
class _Mixer:
    """The laws' fits of one group and their weights."""

    fits: Sequence[Fit]
    weights: Sequence[float]
    sizes: int
    level: float

    def mix(self, figures: Sequence[tuple[float, float | None, float | None]], floor: float) -> Mixture:
        """The mixture of one figure on logarithms; ``floor`` stands for an end of 0, an open end is infinite."""
        rows = []
        for value, low, high in figures:
            rows.append(
                (
                    np.log(max(value, floor)),
                    -np.inf if low is None else np.log(max(low, floor)),
                    np.inf if high is None else np.log(max(high, floor)),
                )
            )
        values, lows, highs = (np.array(part)[:, None] for part in zip(*rows, strict=True))
        df = [max(self.sizes - fit.k, 1) for fit in self.fits]
        return mix(values, lows, highs, df, self.weights, level=self.level)

    def asymptote(self) -> Estimate:
        """What y falls to; a line counts as 0 where it falls."""
        floor = NOTHING * min(point.y for point in self.fits[0].fitted)
        figures: list[tuple[float, float | None, float | None]] = []
        for fit in self.fits:
            own = fit.asymptote
            if not LAWS[fit.law].has_floor or own is None:
                figures.append(_end_of_line(fit))
            elif own.fixed:
                figures.append((own.known, own.known, own.known))
            else:
                figures.append((own.value or 0.0, own.low, own.high))
        found = self.mix(figures, floor)
        value, low, high = (self._size(part, floor) for part in (found.value, found.low, found.high))
        return Estimate(value, low, high)

    def prediction(self, i: int) -> Prediction:
        """The law and a new run at the i-th size asked for."""
        own = [fit.predictions[i] for fit in self.fits]
        floor = NOTHING * min(point.y for point in self.fits[0].fitted)
        ends = []
        for low, high in (("mean_low", "mean_high"), ("low", "high")):
            figures = []
            for fit, one in zip(self.fits, own, strict=True):
                if np.isinf(one.x) and not LAWS[fit.law].has_floor:
                    figures.append(_end_of_line(fit))
                else:
                    figures.append((one.value or 0.0, getattr(one, low), getattr(one, high)))
            ends.append(self.mix(figures, floor))
        mean, new = ends
        return Prediction(
            own[0].x,
            self._size(mean.value, floor),
            self._size(new.low, floor),
            self._size(new.high, floor),
            own[0].extrapolated,
            self._size(mean.low, floor),
            self._size(mean.high, floor),
        ).holding_the_law()

    def target(self, i: int, last: float) -> Target:
        """The size that reaches the i-th target; a law that never does counts as one that does beyond all sizes."""
        own = [fit.targets[i] for fit in self.fits]
        never = last * float(np.exp(NEVER))
        figures = [
            (never, never if one.low is None else one.low, never)
            if one.x is None
            else (one.x, one.low or None, one.high)  # an end of 0 has no logarithm, as an open one
            for one in own
        ]
        found = self.mix(figures, last * float(np.exp(-NEVER)))
        value, low, high = (
            float(np.exp(min(part[0], 700.0))) for part in (found.value, found.low, found.high)
        )
        # Between the sizes that laws reach and that which stands for never lies nothing that a law says.
        far = last * float(np.exp(NEVER / 3.0))
        never_share = sum(
            weight for weight, one in zip(self.weights, own, strict=True) if one.x is None
        ) / sum(self.weights)
        reason = ""
        if never_share > 0.5:
            reason = "more than half of the weight is on laws that never reach it"
        elif value >= far:
            reason = "only at a size far beyond all data"
        return Target(
            own[0].ppl,
            None if reason else value,
            low if last * float(np.exp(-NEVER / 2.0)) < low < far else None,
            high if high < far else None,
            bool(reason) or value > last,
            reason,
        )

    @staticmethod
    def _size(log_value: Array, floor: float) -> float | None:
        """A figure from its logarithm: 0 at the floor, None where it is open."""
        value = float(log_value[0])
        if value == -np.inf or (np.isfinite(value) and value <= np.log(floor) + 1e-9):
            return 0.0
        return float(np.exp(value)) if np.isfinite(value) and value < 700.0 else None
