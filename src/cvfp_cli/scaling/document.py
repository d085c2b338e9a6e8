"""A ``Study`` as a document: headings, tables and sentences, before it is text or Markdown."""

from collections.abc import Sequence

from cvfp_cli.counting import counted
from cvfp_cli.laws.registry import LAWS, SURFACES
from cvfp_cli.scaling.blocks import Block, Heading, Line, TextTable
from cvfp_cli.scaling.fit_notes import NO_AICC
from cvfp_cli.scaling.forecast_text import forecast_blocks
from cvfp_cli.scaling.isoflops import IsoFlops
from cvfp_cli.scaling.numbers import (
    ALL_MEASURE,
    MISSING,
    NO_CHANGE,
    ROUNDING,
    ends,
    figure,
    interval,
    percent,
    percents,
    rounded_off,
    signed_percent,
    size,
    small_percent,
)
from cvfp_cli.scaling.predictions import NOTHING_LEFT, SHARED_UNSEEN
from cvfp_cli.scaling.result import (
    DIFFER,
    Cheapest,
    Compute,
    Estimate,
    Fit,
    FittedPoint,
    PoolTest,
    Prediction,
    Target,
)
from cvfp_cli.scaling.selection import LawScore
from cvfp_cli.scaling.study import Study
from cvfp_cli.study.units import ACCURACY, BOUNDED

METHODS = {
    "t": "t intervals of the log-log line, for errors that may differ by size",
    "profile": "profile-likelihood intervals, for errors that may differ by size",
    "none": "no intervals, nothing is left to make them from",
}
MODEL_SIZE = "model size"
NEAR_ALL = 0.001  # operations this near a relation are told without how near
# A fit of many runs shows its points only in JSON and CSV.
MOST_POINTS = 40


def study_blocks(study: Study) -> list[Block]:
    """The whole answer: every fit, then all fits side by side, then what the data decide."""
    blocks: list[Block] = forecast_blocks(study.forecasts)
    said: set[str] = set()  # what concerns the data is said once, not with each law
    for fit in study.fits:
        blocks += fit_blocks(fit, said)
    if len(study.fits) > 1:
        blocks += _side_by_side(study.fits)
    for title, made in (
        ("Selection", study.selection),
        ("Selection of the joint laws", study.joint_selection),
    ):
        if made:
            blocks += [Heading(title), _selection(made.laws), Line(made.sentence)]
            blocks += [Line(f"{score.law}: {score.reason}.") for score in made.laws if score.reason]
    for profiles in study.isoflops:
        blocks += _isoflops(profiles)
    if not study.sensitivity:
        return blocks
    from cvfp_cli.scaling.sensitivity_text import sensitivity_blocks

    return blocks + sensitivity_blocks(study.sensitivity)


def fit_blocks(fit: Fit, said: set[str] | None = None) -> list[Block]:
    """One fit: parameters, points, errors, reductions, asymptote, predictions, targets, notes.

    Args:
        said: notes that stand above already; this fit's are added.
    """
    said = set() if said is None else said
    measured = fit.interval_method != "none"
    level = f"{100 * fit.level:g} %"
    method = METHODS.get(fit.interval_method, f"intervals by {fit.interval_method}")
    if measured:
        method = f"{level} {method}"
    elif why := _nothing_has_one(fit):
        method = f"no intervals, {why}"
    limit = f", at its limit: {fit.limit}" if fit.limit else ""
    blocks: list[Block] = [
        Heading(f"{fit.config or 'all points'}: {fit.law}{limit}"),
        Line(
            f"{_formula(fit)}; {counted(fit.points, 'point')}, {counted(fit.k, 'parameter')}, objective {fit.objective}; {method}."
        ),
        TextTable(
            ("parameter", "value", f"{level} interval", ""),
            tuple(_parameter(name, estimate, measured) for name, estimate in fit.parameters.items()),
        ),
    ]
    unseen = [name for name, one in fit.parameters.items() if one.reason == SHARED_UNSEEN]
    blocks += _without_interval(", ".join(unseen), [SHARED_UNSEEN] if unseen else [])
    if len(fit.fitted) <= MOST_POINTS:
        rows = tuple(
            (*_sizes(p), figure(p.y), figure(p.predicted), signed_percent(p.error)) for p in fit.fitted
        )
        blocks.append(TextTable((*_size_names(fit), fit.y, "fitted", "error"), rows))
    blocks.append(Line(_quality(fit)))
    blocks.append(Line(_held_out(fit)))
    blocks += [Line(text) for text in _shape(fit, measured)]
    if fit.predictions:
        blocks.append(_predictions(fit, level))
        blocks += _without_interval("these predictions", [p.reason for p in fit.predictions])
    blocks += [Line(_target(target, fit)) for target in fit.targets]
    blocks += [Line(_cheapest(least, fit)) for least in fit.cheapest]
    if fit.compute:
        blocks += _compute(fit.compute, fit, level)
    if fit.pool:
        blocks.append(Line(_pool(fit.pool)))
    if fit.local_exponents:
        rows = tuple(
            (
                f"{size(w.x_low)} to {size(w.x_high)}",
                figure(w.estimate.value),
                interval(w.estimate.low, w.estimate.high) if w.estimate.low is not None else MISSING,
            )
            for w in fit.local_exponents
        )
        blocks.append(TextTable((f"{fit.x}", "local exponent", f"{level} interval"), rows))
        blocks += _without_interval("these local exponents", [w.estimate.reason for w in fit.local_exponents])
    if fit.replicates:
        blocks.append(Line(_replicates(fit)))
    for note in fit.warnings:
        if note.code != NO_AICC and note.message not in said:
            said.add(note.message)
            blocks.append(Line(f"{note.severity}: {note.message}"))
    return blocks


def _nothing_has_one(fit: Fit) -> str:
    """Why a fit has no interval, where that is another reason than the usual one."""
    reasons = (one.reason for one in fit.parameters.values() if one.reason and one.value is not None)
    return next((reason for reason in reasons if reason != NOTHING_LEFT), "")


def _formula(fit: Fit) -> str:
    formula = (SURFACES if fit.law in SURFACES else LAWS)[fit.law].formula
    return f"{_odds(fit)} = {formula.split(' = ', 1)[1]}" if fit.y_unit in BOUNDED else formula


def _odds(fit: Fit) -> str:
    """What falls: y, or the odds of a bounded one."""
    if fit.y_unit not in BOUNDED:
        return fit.y
    return f"(1 - {fit.y}) / {fit.y}" if fit.y_unit == ACCURACY else f"{fit.y} / (1 - {fit.y})"


def _slope(law: str) -> str:
    """The parameter that is the slope of a law that is a straight line on logarithms; empty for any other."""
    return "" if law in SURFACES else LAWS[law].slope


def _parameter(name: str, estimate: Estimate, measured: bool) -> tuple[str, str, str, str]:
    remarks = [word for word, on in (("shared", estimate.shared), ("at its bound", estimate.at_bound)) if on]
    if estimate.reason and estimate.value is None:
        return name, "undetermined", MISSING, f"({estimate.reason})"
    if estimate.fixed:
        return name, figure(estimate.known), MISSING, "fixed"
    value = "no finite value" if estimate.value is None else figure(estimate.value)
    between = MISSING if estimate.reason else ends(estimate, measured)
    # Of a fit without any interval the line above says why, and of what is shared the one below.
    if estimate.reason and measured and estimate.reason != SHARED_UNSEEN:
        remarks.append(f"no interval: {estimate.reason}")
    return name, value, between, ", ".join(remarks)


def _quality(fit: Fit) -> str:
    r2 = MISSING if fit.r_squared is None else f"{fit.r_squared:.4f}"
    aicc = _criterion(fit.aicc)
    if fit.aicc is None and fit.points - fit.k - 2 <= 0:
        aicc = f"none (m - k - 2 = {fit.points - fit.k - 2})"
    return (
        f"R^2 {r2}; RSS {figure(fit.rss_ppl)} ({fit.y}), {figure(fit.rss_log)} (ln); AIC {_criterion(fit.aic)}, "
        f"AICc {aicc}, BIC {_criterion(fit.bic)}; largest error {fit.largest_error:.1f} %.{_starts(fit)}"
    )


def _starts(fit: Fit) -> str:
    if fit.starts is None or fit.starts.tried < 2:
        return ""
    return f" {percent(fit.starts.agree, 0)} of {counted(fit.starts.tried, 'start')} ended here."


def _criterion(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _held_out(fit: Fit) -> str:
    if fit.loo_error is None and fit.forward_error is None:
        return "Nothing can be held out: fewer points would be left than there are parameters."
    off = "off in these odds" if fit.y_unit in BOUNDED else "off"
    left = (
        f"Left out one at a time: {percent(fit.loo_error)} {off} on average."
        if fit.loo_error is not None
        else "Points cannot be left out one at a time: too few would remain."
    )
    if fit.forward_error is None:
        what = f"what {fit.held_out_by} holds out" if fit.held_out_by else "the largest size"
        return f"{left} Without {what} too few remain to predict it."
    by = fit.held_out_by
    if by:
        left += f" Held out by {by}: {percent(fit.forward_error)} {off} on average."
    if len(fit.held_out) > MOST_POINTS:
        return (
            left
            if by
            else f"{left} Fitted without the largest sizes: {percent(fit.forward_error)} {off} on them."
        )
    tests = "; ".join(
        dict.fromkeys(  # repeats that agree in every digit are told once
            f"{_pair(p)} predicted {figure(p.predicted)}, measured {figure(p.y)} ({rounded_off(p.predicted - p.y, ROUNDING * p.y):+.3g}, "
            f"{signed_percent(p.error)})"
            for p in fit.held_out
        )
    )
    return f"{left} {tests[:1].upper()}{tests[1:]}." if by else f"{left} Fitted without the largest: {tests}."


def _shape(fit: Fit, measured: bool) -> list[str]:
    lines = []
    if fit.per_doubling and fit.per_tenfold and fit.per_doubling.value is not None:
        lines.append(_falls(fit, fit.per_doubling, fit.per_tenfold, measured))
    if fit.asymptote and fit.distance:
        below = fit.distance.value is not None and fit.distance.value < 0.0
        away = fit.distance.turned() if below else fit.distance
        if fit.asymptote.fixed:
            side = "below" if below else "above"
            lines.append(
                f"Asymptote {figure(fit.asymptote.value)} (fixed); the last measurement lies {figure(away.value)} {side} it."
            )
            return lines
        why = _why_none(fit.asymptote, measured)
        of_end, of_distance = ("" if why else f" ({ends(one, measured)})" for one in (fit.asymptote, away))
        lines.append(
            f"Asymptote {figure(fit.asymptote.value)}{of_end}; the last measurement lies "
            f"{figure(away.value)} {'below' if below else 'above'} it{of_distance}{why}."
        )
    elif _slope(fit.law):
        of = f" of {_odds(fit)}" if fit.y_unit in BOUNDED else ""
        lines.append(f"Asymptote{of}: none, {_power_end(fit)}.")
    return lines


def _power_end(fit: Fit) -> str:
    """Where a power law goes as the sizes grow without end."""
    change = fit.per_doubling.value if fit.per_doubling else None
    if change is None or change >= NO_CHANGE:
        return "a power law falls to 0"
    return "this one rises without end" if change <= -NO_CHANGE else "this one neither falls nor rises"


def _size_names(fit: Fit) -> tuple[str, ...]:
    """The headers over a point's sizes."""
    return (MODEL_SIZE, fit.x) if fit.law in SURFACES else (fit.x,)


def _sizes(point: FittedPoint | Prediction) -> tuple[str, ...]:
    return (size(point.x),) if point.model_size is None else (size(point.model_size), size(point.x))


def _pair(point: FittedPoint | Prediction) -> str:
    return ":".join(_sizes(point))


def _falls(fit: Fit, doubling: Estimate, tenfold: Estimate, measured: bool) -> str:
    """How far y falls, or rises where it does; a change without digits is none."""
    where = "" if _slope(fit.law) else " from the largest size"
    assert doubling.value is not None  # the caller looked
    if abs(doubling.value) < NO_CHANGE and abs(tenfold.value or 0.0) < NO_CHANGE:
        bounds = [end for estimate in (doubling, tenfold) for end in (estimate.low, estimate.high)]
        known = measured and all(end is not None and abs(end) < NO_CHANGE for end in bounds)
        sure = f"{where}, its whole interval too" if known else where
        return f"{_odds(fit)} changes by less than {NO_CHANGE:g} % per doubling and per tenfold{sure}."
    if measured and (doubling.low or 0.0) <= NO_CHANGE and (doubling.high or 0.0) >= 100.0 - NO_CHANGE:
        return f"How fast {_odds(fit)} falls{where} is not determined: no fall is ruled out."
    rises = doubling.value < 0.0
    parts = []
    for name, estimate in (("doubling", doubling), ("tenfold", tenfold)):
        known = measured and not (estimate.low is None and estimate.high is None)
        shown = estimate.turned() if rises else estimate
        between = f" ({percents(shown.low, shown.high)})" if known else ""
        parts.append(f"{small_percent(shown.value)}{between} per {name}")
    why = _why_none(doubling, measured)
    return f"{_odds(fit)} {'rises' if rises else 'falls'} by {', '.join(parts)}{where}{why}."


def _why_none(estimate: Estimate, measured: bool) -> str:
    """Why a figure has no interval, of a fit that has some."""
    return f"; no interval: {estimate.reason}" if measured and estimate.reason else ""


def _predictions(fit: Fit, level: str) -> TextTable:
    measured = fit.interval_method != "none" and any(
        p.low is not None or p.high is not None for p in fit.predictions
    )
    rows = tuple(
        (
            *_sizes(p),
            "beyond all measure" if p.value is not None and p.value > ALL_MEASURE else figure(p.value),
            _of_prediction(p.low, p.high, p.reason) if measured else MISSING,
            _of_prediction(p.mean_low, p.mean_high, p.reason) if measured else MISSING,
            "extrapolation" if p.extrapolated else "interpolation",
        )
        for p in fit.predictions
    )
    return TextTable(
        (*_size_names(fit), "predicted", f"{level} for a new run", f"{level} for the law", ""), rows
    )


def _of_prediction(low: float | None, high: float | None, reason: str) -> str:
    """One of a prediction's two intervals; the reason may be that of the other alone."""
    return MISSING if reason and low is None and high is None else interval(low, high)


def _without_interval(what: str, reasons: Sequence[str]) -> list[Block]:
    """Why figures of a table have no interval, each reason once."""
    return [Line(f"No interval for {what}: {reason}.") for reason in dict.fromkeys(filter(None, reasons))]


def _target(target: Target, fit: Fit) -> str:
    at = "" if target.model_size is None else f" at {MODEL_SIZE} {size(target.model_size)}"
    if target.x is None:
        from_size = f"; the data allow it from {size(target.low)} on" if target.low is not None else ""
        return f"{fit.y} {figure(target.ppl)}{at}: {target.reason}{from_size}."
    between = "" if target.reason else f" ({interval(target.low, target.high)})"
    far = ", an extrapolation" if target.extrapolated else ""
    why = f"; no interval: {target.reason}" if target.reason else ""
    return f"{fit.y} {figure(target.ppl)} is reached{at} at {fit.x} {size(target.x)}{between}{far}{why}."


def _cheapest(least: Cheapest, fit: Fit) -> str:
    start = f"{fit.y} {figure(least.ppl)} with the least product of both sizes"
    if least.model_size is None or least.x is None or least.product is None:
        return f"{start}: {least.reason}."
    parts = (
        f"{name} {'-' if part.value is None else size(part.value)}"
        + ("" if part.reason else f" ({_ends(part)})")
        for name, part in ((MODEL_SIZE, least.model_size), (fit.x, least.x), ("product", least.product))
    )
    far = ", an extrapolation" if least.extrapolated else ""
    why = f"; no interval: {least.reason}" if least.reason else ""
    return f"{start}: {', '.join(parts)}{far}{why}."


def _compute(compute: Compute, fit: Fit, level: str) -> list[Block]:
    """How the best sizes grow with what training may cost, and the split of each budget."""
    if compute.model_size is None or compute.x is None:
        return [Line(f"How a budget of operations is best spent cannot be said: {compute.reason}.")]
    names = (MODEL_SIZE, fit.x)
    powers = (
        name if by == 1.0 else f"{name}^{figure(by, 3)}"
        for name, by in zip(names, (compute.by_n, compute.by_d), strict=True)
    )
    source = "as is usual"
    if compute.counted:
        about = f" within {percent(compute.spread)}" if compute.spread > NEAR_ALL else ""
        source = f"as the runs' operations are{about}"
    cost = " x ".join((f"{compute.factor:.4g}", *powers))
    grow = _grow(names, compute.model_size, compute.x)
    blocks: list[Block] = [Line(f"Where training costs C = {cost} operations ({source}), the best {grow}.")]
    rows = tuple(
        (
            figure(split.budget),
            *(_with_ends(part) for part in (split.model_size, split.x)),
            _with_ends(
                Estimate(
                    split.there.value,
                    split.there.mean_low,
                    split.there.mean_high,
                    reason=split.there.reason,
                )
            ),
            "extrapolation" if split.there.extrapolated else "interpolation",
        )
        for split in compute.splits
        if split.model_size and split.x and split.there
    )
    if rows:
        blocks.append(TextTable(("C", *(f"best {name}" for name in names), f"{fit.y} there", ""), rows))
    told = [part for s in compute.splits for part in (s.model_size, s.x, s.there) if part]
    reasons = [part.reason for part in (compute.model_size, compute.x, *told)]
    blocks += _without_interval("how a budget is best spent", reasons)
    return blocks + [Line(f"C {figure(s.budget)}: {s.reason}.") for s in compute.splits if s.reason]


def _isoflops(found: IsoFlops) -> list[Block]:
    """The least of each budget, and how it grows."""
    names = (MODEL_SIZE, found.x_name)

    def known(estimate: Estimate) -> str:
        text = figure(estimate.known)
        return text if estimate.low is None and estimate.high is None else f"{text} ({_ends(estimate)})"

    rows = tuple(
        (
            figure(one.budget),
            str(one.runs),
            *(known(part) if part else MISSING for part in (one.model_size, one.x)),
            figure(one.y),
        )
        for one in found.profiles
    )
    header = ("C", "runs", *(f"best {name}" for name in names), f"{found.y_name} there")
    blocks: list[Block] = [
        Heading(f"{found.config or 'all points'}: runs of equal compute"),
        Line(
            f"The least of a cubic of ln loss over ln {MODEL_SIZE}, with {100 * found.level:g} % intervals; open where they "
            "reach the last run."
        ),
        TextTable(header, rows),
        *(Line(f"C {figure(one.budget)}: {one.reason}.") for one in found.profiles if one.reason),
    ]
    if found.model_size is None or found.x is None:
        return [*blocks, Line("Fewer than two budgets have a least, so nothing tells how it grows.")]
    blocks.append(Line(f"Over these budgets {_grow(names, found.model_size, found.x)}."))
    if found.budgets:
        rows = tuple((figure(at.budget), known(at.model_size), known(at.x)) for at in found.budgets)
        blocks.append(TextTable(("C", *(f"best {name}" for name in names)), rows))
    return blocks


def _grow(names: tuple[str, str], *exponents: Estimate) -> str:
    """How the best sizes grow with C."""
    of_n, of_d = (
        f"C^{figure(part.value, 3)}" + ("" if part.low is None else f" ({_ends(part)})") for part in exponents
    )
    return f"{names[0]} grows as {of_n} and {names[1]} as {of_d}"


def _with_ends(estimate: Estimate) -> str:
    """A value with its interval in brackets, where it has one."""
    return figure(estimate.value) + ("" if estimate.reason else f" ({_ends(estimate)})")


def _ends(estimate: Estimate) -> str:
    return interval(estimate.low, estimate.high)


def _pool(test: PoolTest) -> str:
    if test.f is None or test.p is None:
        return (
            f"Whether the {test.groups} groups share this law cannot be tested: a law for each would leave "
            f"{counted(test.df2, 'degree')} of freedom and has {counted(test.df1, 'parameter')} more."
        )
    verdict = (
        "the groups do not share it"
        if test.p < DIFFER
        else "no sign that the groups do not share it; few or noisy runs would not show it"
    )
    return (
        f"One law for all {test.groups} groups against one for each: F({test.df1}, {test.df2}) = {figure(test.f, 3)}, "
        f"p = {figure(test.p, 2)}: {verdict}."
    )


def _replicates(fit: Fit) -> str:
    r = fit.replicates
    assert r is not None
    if r.lack_of_fit_f is not None:
        test = f"lack of fit F {figure(r.lack_of_fit_f)}, p {figure(r.lack_of_fit_p, 2)}"
    elif r.pure_sd == 0.0:
        test = "repeats agree in every digit, so nothing tests lack of fit"
    else:
        test = "no size to spare for a test of lack of fit"
    return (
        f"Replicates at {counted(r.sizes, 'size')}: standard deviation {figure(r.pure_sd)} with {counted(r.pure_df, 'degree of freedom', 'degrees of freedom')}; "
        f"{test}; intervals use the scatter of the means of the sizes about the curve."
    )


def _side_by_side(fits: Sequence[Fit]) -> list[Block]:
    blocks: list[Block] = [Heading("All fits")]
    for law in dict.fromkeys(fit.law for fit in fits):
        members = [fit for fit in fits if fit.law == law]
        names = list(members[0].parameters)
        rows = []
        for fit in members:
            cells = [fit.config or "all points"]
            for name in names:
                estimate = fit.parameters[name]
                value = MISSING if estimate.value is None else figure(estimate.value)
                known = fit.interval_method != "none" and not estimate.reason and not estimate.fixed
                cells.append(f"{value} ({interval(estimate.low, estimate.high)})" if known else value)
            r2 = MISSING if fit.r_squared is None else f"{fit.r_squared:.4f}"
            rows.append((*cells, r2, percent(fit.loo_error), percent(fit.forward_error)))
        blocks.append(TextTable((law, *names, "R^2", "left out", "forward"), tuple(rows)))
    return blocks


def _selection(scores: Sequence[LawScore]) -> TextTable:
    rows = []
    for score in scores:
        place = "-" if score.rank is None else str(score.rank)
        weight = MISSING if score.akaike_weight is None else f"{score.akaike_weight:.3f}"
        aic = MISSING if score.mean_aic is None else f"{score.mean_aic:.2f}"
        tests = f"{score.tests} at {counted(score.held_out_sizes, 'size')}" if score.rank else MISSING
        rows.append(
            (
                score.law,
                place,
                percent(score.mean_error),
                percent(score.spread),
                tests,
                percent(score.mean_loo),
                aic,
                weight,
            )
        )
    header = (
        "law",
        "rank",
        "forward error",
        "spread",
        "predictions",
        "left out",
        "mean AIC",
        "Akaike weight",
    )
    return TextTable(header, tuple(rows))
