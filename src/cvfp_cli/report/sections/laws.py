"""Section 7: the laws, whether slopes and levels differ, predictions, reductions, and alpha by data range."""

from collections.abc import Sequence
from math import exp, inf, isfinite

from cvfp_cli.notes import Note
from cvfp_cli.report.groups import Group
from cvfp_cli.report.model import Block, Chart, Column, Finding, Findings, Series, Subheading, Table, Value
from cvfp_cli.report.scope import Context, Scope, estimate
from cvfp_cli.report.sections.summary import filled
from cvfp_cli.scaling.assemble import NO_AICC
from cvfp_cli.scaling.comparison import compare_pairs
from cvfp_cli.scaling.regression import FTest
from cvfp_cli.scaling.result import Fit

MOST_PAIRS = 2000  # pairs that are tested one by one; beyond, only the joint test is made
SHOWN_PAIRS = 10
CURVE_STEPS = 24
KNOWN_WARNINGS = (
    "limit-floor",
    "limit-power",
    "limit-saturating",
    "limit-step",
    "limit-constant",
    "no-aicc",
    "no-freedom",
    "one-degree-of-freedom",
    "rising",
    "starts-disagree",
    "underdetermined",
)
MOST_SERIES = 12  # lines in one chart


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Every law's parameters and errors, the tests of equal lines, predictions and windows."""
    if not scope.fits:
        return Finding("laws-too-few-sizes", {"sizes": len(scope.family.sizes)}, "note")
    blocks: list[Block] = (
        [_lines(scope)] if scope.laws == ("power",) else [_parameters(scope), _quality(scope)]
    )
    chart = scaling_chart([(scope, group) for group in scope.groups])
    if chart is not None:
        blocks.append(chart)
    notes = _fit_notes(scope)
    if notes:
        blocks.append(Findings(notes))
    blocks += [*_joint(scope), *_selection(scope)]
    blocks += tests_of(scope)
    blocks += _predictions(scope)
    blocks += _reductions(scope)
    blocks += _windows(scope)
    return tuple(blocks)


def _fitted(scope: Scope) -> list[tuple[Group, str, Fit]]:
    return [
        (group, law, fit)
        for group in scope.groups
        for law in scope.laws
        if (fit := scope.fits.get((group.label, law))) is not None
    ]


def _lines(scope: Scope) -> Table:
    """Parameters and errors in one table, where the power law is the only one."""
    rows = [
        {
            "config": Value(group.label),
            "points": Value(fit.points),
            "alpha": estimate(fit.parameters["alpha"]),
            "A": estimate(fit.parameters["A"]),
            "r_squared": Value(fit.r_squared),
            "loo_error": Value(fit.loo_error),
            "forward_error": Value(fit.forward_error),
        }
        for group, _, fit in _fitted(scope)
    ]
    columns = [
        Column("config"),
        Column("points", "int"),
        Column("alpha", "alpha"),
        Column("A", "scientific"),
        Column("r_squared", "r2"),
        Column("loo_error", "fall"),
        Column("forward_error", "fall"),
    ]
    table = filled("law-power", columns, rows)
    notes = (
        Finding("law-intervals", {"level": scope.level, "x": scope.family.x}, "note"),
        Finding("law-quality-method", {}, "note"),
    )
    return Table(table.key, table.columns, table.rows, notes)


def _parameters(scope: Scope) -> Table:
    rows = [
        (Value(group.label), Value(law), Value(name), estimate(value))
        for group, law, fit in _fitted(scope)
        for name, value in fit.parameters.items()
    ]
    columns = (
        Column("config"),
        Column("law", "text"),
        Column("parameter", "term"),
        Column("estimate", "significant"),
    )
    notes = (Finding("law-intervals", {"level": scope.level, "x": scope.family.x}, "note"),)
    return Table("law-parameters", columns, tuple(rows), notes)


def _quality(scope: Scope) -> Table:
    rows = [
        {
            "config": Value(group.label),
            "law": Value(law),
            "points": Value(fit.points),
            "k": Value(fit.k),
            "r_squared": Value(fit.r_squared),
            "aicc": Value(fit.aicc),
            "loo_error": Value(fit.loo_error),
            "forward_error": Value(fit.forward_error),
        }
        for group, law, fit in _fitted(scope)
    ]
    columns = [
        Column("config"),
        Column("law", "text"),
        Column("points", "int"),
        Column("k", "int"),
        Column("r_squared", "r2"),
        Column("aicc", "statistic"),
        Column("loo_error", "fall"),
        Column("forward_error", "fall"),
    ]
    table = filled("law-quality", columns, rows)
    return Table(table.key, table.columns, table.rows, (Finding("law-quality-method", {}, "note"),))


def _fit_notes(scope: Scope) -> tuple[Finding, ...]:
    """What the fits themselves warn of, each warning once with its configurations."""
    found: dict[tuple[str, str], list[str]] = {}
    texts: dict[tuple[str, str], Note] = {}
    for group, law, fit in _fitted(scope):
        for note in fit.warnings:
            if note.code != NO_AICC or scope.laws != ("power",):
                found.setdefault((law, note.code), []).append(group.label)
                texts[law, note.code] = note
    return tuple(
        Finding(
            f"fit-{code}" if code in KNOWN_WARNINGS else "fit-warning",
            {"law": law, "message": texts[law, code].message, "configs": tuple(labels), "count": len(labels)},
            texts[law, code].severity,
        )
        for (law, code), labels in found.items()
    )


def _joint(scope: Scope) -> list[Block]:
    """The law over parameters and tokens, which has one fit for all configurations."""
    if scope.joint is None:
        return []
    rows = tuple((Value(name), estimate(value)) for name, value in scope.joint.parameters.items())
    columns = (Column("parameter", "term"), Column("estimate", "significant"))
    count = {"points": scope.joint.points, "level": scope.level}
    notes = [Finding("joint-method", count, "note")]
    notes += [
        Finding("reader-note", {"file": "joint", "message": note.message}, "note")
        for note in scope.joint.warnings
    ]
    return [Subheading("joint"), Table("joint", columns, rows, tuple(notes))]


def _selection(scope: Scope) -> list[Block]:
    """Laws ranked by how well they predict larger sizes, and whether that decides anything."""
    if scope.selection is None or not scope.selection.laws:
        return []
    scores = scope.selection.laws
    rows = [
        {
            "law": Value(score.law),
            "rank": Value(score.rank),
            "rolling_error": Value(score.mean_error),
            "spread": Value(score.spread),
            "tests": Value(score.tests),
            "loo_error": Value(score.mean_loo),
            "mean_aic": Value(score.mean_aic),
            "akaike_weight": Value(score.akaike_weight),
        }
        for score in scores
    ]
    columns = [
        Column("law"),
        Column("rank", "int"),
        Column("rolling_error", "fall"),
        Column("spread", "fall"),
        Column("tests", "int"),
        Column("loo_error", "fall"),
        Column("mean_aic", "statistic"),
        Column("akaike_weight", "ratio"),
    ]
    table = filled("selection", columns, rows)
    note = Finding("selection-method", {}, "note")
    ranked = [score for score in scores if score.rank is not None]
    untested = tuple(score.law for score in scores if score.rank is None)
    values: dict[str, object] = {"untested": untested, "count": len(untested)}
    items = [Finding("selection-untested", values)] if untested else []
    if len(ranked) > 1:
        close = tuple(score.law for score in ranked if score is ranked[0] or not score.decided)
        best = {
            "law": ranked[0].law,
            "error": ranked[0].mean_error,
            "tests": ranked[0].tests,
            "sizes": ranked[0].held_out_sizes,
        }
        undecided = len(close) > 1
        items.insert(
            0, Finding(f"selection-{'undecided' if undecided else 'decided'}", {**best, "laws": close})
        )
    blocks: list[Block] = [Subheading("selection"), Table(table.key, table.columns, table.rows, (note,))]
    return [*blocks, Findings(tuple(items))] if items else blocks


def tests_of(scope: Scope) -> list[Block]:
    """Equal slopes? Equal levels? Which pairs? On common sizes, with size as a factor."""
    if len(scope.groups) < 2:
        return []
    joint = scope.family.joint
    if joint is None or joint.slopes is None:
        return [Subheading("equal-lines"), Findings((Finding("equal-lines-untested", {}, "note"),))]
    alpha = 1 - scope.level
    design = {"points": joint.points, "configurations": joint.curves, "sizes": joint.sizes}
    items = [Finding("paired-model", design, "note")]
    items.append(_test_finding("equal-slopes", joint.slopes, alpha))
    count = len(scope.family.curves)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        pairs = [
            pair
            for pair in compare_pairs(list(scope.family.curves.values()), joint, level=scope.level)
            if pair.slope is not None and pair.slope_holm is not None
        ]
        apart = [pair for pair in pairs if (pair.slope_holm or 0.0) < alpha]
        if apart:
            names = tuple(f"{pair.first} / {pair.second}" for pair in apart[:SHOWN_PAIRS])
            values = {"count": len(apart), "pairs": len(pairs), "names": names}
            items.append(Finding("slope-pairs-differ", values))
        elif len(pairs) > 1:
            closest = min(pairs, key=lambda pair: pair.slope_holm or 0.0)
            values = {
                "pairs": len(pairs),
                "first": closest.first,
                "second": closest.second,
                "p": closest.slope_holm,
            }
            items.append(Finding("slope-pairs-none", values))
        if joint.levels is not None:
            items.append(_test_finding("equal-levels", joint.levels, alpha))
    return [Subheading("equal-lines"), Findings(tuple(items))]


def _test_finding(code: str, test: FTest, alpha: float) -> Finding:
    verdict = "rejected" if test.p_value < alpha else "kept"
    values = {"f": test.statistic, "df1": test.df1, "df2": test.df2, "p": test.p_value}
    return Finding(f"{code}-{verdict}", values)


def _predictions(scope: Scope) -> list[Block]:
    fitted = [(group, law, fit) for group, law, fit in _fitted(scope) if fit.predictions]
    if not fitted:
        return []
    sizes = [prediction.x for prediction in fitted[0][2].predictions]
    columns = [Column("config"), *([Column("law")] if len(scope.laws) > 1 else [])]
    for size in sizes:
        at = [prediction for _, _, fit in fitted for prediction in fit.predictions if prediction.x == size]
        beyond = any(prediction.extrapolated for prediction in at)
        columns.append(
            Column(
                "predicted-beyond" if beyond else "predicted-within",
                "ppl",
                {"size": size, "unit": scope.family.x},
            )
        )
    rows = []
    for group, law, fit in fitted:
        figures = [
            Value(item.value, item.low, item.high, bounded=item.low is not None or item.high is not None)
            for item in fit.predictions
        ]
        head = [Value(group.label), *([Value(law)] if len(scope.laws) > 1 else [])]
        rows.append((*head, *figures))
    note = Finding(
        "predictions-method",
        {"level": scope.level, "largest": scope.measured_to, "unit": scope.family.x},
        "note",
    )
    return [
        Subheading("predictions"),
        Table("predictions", tuple(columns), tuple(rows), (note,)),
    ]


def scaling_chart(shown: Sequence[tuple[Scope, Group]]) -> Chart | None:
    """Points and fitted lines over the sizes; of very many, those with the lowest PPL at their largest size."""
    drawn = [(scope, group, fit) for scope, group in shown if (fit := _first_fit(scope, group)) is not None]
    if not drawn:
        return None
    lowest = sorted(
        drawn, key=lambda item: item[1].last.val_ppl if item[1].last and item[1].last.val_ppl else inf
    )
    kept = {id(group) for _, group, _ in lowest[:MOST_SERIES]}
    series = []
    for _, group, fit in drawn:
        if id(group) in kept:
            points = tuple((point.x, point.y) for point in fit.fitted)
            until = max([x for x, _ in points] + [item.x for item in fit.predictions if isfinite(item.x)])
            ends = (min(x for x, _ in points), max(x for x, _ in points), until)
            series.append(Series(group.label, points, _curve(fit, ends)))
    scope = drawn[0][0]
    values = {"unit": scope.family.x, "shown": len(series), "of": len(drawn)}
    return Chart(
        "scaling" if len(series) == len(drawn) else "scaling-some",
        "lines",
        tuple(series),
        "int",
        "ppl",
        log_x=True,
        log_y=True,
        measured_to=max(item.measured_to for item, _, _ in drawn),
        values=values,
    )


def _first_fit(scope: Scope, group: Group) -> Fit | None:
    fits = (scope.fits.get((group.label, law)) for law in ("power", *scope.laws))
    return next((fit for fit in fits if fit is not None), None)


def _curve(fit: Fit, ends: tuple[float, float, float]) -> tuple[tuple[float, float], ...]:
    """The fitted law from the smallest size over the largest (both are points of it) to the last prediction, evenly
    on a logarithmic axis; nothing where a parameter has no value."""
    values = {name: parameter.value for name, parameter in fit.parameters.items()}
    if any(value is None for value in values.values()) or fit.law not in ("power", "saturating", "exp-decay"):
        return ()
    known = {name: float(value) for name, value in values.items() if value is not None}
    floor, a = known.get("ppl_min", 0.0), known["A"]
    low, middle, high = ends
    sizes = [low * (high / low) ** (step / CURVE_STEPS) for step in range(CURVE_STEPS + 1)]
    points = []
    for x in sorted({*sizes, middle}):
        if fit.law == "power":
            y = a * x ** known["alpha"]
        elif fit.law == "saturating":
            y = floor + a * x ** -known["a"]
        else:
            y = floor + a * exp(-known["b"] * x ** known["c"])
        points.append((x, y))
    return tuple(points)


def _reductions(scope: Scope) -> list[Block]:
    rows = [
        {
            "config": Value(group.label),
            "law": Value(law if len(scope.laws) > 1 else None),
            "per_doubling": estimate(fit.per_doubling),
            "per_tenfold": estimate(fit.per_tenfold),
        }
        for group, law, fit in _fitted(scope)
    ]
    if not any(row["per_doubling"].value is not None for row in rows):
        return []
    columns = [
        Column("config"),
        Column("law"),
        Column("per_doubling", "percent"),
        Column("per_tenfold", "percent"),
    ]
    return [Subheading("reductions"), filled("reductions", columns, rows)]


def _windows(scope: Scope) -> list[Block]:
    """The exponent in sliding windows, where there is more than one window."""
    rows = [
        (
            Value(group.label),
            Value(window.x_low),
            Value(window.x_high),
            Value(window.points),
            estimate(window.estimate),
        )
        for group in scope.groups
        if (fit := scope.power(group)) is not None and len(fit.local_exponents) > 1
        for window in fit.local_exponents
    ]
    if not rows:
        return []
    columns = (
        Column("config"),
        Column("from_n", "int", {"unit": scope.family.x}),
        Column("to_n", "int", {"unit": scope.family.x}),
        Column("points", "int"),
        Column("alpha", "alpha"),
    )
    return [
        Subheading("windows"),
        Table("windows", columns, tuple(rows), (Finding("windows-overlap", {}, "note"),)),
    ]


def by_data_range(context: Context) -> tuple[Block, ...]:
    """Alpha over the studies' data ranges: only with several families, and with what else differs between them."""
    rows, ends, differing = [], [], set()
    groups = [group for scope in context.scopes for group in scope.groups]
    if len(context.scopes) < 2:
        return ()
    for scope in context.scopes:
        for group in scope.groups:
            fit = scope.power(group)
            if fit is None or scope.family.x != "train_tokens":
                continue
            low, high = min(point.x for point in fit.fitted), max(point.x for point in fit.fitted)
            ends.append((low, high))
            rows.append(
                (
                    Value(group.label),
                    Value(scope.family.name or None),
                    Value(low),
                    Value(high),
                    Value(fit.points),
                    estimate(fit.parameters["alpha"]),
                )
            )
    if len(set(ends)) < 2:
        return ()
    for factor in ("layers", "tokens", "context_dim", "token_input", "study"):
        if len({getattr(group, factor) for group in groups}) > 1:
            differing.add(factor)
    columns = (
        Column("config"),
        Column("study"),
        Column("from_n", "int", {"unit": "train_tokens"}),
        Column("to_n", "int", {"unit": "train_tokens"}),
        Column("points", "int"),
        Column("alpha", "alpha"),
    )
    order = ("layers", "tokens", "context_dim", "token_input", "study")
    confounds = tuple(factor for factor in order if factor in differing)
    return (
        Subheading("data-ranges"),
        Table("data-ranges", columns, tuple(rows)),
        Findings((Finding("data-ranges-confounded", {"factors": confounds}, "warning"),)),
    )
