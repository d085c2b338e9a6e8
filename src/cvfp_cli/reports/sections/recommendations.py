"""Section 9: what to use for which purpose, only where the noise allows a choice; otherwise what would decide it."""

from collections.abc import Callable, Sequence
from math import exp, log

from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.hypotheses import LARGE, claims_of
from cvfp_cli.reports.marks import marks, needed_finding, tied_finding
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.pictures import cost_chart
from cvfp_cli.reports.scope import Ranking, Scope, rank
from cvfp_cli.reports.sections.summary import one_format
from cvfp_cli.scaling.numbers import NO_SLOPE
from cvfp_cli.stats.best import Question
from cvfp_cli.stats.noise import as_low_as_best, best_by, line_noise
from cvfp_cli.study.families import Cell, Group


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """A recommendation a purpose, and what costs buy."""
    compared = [group for group in scope.groups if group.cells]
    if len(compared) < 2:
        return Finding("recommendations-one-configuration", {"configurations": len(compared)}, "note")
    small = rank(scope, scope.family.smallest, "val_ppl")
    large = rank(scope, scope.family.largest, "val_ppl")
    verdicts = [
        ("data-efficiency", _efficiency(scope)),
        ("absolute-performance", _by_ppl(scope, large, scope.family.largest)),
        ("small-data", _by_ppl(scope, small, scope.family.smallest)),
        ("large-data", _large_data(scope)),
        ("balance", _balance(scope, small, large)),
        ("default", _default(scope, large)),
    ]
    rows = tuple((Value(purpose), Value(verdict)) for purpose, verdict in verdicts)
    columns = (Column("purpose", "term"), Column("recommendation", "finding"))
    tested = sum(claim.p_value is not None for claim in claims_of(scope).values())
    notes = (
        Finding("recommendations-rule", {"level": scope.level}, "note"),
        Finding("claims-corrected", {"count": tested, "level": scope.level}, "note"),
    )
    blocks: list[Block] = [Table("recommendations", columns, rows, notes)]
    blocks += _costs(scope, large)
    return tuple(blocks)


def _decide(
    scope: Scope, code: str, claim: str, ranking: Ranking, shown: Sequence[float | None], **more: object
) -> Finding:
    """Recommend the one best beyond the noise; otherwise say among which ones the data do not decide, and what would."""
    best = ranking.best
    if best is None:
        return Finding(f"undecided-{code}-absent", more)
    values = {"config": ranking.groups[best].label, "value": shown[best], **more}
    if len(ranking.groups) < 2:
        return Finding(f"undecided-{code}-alone", values)
    if ranking.noise is None:
        return Finding(f"undecided-{code}-noise", values)
    if claims_of(scope)[claim].verdict(scope.level) == "supported":
        return Finding(f"recommend-{code}", values)
    tied = _tied(ranking)
    if len(tied) == 1 and (found := ranking.tested(scope.level)) is not None:
        # The best by itself, but not once all that the report tests is counted in.
        values |= {"rival": ranking.groups[found.rival].label, "p": claims_of(scope)[claim].adjusted}
        return Finding(f"undecided-{code}-corrected", values)
    question: Question = "slope" if code == "alpha" else "size"
    needed = needed_finding(ranking.values, ranking.noise, question, level=scope.level)
    counts = {
        "tied": tied,
        "count": len(tied),
        "of": len(ranking.groups),
        "among": tied_finding(tied, [group.label for group in ranking.groups]),
        "needed": needed,
    }
    return Finding(f"undecided-{code}-tied", {**values, **counts})


def _tied(ranking: Ranking) -> tuple[str, ...]:
    """Labels of all that cannot be told from the best."""
    return tuple(group.label for group, mark in zip(ranking.groups, ranking.marks, strict=True) if mark)


def _efficiency(scope: Scope) -> Finding:
    known = [(group, alpha) for group in scope.groups if (alpha := scope.alpha(group)) is not None]
    alpha_marks, noise = scope.alpha_noise
    by_label = dict(zip((group.label for group in scope.groups), alpha_marks, strict=True))
    ranking = Ranking(
        tuple(group for group, _ in known),
        (),
        tuple(alpha for _, alpha in known),
        tuple(by_label[group.label] for group, _ in known),
        noise,
    )
    if len(known) > 1 and (lowest := min(known, key=lambda item: item[1]))[1] > -NO_SLOPE:
        return Finding("no-slope-falls", {"config": lowest[0].label, "value": lowest[1]})
    return _decide(scope, "alpha", "alpha", ranking, ranking.values)


def _by_ppl(scope: Scope, ranking: Ranking, size: int | None) -> Finding:
    shown = [cell.val_ppl for cell in ranking.cells]
    claim = "large" if size == scope.family.largest else "small"
    return _decide(scope, "ppl", claim, ranking, shown, size=size, unit=scope.family.size_kind)


def _large_data(scope: Scope) -> Finding:
    """The lowest line at ten times the largest size, if every other line lies above it beyond the noise there."""
    labels = [group.label for group in scope.groups if scope.alpha(group) is not None]
    n = LARGE * scope.measured_to
    values: dict[str, object] = {"n": n, "unit": scope.family.x, "times": LARGE}
    if len(labels) < 2:
        return Finding("undecided-large-absent", values)
    predicted = [_line_at(scope, label, n) for label in labels]
    best = min(range(len(labels)), key=lambda i: predicted[i])
    values |= {"config": labels[best], "value": exp(predicted[best])}
    noise = line_noise(scope.slope_lines, labels, log(n))
    found = best_by(predicted, noise, level=scope.level)
    if found is None or found.p_value is None:
        return Finding("undecided-large-noise", values)
    claim = claims_of(scope)["beyond"]
    if claim.verdict(scope.level) == "supported":
        return Finding("recommend-large", values)
    chosen = as_low_as_best(predicted, noise, level=scope.level)
    tied = tuple(label for label, one in zip(labels, chosen, strict=True) if one)
    if len(tied) == 1:
        values |= {"rival": labels[found.rival], "p": claim.adjusted}
        return Finding("undecided-large-corrected", values)
    counts = {"tied": tied, "count": len(tied), "of": len(labels), "among": tied_finding(tied, labels)}
    return Finding("undecided-large-tied", {**values, **counts})


def _line_at(scope: Scope, label: str, n: float) -> float:
    fit = scope.fits[label, MAIN]
    a, alpha = fit.parameters["A"].value, fit.parameters["alpha"].value
    return log(a or 1.0) + (alpha or 0.0) * log(n)


def _balance(scope: Scope, small: Ranking, large: Ranking) -> Finding:
    """Among the best at the smallest size and at the largest alike."""
    sizes = {"small": scope.family.smallest, "large": scope.family.largest, "unit": scope.family.size_kind}
    if scope.family.smallest == scope.family.largest:
        return Finding("undecided-balance-absent", sizes)
    if small.noise is None or large.noise is None:
        return Finding("undecided-balance-noise", sizes)
    both = tuple(label for label in _tied(small) if label in _tied(large))
    if len(both) == 1:
        return Finding("recommend-balance", {**sizes, "config": both[0]})
    if not both:
        return Finding("undecided-balance-none", sizes)
    among = tied_finding(both, [group.label for group in small.groups])
    return Finding("undecided-balance-tied", {**sizes, "tied": both, "count": len(both), "among": among})


def _default(scope: Scope, large: Ranking) -> Finding:
    """The fewest parameters among those that cannot be told from the lowest PPL; of as many, the lowest PPL."""
    size = {"size": scope.family.largest, "unit": scope.family.size_kind}
    if large.noise is None:
        return Finding("undecided-default-noise", size)
    names = _tied(large)
    known = [
        (group.block_parameters, cell.val_ppl, group)
        for group, cell in zip(large.groups, large.cells, strict=True)
        if group.label in names
    ]
    if len(known) == 1 and known[0][0] is None:
        [(_, ppl, group)] = known
        return Finding("recommend-default-unpriced", {**size, "config": group.label, "ppl": ppl})
    if not known or any(parameters is None for parameters, _, _ in known):
        among = tied_finding(names, [group.label for group in large.groups])
        return Finding(
            "undecided-default-absent", {**size, "tied": names, "count": len(names), "among": among}
        )
    parameters, ppl, group = min(known, key=lambda item: (item[0] or 0, item[1] or 0.0, item[2].label))
    return Finding(
        "recommend-default" if len(known) > 1 else "recommend-default-alone",
        {**size, "config": group.label, "parameters": parameters, "ppl": ppl, "count": len(names)},
    )


def _costs(scope: Scope, ranking: Ranking) -> list[Block]:
    """PPL against parameters and against seconds: who is on the Pareto front, and which steps are beyond the noise."""
    blocks: list[Block] = []
    costs: tuple[tuple[str, str, Callable[[Group, Cell], float | None]], ...] = (
        ("parameters", "million", lambda group, _: group.block_parameters),
        ("seconds", "seconds", lambda _, cell: cell.seconds),
    )
    here: dict[str, object] = {"size": scope.family.largest, "unit": scope.family.size_kind}
    for key, kind, cost in costs:
        pairs = list(zip(ranking.groups, ranking.cells, strict=True))
        known = [
            (float(price), cell.val_ppl, group, i)
            for i, (group, cell) in enumerate(pairs)
            if (price := cost(group, cell)) is not None and cell.val_ppl
        ]
        if len(known) < 2:
            blocks.append(Findings((Finding("cost-unknown", {"cost": key, **here}, "note"),)))
            continue
        front = _pareto(known)
        rows: list[tuple[Value, ...]] = []
        for position, (price, ppl, group, i) in enumerate(front):
            step = "first" if position == 0 else _beyond(ranking, front[position - 1][3], i, scope.level)
            rows.append((Value(group.label), Value(price), Value(ppl), Value(step)))
        columns = (
            Column("config"),
            one_format(Column(f"cost_{key}", kind), [row[1] for row in rows]),
            Column("val_ppl", "ppl"),
            Column("beyond_noise", "term"),
        )
        blocks.append(Subheading(f"pareto-{key}", here))
        blocks.append(Table(f"pareto-{key}", columns, tuple(rows), (Finding("pareto-rule", {}, "note"),)))
        prices = [(group, price, ppl) for price, ppl, group, _ in known]
        blocks.append(cost_chart(scope, key, kind, prices, [group.label for _, _, group, _ in front]))
    return blocks


Priced = tuple[float, float, Group, int]


def _pareto(known: Sequence[Priced]) -> list[Priced]:
    """Those to which nothing that costs no more is at least as good, cheapest first."""
    front: list[Priced] = []
    for item in sorted(known, key=lambda entry: (entry[0], entry[1], entry[2].label)):
        if not front or item[1] < front[-1][1]:
            front.append(item)
    return front


def _beyond(ranking: Ranking, cheaper: int, dearer: int, level: float) -> str:
    """Whether a step along the front lowers PPL beyond the noise: ``yes``, ``no`` or ``unknown``."""
    if ranking.noise is None:
        return "unknown"
    values = [ranking.values[cheaper], ranking.values[dearer]]
    two = marks(values, ranking.noise.of([cheaper, dearer]), level=level)
    return "yes" if two[1] == "best" else "no"
