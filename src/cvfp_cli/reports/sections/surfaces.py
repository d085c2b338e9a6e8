"""Section 4: means of alpha and A by layers and by tokens, and their surfaces by least squares."""

from collections.abc import Callable, Sequence
from math import log
from statistics import fmean

from cvfp_cli.reports.hypotheses import mean_slope
from cvfp_cli.reports.marks import marks
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Table, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.scaling.numbers import NO_SLOPE
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.noise import mean_slope_noise
from cvfp_cli.stats.regression import Regression, correlation, determined
from cvfp_cli.study.families import Group

Term = tuple[str, Callable[[float, float], float]]


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Tables of means, the surfaces with their coefficients, and how far A may be trusted."""
    fitted = [
        (group, fit.parameters["alpha"].value, fit.parameters["A"].value)
        for group in scope.groups
        if group.layers and group.tokens and (fit := scope.power(group)) is not None
    ]
    known = [(group, alpha, a) for group, alpha, a in fitted if alpha is not None and a is not None]
    if len(known) < 2:
        return Finding("surfaces-too-few", {"configurations": len(known)}, "note")
    factors = [name for name in ("layers", "tokens") if len({g.factor(name) for g, _, _ in known}) > 1]
    if not factors:
        return Finding("surfaces-no-grid", {}, "note")
    blocks: list[Block] = [_means(scope, name, known) for name in factors]
    blocks.append(Findings(tuple(_extreme_mean(scope, name, known) for name in factors)))
    rows: list[tuple[Value, ...]] = []
    findings: list[Finding] = []
    for measure, over, terms in _surfaces(known, factors):
        surface = _fit(measure, terms, known, scope.level)
        if surface is None:
            findings.append(Finding("surface-no-freedom", {"measure": measure, "over": over}, "note"))
            continue
        rows += _rows(f"{'α' if measure == 'alpha' else 'A'}({', '.join(over)})", surface)
        findings += _describe(measure, surface)
    if rows:
        columns = (
            Column("surface"),
            Column("coefficient", "term"),
            Column("estimate", "coefficient"),
            Column("standard_error", "coefficient_size"),
            Column("p_value", "p"),
            Column("differs_from_zero", "term"),
        )
        notes = (Finding("surface-method", {"level": scope.level, "configurations": len(known)}, "note"),)
        blocks.append(Table("surfaces", columns, tuple(rows), notes))
    findings.append(_a_and_alpha(known, scope))
    blocks.append(Findings(tuple(findings)))
    return tuple(blocks)


Known = Sequence[tuple[Group, float, float]]


def _means(scope: Scope, factor: str, known: Known) -> Table:
    rows = []
    for value in sorted({group.factor(factor) for group, _, _ in known}):
        members = [(group.label, a) for group, _, a in known if group.factor(factor) == value]
        rows.append(
            (
                Value(value),
                Value(len(members)),
                Value.of(mean_slope(scope, [label for label, _ in members])),
                Value(fmean(a for _, a in members)),
                Value(min(a for _, a in members)),
                Value(max(a for _, a in members)),
            )
        )
    columns = (
        Column(factor, "int"),
        Column("configurations", "int"),
        Column("mean_alpha", "alpha3"),
        Column("mean_A", "scientific"),
        Column("lowest_A", "scientific"),
        Column("highest_A", "scientific"),
    )
    return Table(
        f"means-by-{factor}",
        columns,
        tuple(rows),
        (Finding("means-interval-method", {"level": scope.level}, "note"),),
    )


def _extreme_mean(scope: Scope, factor: str, known: Known) -> Finding:
    """Which level has the steepest mean alpha, if the slopes' noise tells it from the others."""
    levels = sorted({group.factor(factor) for group, _, _ in known})
    members = [[group.label for group, _, _ in known if group.factor(factor) == level] for level in levels]
    means = [fmean(alpha for group, alpha, _ in known if group.factor(factor) == level) for level in levels]
    noise = mean_slope_noise(scope.slope_lines, members)
    found = marks(means, noise, level=scope.level)
    steepest = means.index(min(means))
    values: dict[str, object] = {"factor": factor, "level": levels[steepest], "value": means[steepest]}
    if min(means) > -NO_SLOPE:
        return Finding("steepest-mean-none", values)
    if noise is None:
        return Finding("steepest-mean-unknown", values)
    if found[steepest] == "best":
        return Finding("steepest-mean-best", values)
    others = tuple(
        level for level, mark in zip(levels, found, strict=True) if mark and level != levels[steepest]
    )
    return Finding("steepest-mean-tied", {**values, "others": others})


def _surfaces(known: Known, factors: list[str]) -> list[tuple[str, tuple[str, ...], tuple[Term, ...]]]:
    """The studies' forms: squares about the middle level for alpha, distances from it for A."""
    squares: list[Term] = []
    distances: list[Term] = []
    for factor in factors:
        levels = sorted({float(group.factor(factor)) for group, _, _ in known})
        middle = levels[len(levels) // 2] if len(levels) % 2 else (levels[0] + levels[-1]) / 2
        index = 0 if factor == "layers" else 1
        if len(levels) == 2:
            line: Term = (f"({factor} - {levels[0]:g})", _shift(index, levels[0]))
            squares.append(line)
            distances.append(line)
        else:
            squares.append((f"({factor} - {middle:g})²", _square(index, middle)))
            distances.append((f"|{factor} - {middle:g}|", _distance(index, middle)))
    surfaces = [("alpha", tuple(factors), tuple(squares))]
    surfaces += [("A", (factor,), (term,)) for factor, term in zip(factors, distances, strict=True)]
    if len(factors) > 1:
        surfaces.append(("A", tuple(factors), tuple(distances)))
    return surfaces


def _shift(index: int, origin: float) -> Callable[[float, float], float]:
    return lambda *at: at[index] - origin


def _square(index: int, middle: float) -> Callable[[float, float], float]:
    return lambda *at: (at[index] - middle) ** 2


def _distance(index: int, middle: float) -> Callable[[float, float], float]:
    return lambda *at: abs(at[index] - middle)


def _fit(measure: str, terms: tuple[Term, ...], known: Known, level: float) -> Regression | None:
    columns = [
        [1.0, *(term(float(g.layers or 0), float(g.tokens or 0)) for _, term in terms)] for g, _, _ in known
    ]
    y = [alpha if measure == "alpha" else a for _, alpha, a in known]
    return determined(columns, y, names=("constant", *(name for name, _ in terms)), level=level)


def _rows(surface: str, fit: Regression) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for name, coefficient in zip(fit.names, fit.coefficients, strict=True):
        constant = name == "constant"
        rows.append(
            (
                Value(surface),
                Value(name),
                Value.of(coefficient),
                Value(coefficient.se),
                Value(None if constant else _p_value(coefficient)),
                Value(None if constant else _differs(coefficient, fit.level)),
            )
        )
    return rows


def _differs(coefficient: Estimate, level: float) -> str:
    p_value = _p_value(coefficient)
    return "unknown" if p_value is None else "yes" if p_value < 1 - level else "no"


def _p_value(coefficient: Estimate) -> float | None:
    """Of its test against 0; what rounding leaves of equal figures is 0, however small its error."""
    return 1.0 if abs(coefficient.known) <= NO_SLOPE else coefficient.p_value


def _describe(measure: str, fit: Regression) -> list[Finding]:
    """The surface as a formula, and whether anything in it differs from 0."""
    slopes = {name: fit[name] for name in fit.names if name != "constant"}
    constant = fit["constant"].known
    differing = tuple(name for name, slope in slopes.items() if _differs(slope, fit.level) == "yes")
    known = all(slope.p_value is not None for slope in slopes.values())
    verdict = "some-differ" if differing else "none-differs" if known else "unknown"
    relative = measure == "A" and constant != 0
    values = {
        "constant": constant,
        "terms": tuple(
            (name, slope.known / constant if relative else slope.known) for name, slope in slopes.items()
        ),
        "r_squared": fit.r_squared,
        "differing": differing,
        "level": fit.level,
    }
    return [Finding(f"surface-{measure}-{verdict}", values)]


def _a_and_alpha(known: Known, scope: Scope) -> Finding:
    """A and alpha are one figure seen twice: say how closely they go together, and where A lies."""
    smallest = min(min(scope.family.points(group).x) for group, _, _ in known)
    values: dict[str, object] = {"smallest": float(smallest), "unit": scope.family.x}
    logs = [(log(a), alpha) for _, alpha, a in known if a > 0]
    if (together := correlation(logs)) is not None:
        values |= {"correlation": together.value, "configurations": len(logs)}
        return Finding("A-follows-alpha", values)
    return Finding("A-is-extrapolated", values)
