"""What a section is built from: one family with its fits, and what holds for the whole report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, isfinite, log

from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINTS, MAIN
from cvfp_cli.laws.registry import LAWS, get_law
from cvfp_cli.reports.marks import marks, tied_finding
from cvfp_cli.reports.model import Finding, Mark
from cvfp_cli.results.reader import Results
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.forecasts import Forecast, forecasts
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.selection import Selection
from cvfp_cli.scaling.study import ALL, Request, Study, run_study
from cvfp_cli.stats.best import Best
from cvfp_cli.stats.claims import Claim
from cvfp_cli.stats.comparison import (
    MARGIN,
    Curve,
    JointTest,
    Pair,
    UnequalTests,
    after_joint,
    compare_pairs,
    joint_test,
    unequal_tests,
)
from cvfp_cli.stats.lines import ENOUGH_FREEDOM, Lines
from cvfp_cli.stats.noise import (
    FigureNoise,
    accuracy_noise,
    best_by,
    ppl_lines,
    ppl_noise,
    seed_noise,
    slope_noise,
    val_ppl,
)
from cvfp_cli.stats.paired import ArmsCompared
from cvfp_cli.study.families import Cell, Family, Group
from cvfp_cli.study.points import Points

PREDICT_TOKENS = (5e5, 1e6, 5e6, 1e7)
PREDICT_SAMPLES = (2.0, 4.0, 10.0)  # times the largest sample count, where training tokens are unknown
BAND_STEPS = 10
WINDOW = 4  # sizes in a sliding window of the local exponent


@dataclass(frozen=True)
class Scope:
    """One family and the laws fitted to each of its groups.

    Attributes:
        fits: by label and law. unfitted: why a group has no fit of a law.
        level: confidence level of every interval.
        joint: the laws over parameters and tokens, one fit each for the whole family. selection: which law predicts best,
            joint_selection: which of these.
        arms: every two groups that differ in one respect, compared.
        rankings, fitted_lines, claims: those made so far, by size and measure, by measure, and by name; several
            sections ask for the same.
    """

    family: Family
    laws: tuple[str, ...]
    fits: dict[tuple[str, str], Fit]
    unfitted: dict[tuple[str, str], Finding]
    level: float
    joint: tuple[Fit, ...] = ()
    selection: Selection | None = None
    joint_selection: Selection | None = None
    arms: tuple[ArmsCompared, ...] = ()
    rankings: "dict[tuple[int | None, str], Ranking]" = field(default_factory=dict, repr=False, compare=False)
    fitted_lines: dict[str, Lines | None] = field(default_factory=dict, repr=False, compare=False)
    claims: dict[str, Claim] = field(default_factory=dict, repr=False, compare=False)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The family's groups."""
        return self.family.groups

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """ln PPL over ln n of every group with a finished run, by label."""
        usable = (group for group in self.groups if self.family.usable(group))
        return {group.label: Curve.from_points(self.family.points(group)) for group in usable}

    @cached_property
    def usable(self) -> list[Points]:
        """The points of every group with two sizes or more."""
        known = [self.family.points(group) for group in self.groups if self.family.usable(group)]
        return [points for points in known if points.distinct_sizes > 1 and points.x.min() < points.x.max()]

    @cached_property
    def forecasts(self) -> tuple[Forecast, ...]:
        """What a mixture of laws says of every group with two sizes or more."""
        fits = {law: tuple(fit for (_, name), fit in self.fits.items() if name == law) for law in LAWS}
        options = FitOptions(level=self.level, predict=self.predict_at)
        return forecasts(self.usable, options, fits, mixed=True)

    @cached_property
    def lines(self) -> JointTest | None:
        """The lines of all groups tested together."""
        return joint_test(list(self.curves.values()))

    @cached_property
    def unequal(self) -> UnequalTests | None:
        """The same where each group may have a variance of its own."""
        return unequal_tests(list(self.curves.values()))

    @property
    def pair_variance(self) -> JointTest | None:
        """What serves every pair of lines; None where one group is noisier, so that each pair has its own."""
        return None if self.unequal is not None and self.unequal.stands_out else self.lines

    def pairs(self, margin: float = MARGIN) -> tuple[Pair, ...]:
        """Every two lines compared; slopes of two differ only where equal slopes of all are rejected."""
        found = compare_pairs(list(self.curves.values()), self.pair_variance, level=self.level, margin=margin)
        return after_joint(found, self.unequal)

    @cached_property
    def slope_lines(self) -> Lines | None:
        """The log-log lines of all groups with their errors."""
        return ppl_lines(self.family, own=True)

    def lines_of(self, measure: str) -> Lines | None:
        """The lines of ``val_ppl``, ``train_ppl`` or ``gap``, whose errors marks rest on."""
        own = self.slope_lines if measure == "val_ppl" else None
        if own is not None and own.spare >= ENOUGH_FREEDOM and self.family.sized:
            return own
        if measure not in self.fitted_lines:
            of = val_ppl if measure == "val_ppl" else lambda cell: getattr(cell, measure)
            self.fitted_lines[measure] = ppl_lines(self.family, of)
        return self.fitted_lines[measure]

    def power(self, group: Group) -> Fit | None:
        """The log-log line of a group."""
        return self.power_of(group.label)

    def power_of(self, label: str) -> Fit | None:
        """The log-log line of the group with this label."""
        return self.fits.get((label, MAIN))

    def alpha(self, group: Group) -> float | None:
        """The slope of a group's log-log line."""
        fit = self.power(group)
        return fit.parameters["alpha"].value if fit else None

    @cached_property
    def predict_at(self) -> tuple[float, ...]:
        """Sizes of the prediction table."""
        if self.family.x == "train_tokens":
            return PREDICT_TOKENS
        largest = max(self.family.sizes, default=0)
        return tuple(factor * largest for factor in PREDICT_SAMPLES)

    @cached_property
    def measured_to(self) -> float:
        """The largest size of any group, in the unit that the laws are fitted in."""
        return max(
            (max(self.family.points(group).x) for group in self.groups if self.family.usable(group)),
            default=0.0,
        )

    @cached_property
    def bands(self) -> dict[str, tuple[tuple[float, float, float], ...]]:
        """(x, low, high) along the log-log line of each group, to the last size that is predicted, by label."""
        usable = [points for points in map(self.family.points, self.groups) if self.power_of(points.label)]
        if not usable:
            return {}
        ends = {float(end) for points in usable for end in (min(points.x), max(points.x))}
        low, high = min(ends), max(*ends, *self.predict_at)
        even = (low * (high / low) ** (step / BAND_STEPS) for step in range(BAND_STEPS + 1))
        options = FitOptions(level=self.level, predict=tuple(sorted({*ends, *even})), hold_out=False)
        return {
            fit.config: tuple(
                (item.x, item.mean_low, item.mean_high)
                for item in fit.predictions
                if item.mean_low is not None and item.mean_high is not None and item.x >= min(points.x)
            )
            for points, fit in zip(usable, fit_groups(usable, MAIN, options), strict=True)
        }

    @cached_property
    def alpha_noise(self) -> tuple[tuple[Mark, ...], FigureNoise | None]:
        """Marks of the steepest slopes, group by group."""
        labels = [group.label for group in self.groups if self.alpha(group) is not None]
        noise = slope_noise(self.slope_lines, labels)
        values = [self.alpha_of(label) for label in labels]
        found = dict(zip(labels, marks(values, noise, level=self.level), strict=True))
        return tuple(found.get(group.label, "") for group in self.groups), noise

    def alpha_of(self, label: str) -> float | None:
        """The slope of the group with this label."""
        fit = self.power_of(label)
        return fit.parameters["alpha"].value if fit else None

    def at(self, size: int | None) -> list[tuple[Group, Cell]]:
        """Groups that have this size, with their cell there."""
        return self._by_size.get(size, [])

    @cached_property
    def _by_size(self) -> dict[int | None, list[tuple[Group, Cell]]]:
        found: dict[int | None, list[tuple[Group, Cell]]] = {}
        for group in self.groups:
            for cell in group.cells:
                found.setdefault(cell.size, []).append((group, cell))
        return found


@dataclass(frozen=True)
class Context:
    """The whole report's material.

    Attributes:
        results: what was read, file by file.
        scopes: one a family. previous: the same of ``--previous``.
        names: the paths as the user gave them. command: the command line that makes this report.
    """

    results: tuple[Results, ...]
    scopes: tuple[Scope, ...]
    level: float
    laws: tuple[str, ...]
    names: tuple[str, ...]
    command: str
    previous: tuple[Scope, ...] = ()
    previous_name: str = ""
    previous_results: Results | None = None
    notes: tuple[Finding, ...] = field(default=())


@dataclass(frozen=True)
class Ranking:
    """Groups at one size, ranked by a measure, with marks and the noise they rest on."""

    groups: tuple[Group, ...]
    cells: tuple[Cell, ...]
    values: tuple[float | None, ...]
    marks: tuple[Mark, ...]
    noise: FigureNoise | None

    def tested(self, level: float) -> Best | None:
        """The lowest value against every other."""
        return best_by(self.values, self.noise, level=level)

    @cached_property
    def _by_label(self) -> dict[str, Mark]:
        return {group.label: mark for group, mark in zip(self.groups, self.marks, strict=True)}

    def mark_of(self, group: Group) -> Mark:
        """The mark of a group; none if it is not at this size."""
        return self._by_label.get(group.label, "")

    @property
    def best(self) -> int | None:
        """Index of the lowest value."""
        known = [i for i, value in enumerate(self.values) if value is not None and isfinite(value)]
        return min(known, key=lambda i: self.values[i] or 0.0) if known else None

    def finding(self, code: str, value_of: Sequence[float | None], **more: object) -> Finding | None:
        """``code-best``, ``code-tied`` with the others, or ``code-unknown`` where no noise is known."""
        best = self.best
        if best is None or sum(value is not None for value in self.values) < 2:
            return None
        values = {"config": self.groups[best].label, "value": value_of[best], **more}
        if self.noise is None:
            return Finding(f"{code}-unknown", values)
        if self.marks[best] == "best":
            return Finding(f"{code}-best", values)
        others = tuple(
            group.label
            for i, (group, mark) in enumerate(zip(self.groups, self.marks, strict=True))
            if mark == "tied" and i != best
        )
        every = [group.label for group in self.groups]
        among = tied_finding([label for label in every if self._by_label[label]], every)
        counts = {"others": others, "count": len(others), "of": len(every), "among": among}
        return Finding(f"{code}-tied", {**values, **counts})


def rank(scope: Scope, size: int | None, measure: str) -> Ranking:
    """Rank the groups at one size by ``val_ppl``, ``train_ppl``, ``gap``, ``accuracy`` (highest first) or
    ``iterations``."""
    if (size, measure) not in scope.rankings:
        scope.rankings[size, measure] = _ranked(scope, size, measure)
    return scope.rankings[size, measure]


def _ranked(scope: Scope, size: int | None, measure: str) -> Ranking:
    pairs = scope.at(size)
    groups, cells = tuple(group for group, _ in pairs), tuple(cell for _, cell in pairs)
    raw = [getattr(cell, measure) for cell in cells]
    values: tuple[float | None, ...]
    if measure == "accuracy":
        values = tuple(None if value is None else -value for value in raw)
        noise = accuracy_noise(scope.family, cells)
    elif measure == "iterations":
        values = tuple(raw)
        noise = seed_noise(scope.family, cells, lambda cell: cell.iterations)
    else:
        values = tuple(log(value) if value is not None and 0 < value < inf else None for value in raw)
        known = [i for i, value in enumerate(values) if value is not None]
        noise = ppl_noise(scope.lines_of(measure), [groups[i].label for i in known], size) if known else None
        if noise is not None and len(known) < len(values):
            noise = noise.spread(known, len(values))
    return Ranking(groups, cells, values, marks(values, noise, level=scope.level), noise)


def fit_family(family: Family, laws: Sequence[str], level: float) -> Scope:
    """Fit every law to every group, all groups at once; one with too few sizes keeps the reason.

    Args:
        laws: names, or ``all``: every law with fewer parameters than a group has sizes.
    """
    bare = Scope(family, tuple(laws), {}, {}, level)
    options = FitOptions(level=level, predict=bare.predict_at, window=WINDOW)
    usable = bare.usable
    # The log-log line is always there: slopes are marked, tested and recommended by it, whatever laws are shown.
    lines = fit_groups(usable, MAIN, options) if usable else ()
    fits = {(fit.config, fit.law): fit for fit in lines}
    joint: tuple[Fit, ...] = ()
    selection = joint_selection = None
    shown = tuple(laws)
    if usable and shown != (MAIN,):
        # The lines have the windows already, which are theirs alone.
        study = _study(usable, Request(laws=shown, options=replace(options, window=0)))
        others = study.fits if study is not None else ()
        fits = {(fit.config, fit.law): fit for fit in others if fit.law not in JOINTS} | fits
        joint = tuple(fit for fit in others if fit.law in JOINTS)
        if study is not None:
            selection, joint_selection = study.selection, study.joint_selection
        shown = tuple(dict.fromkeys(fit.law for fit in others if fit.law not in JOINTS)) or (MAIN,)
    fitted = tuple(law for law in shown if law in LAWS) or (MAIN,)
    unfitted: dict[tuple[str, str], Finding] = {}
    for group in family.groups:
        for law in fitted:
            if (group.label, law) not in fits:
                least = 2 if law == MAIN or ALL not in laws else max(2, get_law(law).k + 1)
                values = {"config": group.label, "law": law, "sizes": len(group.cells), "least": least}
                unfitted[group.label, law] = Finding("law-needs-sizes", values, "note")
    return Scope(family, fitted, fits, unfitted, level, joint, selection, joint_selection)


def _study(groups: Sequence[Points], request: Request) -> Study | None:
    """Fit what was asked for; None where ``all`` was, and these sizes carry no law with freedom to spare."""
    try:
        return run_study(groups, request)
    except InputError:
        if request.laws == (ALL,):
            return None
        raise
