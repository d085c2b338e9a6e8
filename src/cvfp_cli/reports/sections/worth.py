"""Part of section 7 and of a comparison: how many times the data one side is worth against another."""

from collections.abc import Sequence
from math import exp

from cvfp_cli.reports.model import Block, Column, Finding, Subheading, Table, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.stats.lines import fit_lines
from cvfp_cli.stats.noise import run_points
from cvfp_cli.stats.worth import Worth, alike, lines_of_pair, worth
from cvfp_cli.study.families import Group

Side = tuple[Scope, Group]
MOST_TOGETHER = (
    30  # configurations whose lines are fitted anew for one pair; of more, the pair has its own errors
)


def between(first: Side, second: Side, level: float, *, independent: bool = False) -> Worth | None:
    """Of two configurations, by the errors of their whole family where these serve a pair."""
    (here, one), (there, other) = first, second
    lines = here.slope_lines
    points = [*run_points(here.family, [one]), *run_points(there.family, [other])]
    if here is not there or independent or here.pair_variance is None:
        lines = lines_of_pair(points, other.label, independent=independent)
    elif alike(points, one.label, other.label) is not points:
        if len(here.groups) <= MOST_TOGETHER:
            points = run_points(here.family, here.groups)
        lines = fit_lines(alike(points, one.label, other.label), own=True)
    return None if lines is None else worth(lines, [one.label], [other.label], level)


def between_kinds(scope: Scope, level: float) -> list[tuple[str, str, Worth | None]]:
    """Of every kind of model against the first one, over its configurations; where these are more than the kinds."""
    labels: dict[str, list[str]] = {}
    for group in scope.groups:
        if group.label in scope.curves:
            labels.setdefault(group.kind, []).append(group.label)
    lines = scope.slope_lines
    if lines is None or len(labels) < 2 or len(labels) == sum(map(len, labels.values())):
        return []
    (first, own), *others = labels.items()
    return [(first, kind, worth(lines, own, theirs, level)) for kind, theirs in others]


def worth_blocks(found: Sequence[tuple[str, str, Worth | None]], unit: str, level: float) -> list[Block]:
    """The table of all sides that have lines; nothing where none has."""
    rows = [
        (
            Value(first),
            Value(second),
            Value.of(item.times),
            Value(exp(item.log_y)),
            *(Value(size) for size in item.sizes),
            Value(_verdict(item)),
        )
        for first, second, item in found
        if item is not None
    ]
    if not rows:
        return []
    columns = (
        Column("first"),
        Column("second"),
        Column("worth", "significant"),
        Column("worth_ppl", "ppl"),
        Column("worth_first", "int", {"unit": unit}),
        Column("worth_second", "int", {"unit": unit}),
        Column("worth_verdict", "finding"),
    )
    note = Finding("worth-method", {"level": level}, "note")
    return [Subheading("worth"), Table("worth", columns, tuple(rows), (note,))]


def worth_of(scope: Scope) -> list[Block]:
    """Every configuration of a report against the first one, then the kinds of model."""
    usable = [group for group in scope.groups if group.label in scope.curves]
    found = [
        (usable[0].label, group.label, between((scope, usable[0]), (scope, group), scope.level))
        for group in usable[1:]
    ]
    return worth_blocks([*found, *between_kinds(scope, scope.level)], scope.family.x, scope.level)


def _verdict(item: Worth) -> Finding:
    if item.outside:
        return Finding("worth-outside")
    if not item.decided:
        return Finding("worth-undecided")
    return Finding("worth-more" if item.times.known > 1.0 else "worth-less")
