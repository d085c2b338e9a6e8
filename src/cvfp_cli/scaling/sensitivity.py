"""The same figures under other defensible choices: objective, sizes, outliers, the unit of sizes, the law.

An interval says how far a figure is known if every choice was right. What stands here is how far it moves when one of
them is made otherwise and all others are kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cvfp_cli.errors import InputError
from cvfp_cli.laws.registry import LAWS
from cvfp_cli.scaling.checks import standing_out, testable
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import OBJECTIVES, FitOptions
from cvfp_cli.scaling.forecasts import Forecast
from cvfp_cli.scaling.joint_fits import outlying_runs
from cvfp_cli.scaling.numbers import size
from cvfp_cli.scaling.result import Estimate, Fit, Prediction, Target
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.solver import Array
from cvfp_cli.study.points import Points

# More sizes than this are left out in tenths instead of one at a time.
MOST_SIZES, TENTHS = 12, 10
# The figure of every law of one variable, and what the first choice is called.
FALL, AS_ASKED = "per_doubling", "as asked"
# What the names of the figures begin with that were asked for.
AT_SIZE, FOR_TARGET = "law at ", "size for "
# Sizes whose ratio to x varies by less than this say the same in either unit.
SAME_RATIO = 1e-9

# Fits of groups by a law; of none where a choice leaves too little for all of them together.
Fitter = Callable[[Sequence[Points], str, FitOptions], tuple[Fit, ...]]
# What a choice is called, and the group under it.
Variant = tuple[str, Points]


@dataclass(frozen=True)
class Choice:
    """One way to fit: what is chosen otherwise, and the figures that this gives, by name."""

    name: str
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Sensitivity:
    """The figures of one fit under every choice.

    Attributes:
        config, law: whose fit. level: of every interval. choices: as asked first, then all others.
        too_little: the choices that leave too little to fit, by name.
    """

    config: str
    law: str
    level: float
    choices: tuple[Choice, ...]
    too_little: tuple[str, ...] = ()

    @property
    def asked(self) -> Mapping[str, Estimate]:
        """The figures as they were asked for."""
        return self.choices[0].figures

    def span(self, name: str) -> Estimate:
        """A figure with the lowest and the highest value that a choice gives it as its ends.

        The upper one is open where a choice gives none: an amplitude without bound, a target that is never reached.
        """
        found = [one.figures[name].value for one in self.choices if name in one.figures]
        values = [value for value in found if value is not None]
        high = None if None in found else max(values, default=None)
        return Estimate(self.asked[name].value, min(values, default=None), high)

    def to_json(self) -> dict[str, Any]:
        """Every choice with its figures, and the range of each figure."""
        choices = [
            {"choice": one.name, "figures": {name: e.range_json() for name, e in one.figures.items()}}
            for one in self.choices
        ]
        ranges = {name: {"low": self.span(name).low, "high": self.span(name).high} for name in self.asked}
        return {
            "config": self.config,
            "law": self.law,
            "level": self.level,
            "choices": choices,
            "range": ranges,
            "too_little": list(self.too_little),
        }


def law_sensitivity(
    groups: Sequence[Points],
    fits: Mapping[str, Sequence[Fit]],
    forecasts: Sequence[Forecast],
    options: FitOptions,
    constraint: Constraint,
    fit: Fitter,
) -> tuple[Sensitivity, ...]:
    """The figures of a law of one variable under other choices, one answer a group.

    Args:
        groups: those that the law is fitted to. fits: of laws as they were asked for; the first is the law.
        forecasts: of the groups. fit: makes fits under all else that was asked for.
    """
    law = next(iter(fits))
    options = replace(options, hold_out=False, window=0)
    choices = [[Choice(AS_ASKED, _figures(one, law))] for one in fits[law]]
    too_little: list[list[str]] = [[] for _ in groups]
    together = bool(constraint.within(LAWS[law].parameters).shared)
    # The other objective first.
    for objective in sorted(OBJECTIVES, key=options.objective.__eq__):
        asked = replace(options, objective=objective)
        if objective == options.objective:
            own = []
            for points, left in zip(groups, too_little, strict=True):
                cuts = dict(_variants(points, law, objective, constraint))
                own.append({key: (name, rest) for key, (name, rest) in cuts.items() if rest is not None})
                left += [name for name, rest in cuts.values() if rest is None]
            for mine, counted in zip(own, _counted_otherwise(groups), strict=True):
                mine |= {("counted", 0): counted} if counted else {}
        else:
            own = [{("objective", 0): (f"objective {objective}", points)} for points in groups]
        keys = sorted({key for mine in own for key in mine})
        # Groups that share parameters are fitted together, whether a choice changes them or not.
        calls = [[key] for key in keys] if together else [keys]
        for call in calls:
            asks = [(g, key) for key in call for g in range(len(groups)) if together or key in own[g]]
            found = _tried(fit, [own[g].get(key, ("", groups[g]))[1] for g, key in asks], law, asked)
            if not found:
                for g, key in asks:
                    too_little[g] += [own[g][key][0]] if key in own[g] else []
            for (g, key), one in zip(asks, found, strict=bool(found)):
                if key in own[g]:
                    name, variant = own[g][key]
                    figures = _figures(one, law)
                    if not LAWS[law].slope and _largest(variant) < _largest(groups[g]):
                        del figures[FALL]  # it is told from the largest size
                    choices[g].append(Choice(name, figures))
    mixed = {one.config: one for one in forecasts}
    for g, points in enumerate(groups):
        weights = mixed[points.label].weights if points.label in mixed else {}
        for one in (
            one for other in fits if other != law for one in fits[other] if one.config == points.label
        ):
            weight = f", weight {100.0 * weights[one.law]:.0f} %" if one.law in weights else ""
            choices[g].append(Choice(f"law {one.law}{weight}", _figures(one, law)))
        if weights:
            choices[g].append(Choice("mixture of laws", _of_mixture(mixed[points.label], law)))
    return tuple(
        Sensitivity(points.label, law, options.level, tuple(own), tuple(left))
        for points, own, left in zip(groups, choices, too_little, strict=True)
    )


def joint_sensitivity(
    groups: Sequence[Points], asked: Fit, constraint: Constraint, fit: Callable[[Sequence[Points]], Fit]
) -> Sensitivity:
    """The figures of a joint law under other choices; it has no other objective.

    Args:
        groups: those that share it. asked: the fit as it was asked for, under ``constraint``. fit: makes others.
    """
    models = np.concatenate([p.parameters for p in groups if p.parameters is not None])
    data = np.concatenate([points.x for points in groups])
    variants: list[tuple[str, Sequence[Points]]] = [
        (f"without {called} {name}", _without(groups, out))
        for called, values in (("model size", models), (asked.x, data))
        for name, out in _parts(values, values)
    ]
    out = outlying_runs(groups, constraint, asked.law)
    if np.any(out):
        variants.append((_outliers(int(np.sum(out))), _without(groups, out)))
    counted = [one for one in _counted_otherwise(groups) if one is not None]
    if len(counted) == len(groups):
        variants.append((counted[0][0], [points for _, points in counted]))
    choices, too_little = [Choice(AS_ASKED, _figures(asked, asked.law))], []
    for name, variant in variants:
        try:
            choices.append(Choice(name, _figures(fit(variant), asked.law)))
        except InputError:
            too_little.append(name)
    return Sensitivity(asked.config, asked.law, asked.level, tuple(choices), tuple(too_little))


def _tried(fit: Fitter, groups: Sequence[Points], law: str, options: FitOptions) -> tuple[Fit, ...]:
    """The fits, or none where what a choice leaves cannot be fitted."""
    try:
        return fit(groups, law, options) if groups else ()
    except InputError:
        return ()


def _variants(
    points: Points, law: str, objective: str, constraint: Constraint
) -> Iterator[tuple[tuple[str, int], tuple[str, Points | None]]]:
    """The group without each of its sizes and without what stands out; None where that leaves no size to spare."""
    assert points.sizes is not None  # set on construction
    cuts = [
        (("size", i), f"without {name}", out) for i, (name, out) in enumerate(_parts(points.sizes, points.x))
    ]
    if testable(points, law, constraint):
        found = standing_out(points, law, objective, constraint.of_one)
        cuts += [(("outliers", 0), _outliers(found.count), found.out)] if found.count else []
    shared = len(constraint.within(LAWS[law].parameters).shared)
    for key, name, out in cuts:
        rest = points.only(~out)
        able = rest.distinct_sizes > max(constraint.estimated(LAWS[law].parameters) - shared, 1)
        yield key, (name, rest if able else None)


def _outliers(count: int) -> str:
    return f"without {count} that stand{'s' * (count == 1)} out"


def _parts(sizes: Array, x: Array) -> Iterator[tuple[str, Flags]]:
    """What is left out in turn, (m,): every size, or of many a tenth of them; called by their x."""
    different, code = np.unique(sizes, return_inverse=True)
    count = len(different) if len(different) <= MOST_SIZES else TENTHS
    for part in np.array_split(np.arange(len(different)), count):
        out = np.isin(code, part)
        first, last = float(x[out].min()), float(x[out].max())
        yield size(first) if len(part) == 1 else f"{first:.3g} to {last:.3g}", out


def _without(groups: Sequence[Points], out: Flags) -> list[Points]:
    """The groups without the runs at ``out``, which counts through all of them; groups without runs are left out."""
    ends = np.cumsum([len(points) for points in groups])[:-1]
    parts = zip(groups, np.split(out, ends), strict=True)
    return [points.only(~mine) for points, mine in parts if not np.all(mine)]


def _counted_otherwise(groups: Sequence[Points]) -> list[Variant | None]:
    """Each group with its sizes in their other unit, times what that is on average; None where it has no other.

    So scaled, amplitudes and the sizes to predict at mean the same as before.
    """
    units = [points.other_unit for points in groups]
    ratios = [np.log(points.x / unit[1]) for points, unit in zip(groups, units, strict=True) if unit]
    if not ratios or np.ptp(np.concatenate(ratios)) < SAME_RATIO:
        return [None] * len(groups)
    scale = float(np.exp(np.mean(np.concatenate(ratios))))
    return [
        (f"sizes in {unit[0]}", replace(points, x=scale * unit[1])) if unit else None
        for points, unit in zip(groups, units, strict=True)
    ]


def _largest(points: Points) -> float:
    assert points.sizes is not None  # set on construction
    return float(points.sizes.max())


def _figures(fit: Fit, law: str) -> dict[str, Estimate]:
    """The figures of a fit that mean what those of ``law`` mean."""
    found = dict(fit.parameters) if fit.law == law else _floor(law, fit.asymptote)
    fall = {FALL: fit.per_doubling} if fit.per_doubling else {}
    return found | fall | _asked(fit.predictions, fit.targets, fit.y)


def _of_mixture(forecast: Forecast, law: str) -> dict[str, Estimate]:
    return _floor(law, forecast.asymptote) | _asked(forecast.predictions, forecast.targets, forecast.y)


def _floor(law: str, asymptote: Estimate | None) -> dict[str, Estimate]:
    """Another law's asymptote by the name that this law has for it."""
    return {LAWS[law].parameters[0]: asymptote} if LAWS[law].has_floor and asymptote else {}


def _asked(predictions: Sequence[Prediction], targets: Sequence[Target], y: str) -> dict[str, Estimate]:
    """The law at the sizes, and the sizes of the targets, that were asked for."""
    found = {}
    for p in predictions:
        at = size(p.x) if p.model_size is None else f"{size(p.model_size)}:{size(p.x)}"
        found[f"{AT_SIZE}{at}"] = Estimate(p.value, p.mean_low, p.mean_high, reason=p.reason)
    for t in targets:
        at = "" if t.model_size is None else f" at {size(t.model_size)}"
        found[f"{FOR_TARGET}{y} {t.ppl:g}{at}"] = Estimate(t.x, t.low, t.high, reason=t.reason)
    return found
