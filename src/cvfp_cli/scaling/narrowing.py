"""What to run next: the runs that narrow a chosen interval of a study's laws most, within a budget.

The curves are fitted as ``fit`` does, one a configuration; their errors are the error model's over all of them. What is
asked is a figure of the curves that is linear near the fit, so that its error before and after is that of a contrast.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, inf, log, log10, sqrt
from typing import Literal

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.laws.base import Law, log_value_functional
from cvfp_cli.laws.names import MAIN
from cvfp_cli.laws.registry import LAWS, get_law
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.global_fit import fit_curves
from cvfp_cli.spelling import advice
from cvfp_cli.stats.components import Array
from cvfp_cli.stats.contrast_errors import NO_FREEDOM
from cvfp_cli.stats.design import Bundle, RunRow, Shares, cheapest_narrowing, expected_widths
from cvfp_cli.stats.error_model import ErrorModel, fit_error_model
from cvfp_cli.stats.labels import CELL, SEED, Labels
from cvfp_cli.study.families import Family, Group

STEP = sqrt(
    2.0
)  # sizes nearer than this share samples and misses of the law, so that they are no two looks at it
FARTHEST = 8.0  # times the largest size, beyond which no size is proposed unasked

GoalKind = Literal["alpha", "ppl", "asymptote", "difference"]


@dataclass(frozen=True)
class Goal:
    """What is to be known better: alpha, PPL at a size (training tokens), the asymptote, or two curves' ratio there."""

    kind: GoalKind
    at: float | None = None
    pair: tuple[str, str] | None = None

    @property
    def in_percent(self) -> bool:
        """Whether half-widths are those of a logarithm."""
        return self.kind != "alpha"


@dataclass(frozen=True)
class Cost:
    """Of one run; None where the results do not tell."""

    seconds: float | None
    tokens: float
    flops: float | None


@dataclass(frozen=True)
class Proposed:
    """Runs of one cell: so many more seeds of a configuration at a nominal size; ``cost`` is that of one run."""

    configuration: str
    size: int
    seeds: int
    cost: Cost


@dataclass(frozen=True)
class Narrowed:
    """One interval before and after: its name, value, half-widths (of the logarithm, where a goal is in percent)."""

    name: str
    value: float
    before: float
    after: float


@dataclass(frozen=True)
class NextRuns:
    """The answer: what to run, and what it does to each interval. ``law``: of the curves."""

    goal: Goal
    law: str
    level: float
    runs: tuple[Proposed, ...]
    intervals: tuple[Narrowed, ...]
    together: bool

    @property
    def narrowing(self) -> float:
        """Geometric mean of the intervals' widths after, relative to before."""
        return exp(float(np.mean([log(item.after / item.before) for item in self.intervals])))


def parse_goal(text: str) -> Goal:
    """``alpha``, ``asymptote``, ``ppl@N``, ``difference:A,B`` or ``difference:A,B@N``.

    Raises:
        InputError: none of these.
    """
    word, at_sign, place = text.strip().partition("@")
    kind, colon, pair = word.partition(":")
    hint = "Goals are alpha, ppl@N, asymptote, and difference:A,B or difference:A,B@N."
    size = None
    if at_sign:
        try:
            size = float(place)
        except ValueError:
            size = -1.0
        if not 0.0 < size < inf:
            raise InputError(f"--goal: '{place[:40]}' is no size in training tokens.", hint=hint)
    names = tuple(name.strip() for name in pair.split(",")) if colon else ()
    if kind in ("alpha", "asymptote") and not colon and not at_sign:
        return Goal("alpha" if kind == "alpha" else "asymptote")
    if kind == "ppl" and not colon and size is not None:
        return Goal("ppl", size)
    if kind == "difference" and len(names) == 2 and all(names) and names[0] != names[1]:
        return Goal("difference", size, (names[0], names[1]))
    raise InputError(f"--goal: '{text[:60]}' is no goal.", hint=hint)


def next_runs(
    family: Family,
    goal: Goal,
    cost: Callable[[Group, int], Cost],
    budget: tuple[str, float],
    *,
    configurations: Sequence[str] = (),
    sizes: Sequence[int] = (),
    level: float = 0.95,
) -> NextRuns:
    """The runs to make next.

    Args:
        cost: of one run of a group at a nominal size.
        budget: ``seconds``, ``tokens`` or ``flops``, and how much.
        configurations: the only ones to ask about and to run; all where empty. sizes: the only nominal ones to run.

    Raises:
        InputError: the study is too small to tell its noise, or nothing fits the budget.
    """
    groups = _chosen(family, goal, configurations)
    curves = _fitted(family, groups, goal, level)
    what, most = budget
    candidates: list[tuple[Bundle, tuple[tuple[Group, int], ...]]] = []
    free = []
    for size in sizes or sizes_to_try(family):
        each = [(group, size) for group in groups]
        for cells in ([each] if len(each) > 1 else []) + [[one] for one in each]:
            price = [getattr(cost(group, size), what) for group, _ in cells]
            if None in price:
                free.append(cells[0][0].label)
                continue
            rows = tuple(curves.row(group, size) for group, _ in cells)
            candidates.append((Bundle(rows, float(sum(price))), tuple(cells)))
    if not candidates:
        raise InputError(
            f"these results do not say how many {what} a run takes.",
            hint="Give --budget-tokens, which every results file answers.",
        )
    cheapest = min(bundle.cost for bundle, _ in candidates)
    if cheapest > most:
        raise InputError(
            f"--budget-{what} {most:g}: the cheapest run takes {cheapest:.3g}.", hint="Give a larger budget."
        )
    bundles = [bundle for bundle, _ in candidates]
    chosen = cheapest_narrowing(curves.made, bundles, curves.goals, curves.shares, most, level)
    if not chosen:
        raise InputError(
            f"--budget-{what} {most:g}: nothing that it pays for narrows the interval.",
            hint="Give a larger budget, or other --sizes.",
        )
    counts: dict[tuple[str, int], int] = {}
    for i in chosen:
        for group, size in candidates[i][1]:
            counts[group.label, size] = counts.get((group.label, size), 0) + 1
    by_label = {group.label: group for group in groups}
    added = [row for i in chosen for row in bundles[i].rows]
    before = expected_widths(curves.made, curves.goals, curves.shares, level).half_width
    after = expected_widths([*curves.made, *added], curves.goals, curves.shares, level).half_width
    # Today's interval is the one that the fit gives; the design says by which factor it shrinks.
    return NextRuns(
        goal,
        curves.law,
        level,
        tuple(
            Proposed(label, size, seeds, cost(by_label[label], size))
            for (label, size), seeds in sorted(counts.items(), key=lambda item: (item[0][1], item[0][0]))
        ),
        tuple(
            Narrowed(name, value, float(now), float(now * then / was))
            for name, value, now, was, then in zip(
                curves.names, curves.values, curves.half_widths, before, after, strict=True
            )
        ),
        curves.together,
    )


def intervals_now(family: Family, goal: Goal, level: float = 0.95) -> tuple[Narrowed, ...]:
    """The intervals of a goal as they are, ``after`` equal to ``before``.

    Raises:
        InputError: as ``next_runs``.
    """
    curves = _fitted(family, _chosen(family, goal, ()), goal, level)
    found = zip(curves.names, curves.values, curves.half_widths, strict=True)
    return tuple(Narrowed(name, float(value), float(half), float(half)) for name, value, half in found)


def sizes_to_try(family: Family) -> tuple[int, ...]:
    """Nominal sizes to choose from: those that are there, between them and beyond, a factor of sqrt 2 or more apart."""
    there = list(family.sizes)
    new: list[float] = []
    for low, high in pairwise(there):
        parts = int(log(high / low) / log(STEP) + 1e-9)
        new += [low * (high / low) ** (i / parts) for i in range(1, parts)]
    beyond = there[-1] * STEP
    while beyond <= FARTHEST * there[-1] * (1.0 + 1e-9):
        new.append(beyond)
        beyond *= STEP
    return tuple(sorted({*there, *(_round(size) for size in new)}))


def _round(size: float) -> int:
    """Two digits are enough."""
    unit: int = 10 ** max(0, int(log10(size)) - 1)
    return max(1, round(size / unit) * unit)


@dataclass(frozen=True)
class _Curves:
    """Fitted curves as one linear problem: rows of runs made, and goals as contrasts (k, p) with their half-widths."""

    law: str
    made: tuple[RunRow, ...]
    row: Callable[[Group, int], RunRow]
    goals: Array
    names: tuple[str, ...]
    values: tuple[float, ...]
    half_widths: Array
    shares: Shares
    together: bool


def _chosen(family: Family, goal: Goal, configurations: Sequence[str]) -> list[Group]:
    groups = [group for group in family.groups if group.cells]
    wanted = goal.pair or tuple(configurations)
    known = [group.label for group in groups]
    for name in wanted:
        if name not in known:
            raise InputError(
                f"there is no configuration '{name[:60]}' in these results.", hint=advice(name, known)
            )
    return [group for group in groups if group.label in wanted] if wanted else groups


def _fitted(family: Family, groups: Sequence[Group], goal: Goal, level: float) -> _Curves:
    law = next(law for law in LAWS.values() if law.has_floor) if goal.kind == "asymptote" else get_law(MAIN)
    for group in groups:
        if len(group.cells) < law.k:
            raise InputError(
                f"{group.label} has {len(group.cells)} of the {counted(law.k, 'size')} that {law.formula} needs.",
                hint=f"Run {_more_sizes(groups, law)} first.",
            )
    batch = make_batch([family.points(group) for group in groups], "log")
    theta = fit_curves(law, batch.data, starts=FitOptions().starts).theta
    at = {group.label: i for i, group in enumerate(groups)}
    width = law.k * len(groups)

    def placed(i: int, part: Array) -> Array:
        row = np.zeros(width)
        row[i * law.k : (i + 1) * law.k] = part
        return row

    def jacobian(i: int, log_n: float) -> tuple[float, Array]:
        value, by_theta = law.log_curve(theta[i : i + 1], np.array([[log_n - batch.scale.origin[i]]]))
        return float(value[0, 0]), placed(i, by_theta[0, 0])

    made, missed = [], []
    for group in groups:
        for size, run in family.usable(group):
            value, x = jacobian(at[group.label], log(getattr(run, family.x)))
            made.append(RunRow(x, float(size), group.label, run.data_seed))
            missed.append(log(run.val_ppl or 1.0) - value)
    model = fit_error_model(
        np.array(missed),
        np.array([row.x for row in made]),
        Labels.of(
            [row.size for row in made],
            [row.configuration for row in made],
            [(row.size, row.data_seed) for row in made],
        ),
    )
    names, values, goals = _goals(law, goal, family, groups, theta, batch.scale.origin, placed)
    errors = model.contrasts(goals)
    if any(errors.reason) or not np.all(errors.half_widths(level) > 0.0):
        raise _too_small(groups, law, model, errors.reason)
    per_size = _x_of_size(family)

    def row(group: Group, size: int) -> RunRow:
        return RunRow(jacobian(at[group.label], log(per_size(size)))[1], float(size), group.label)

    together = any(CELL in names and SEED in names for names in model.told_together)
    return _Curves(
        law.name,
        tuple(made),
        row,
        goals,
        names,
        values,
        errors.half_widths(level),
        Shares.of(model, len(groups)),
        together,
    )


def _goals(
    law: Law,
    goal: Goal,
    family: Family,
    groups: Sequence[Group],
    theta: Array,
    origin: Array,
    placed: Callable[[int, Array], Array],
) -> tuple[tuple[str, ...], tuple[float, ...], Array]:
    """Names, values and contrasts (k, p) of what is asked."""
    rows = range(len(groups))
    labels = tuple(group.label for group in groups)
    if goal.kind == "alpha":
        index = law.coordinates.index(law.slope)
        unit = np.eye(law.k)[index]
        return labels, tuple(theta[:, index]), np.array([placed(i, unit) for i in rows])
    if goal.kind == "asymptote":
        value, gradient = law.log_asymptote(theta)
        for group, found in zip(groups, theta, strict=True):
            limit = law.find_limit(group.label, found)
            if limit.law or limit.at_bound or not found[1] > 0.0:
                raise InputError(
                    f"{group.label}: these runs show no asymptote, so that there is no interval to narrow.",
                    hint="Ask for --goal alpha or ppl@N, whose runs at large sizes show an asymptote, too.",
                )
    else:
        largest = max(getattr(run, family.x) for group in groups for _, run in family.usable(group))
        place = np.log(goal.at or largest) - origin
        value, gradient = log_value_functional(law, place)(theta, np.arange(len(groups)))
    every = np.array([placed(i, gradient[i]) for i in rows])
    if goal.pair is None:
        return labels, tuple(np.exp(value)), every
    first, second = (labels.index(name) for name in goal.pair)
    ratio = float(np.exp(value[second] - value[first]))
    return (f"{labels[second]} / {labels[first]}",), (ratio,), (every[second] - every[first])[None]


def _x_of_size(family: Family) -> Callable[[int], float]:
    """What the law is over, from a nominal size: tokens by those of the nearest size that was run."""
    known = {cell.size: getattr(cell.runs[0], family.x) / cell.size for cell in family.cells}

    def of(size: int) -> float:
        return float(size * known[min(known, key=lambda there: abs(log(there / size)))])

    return of


def _too_small(groups: Sequence[Group], law: Law, model: ErrorModel, reasons: Sequence[str]) -> InputError:
    if NO_FREEDOM in reasons or model.free <= 0:
        return InputError(
            f"the study is too small to estimate its noise: a curve with {counted(law.k, 'parameter')} through "
            f"{counted(max(len(group.cells) for group in groups), 'size')} leaves nothing to judge it by.",
            hint=f"Run {_more_sizes(groups, law)} first.",
        )
    return InputError(
        "these runs give the interval no width: they leave a parameter open, or lie on their curves exactly.",
        hint=f"Run {_more_sizes(groups, law)} first.",
    )


def _more_sizes(groups: Sequence[Group], law: Law) -> str:
    """What would be needed: two sizes more than the law has parameters, and two seeds."""
    largest = max(cell.size for group in groups for cell in group.cells)
    there = min(len(group.cells) for group in groups)
    missing = max(1, law.k + 2 - there)
    new = ",".join(str(ceil(largest * 2 ** (i + 1))) for i in range(missing))
    return f"{counted(law.k + 2, 'size')} of each configuration, in two seeds each (cvfp sweep --samples {new} adds some),"
