"""Section 7: the laws, whether slopes and levels differ, predictions, reductions, and alpha by data range."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cvfp_cli.laws.names import JOINT, MAIN
from cvfp_cli.notes import COMMAND, DATA, FIT, JOINT_LAW, Note, told
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scaling_chart import scaling_chart
from cvfp_cli.reports.scope import Scope
from cvfp_cli.reports.sections.equal_lines import lines_tested
from cvfp_cli.reports.sections.forecast import forecast
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.reports.sections.worth import worth_of
from cvfp_cli.scaling.fit_notes import NO_AICC
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.selection import LawScore, laws_left
from cvfp_cli.stats.comparison import MARGIN
from cvfp_cli.study.families import Group


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Every law's parameters and errors, the tests of equal lines, predictions and windows."""
    if not scope.fits:
        return Finding("laws-too-few-sizes", {"sizes": len(scope.family.sizes)}, "note")
    blocks: list[Block] = [_lines(scope)] if scope.laws == (MAIN,) else [_parameters(scope), _quality(scope)]
    chart = scaling_chart([(scope, group) for group in scope.groups], panels=True)
    if chart is not None:
        blocks.append(chart)
    notes = _fit_notes(scope)
    if notes:
        blocks.append(Findings(notes))
    blocks += [block for joint in scope.joint for block in _joint(scope, joint)]
    if scope.joint_selection and (choice := _choice(scope.joint_selection.laws)):
        blocks.append(Findings((choice,)))
    blocks += _selection(scope)
    blocks += lines_tested(scope, margin=MARGIN)
    blocks += worth_of(scope)
    blocks += forecast(scope)
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
            "alpha": Value.of(fit.parameters["alpha"]),
            "A": Value.of(fit.parameters["A"]),
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
        (Value(group.label), Value(law), Value(name), Value.of(value))
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
    return _worded(
        (law, group.label, note)
        for group, law, fit in _fitted(scope)
        for note in fit.warnings
        if note.code != NO_AICC or scope.laws != (MAIN,)
    )


def _worded(notes: Iterable[tuple[str, str, Note]]) -> tuple[Finding, ...]:
    """Notes of laws and configurations, each once with all of them; of the data's own, said with every law, one."""
    found: dict[tuple[str, str], dict[str, Note]] = {}
    for law, label, note in notes:
        of = "" if DATA in told(note) else law
        found.setdefault((of, note.code), {}).setdefault(label, note)
    result = []
    for (law, code), members in found.items():
        first = next(iter(members.values()))
        values = {**first.values, "law": law, "message": first.message, "configs": tuple(members)}
        known = f"fit-{code}" if {FIT, DATA} & told(first) else "fit-warning"
        result.append(Finding(known, {**values, "count": len(members)}, first.severity))
    return tuple(result)


def _joint(scope: Scope, joint: Fit) -> list[Block]:
    """A law over parameters and tokens, which has one fit for all configurations."""
    rows = tuple((Value(name), Value.of(value)) for name, value in joint.parameters.items())
    columns = (Column("parameter", "term"), Column("estimate", "significant"))
    count = {"points": joint.points, "level": scope.level}
    notes = [Finding(f"{joint.law}-method", count, "note"), *_compute(joint)]
    everything = ", ".join(group.label for group in scope.groups)
    others = [note for note in joint.warnings if not {DATA, COMMAND} & told(note)]
    notes += [
        Finding(f"joint-fit-{note.code}", {**note.values, "message": note.message}, note.severity)
        for note in others
        if JOINT_LAW in told(note)
    ]
    notes += _worded((joint.law, everything, note) for note in others if JOINT_LAW not in told(note))
    test = joint.pool
    if test is not None and test.p is not None and test.f is not None:
        values = {"groups": test.groups, "df1": test.df1, "df2": test.df2, "f": test.f, "p": test.p}
        verdict = "rejected" if test.p < 1.0 - scope.level else "kept"
        notes.append(Finding(f"joint-shared-{verdict}", values, "note"))
    heading = Subheading(JOINT) if joint.law == JOINT else Subheading("joint-law", {"law": joint.law})
    return [heading, Table(JOINT, columns, rows, tuple(notes))]


def _compute(joint: Fit) -> list[Finding]:
    """How the best sizes grow with what training may cost."""
    compute = joint.compute
    if compute is None or compute.model_size is None:
        return []
    names = ("factor", "by_n", "by_d", "spread")
    values = {name: getattr(compute, name) for name in names}
    values |= {"parameters": Value.of(compute.model_size), "tokens": Value.of(compute.x)}
    return [Finding(f"joint-compute-{'counted' if compute.counted else 'usual'}", values, "note")]


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
    untested = tuple(score.law for score in scores if score.rank is None)
    values: dict[str, object] = {"untested": untested, "count": len(untested)}
    items = [Finding("selection-untested", values)] if untested else []
    items = [
        Finding("selection-bends", {"law": score.law, "p": score.bend_p})
        for score in scores
        if score.bend_p is not None
    ] + items
    if choice := _choice(scores):
        items.insert(0, choice)
    blocks: list[Block] = [Subheading("selection"), Table(table.key, table.columns, table.rows, (note,))]
    return [*blocks, Findings(tuple(items))] if items else blocks


def _choice(scores: Sequence[LawScore]) -> Finding | None:
    """Which law predicts larger sizes best, and whether that is decided."""
    ranked = [score for score in scores if score.rank is not None]
    if len(ranked) < 2:
        return None
    left = tuple(laws_left(ranked))
    best = {
        "law": ranked[0].law,
        "error": ranked[0].mean_error,
        "tests": ranked[0].tests,
        "sizes": ranked[0].held_out_sizes,
        "laws": left,
    }
    if left == (ranked[0].law,):
        return Finding("selection-decided" if ranked[0].decided else "selection-left", best)
    if len(left) == 1:
        return Finding("selection-only", {**best, "only": left[0]})
    return Finding("selection-undecided" if left else "selection-none", best)


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


def _reductions(scope: Scope) -> list[Block]:
    rows = [
        {
            "config": Value(group.label),
            "law": Value(law if len(scope.laws) > 1 else None),
            "per_doubling": Value.of(fit.per_doubling),
            "per_tenfold": Value.of(fit.per_tenfold),
        }
        for group, law, fit in _fitted(scope)
    ]
    if not any(row["per_doubling"].value is not None for row in rows):
        return []
    keys = ("per_doubling", "per_tenfold")
    if any(isinstance(fall := row[key].value, float) and fall < 0 for row in rows for key in keys):
        # A fall below zero reads like a slip: where any law rises, every figure is a change with its sign.
        changed = [{**row, **{f"change_{key}": _as_change(row[key]) for key in keys}} for row in rows]
        columns = [Column("config"), Column("law"), *(Column(f"change_{key}", "error") for key in keys)]
        return [Subheading("changes"), filled("changes", columns, changed)]
    columns = [Column("config"), Column("law"), *(Column(key, "percent") for key in keys)]
    return [Subheading("reductions"), filled("reductions", columns, rows)]


def _as_change(fall: Value) -> Value:
    """A fall with its sign turned, and its interval with it."""
    value, low, high = (
        -end if isinstance(end, int | float) else None for end in (fall.value, fall.high, fall.low)
    )
    return replace(fall, value=value, low=low, high=high)


def _windows(scope: Scope) -> list[Block]:
    """The exponent in sliding windows, where there is more than one window."""
    rows = [
        (
            Value(group.label),
            Value(window.x_low),
            Value(window.x_high),
            Value(window.points),
            Value.of(window.estimate),
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
