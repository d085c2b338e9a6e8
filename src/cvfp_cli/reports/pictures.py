"""What the charts of a report show, one configuration a series, and the heatmaps' findings in words."""

from collections.abc import Callable, Sequence
from math import inf

from cvfp_cli.reports.boxes import cell_text
from cvfp_cli.reports.model import Chart, Finding, Heatmap, Series, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.study.families import Cell, Group

MOST_SERIES = 12  # that a chart tells apart

Point = tuple[float, float]


def lowest(groups: Sequence[Group]) -> list[Group]:
    """As many as a chart tells apart: those with the lowest PPL at their largest size."""
    ranked = sorted(groups, key=lambda group: (group.last.val_ppl if group.last else None) or inf)
    return ranked[:MOST_SERIES]


def places(groups: Sequence[Group]) -> dict[int, int | None]:
    """Colour and shape of each group, by its identity; None for those beyond what a chart tells apart."""
    kept = {id(group) for group in lowest(groups)}
    numbers = iter(range(MOST_SERIES))
    return {id(group): next(numbers) if id(group) in kept else None for group in groups}


def dots(
    groups: Sequence[Group], points: Callable[[Group], Sequence[Point]], *, joined: bool = False
) -> tuple[Series, ...]:
    """One series for each group that has points, with lines between them where they are ``joined``."""
    at = places(groups)
    known = [(group, tuple(points(group))) for group in groups]
    return tuple(
        Series(group.label, shown, shown if joined else (), place=at[id(group)])
        for group, shown in known
        if shown
    )


def train_chart(scope: Scope) -> Chart | None:
    """Training against validation PPL at every size."""

    def both(group: Group) -> list[Point]:
        return [(cell.train_ppl, cell.val_ppl) for cell in group.cells if cell.train_ppl and cell.val_ppl]

    series = dots(scope.groups, both)
    ratios = [val / train for item in series for train, val in item.points]
    if len(ratios) < 2:
        return None
    values = {"low": min(ratios), "high": max(ratios)}
    return Chart(
        "train-validation",
        series,
        values=values,
        finding=Finding("picture-gap", values),
        kinds=("ppl", "ppl"),
        diagonal=True,
    )


def rank_chart(scope: Scope, correlation: Estimate | None) -> Chart | None:
    """Effective rank against PPL at the largest size; ``correlation``: of the two, as the table has it, if any."""
    if correlation is None:
        return None
    here = {"size": scope.family.largest, "unit": scope.family.size_kind}

    def at_largest(group: Group) -> list[Point]:
        cell = group.cell(scope.family.largest or 0)
        return [(cell.val_er, cell.val_ppl)] if cell and cell.val_er is not None and cell.val_ppl else []

    series = dots(scope.groups, at_largest)
    values = {**here, "correlation": Value.of(correlation), "count": len(series)}
    return Chart(
        "rank",
        series,
        values=here,
        finding=Finding(f"picture-rank-{_sign(correlation)}", values),
        kinds=("share", "ppl"),
        linear="x",
    )


def _sign(correlation: Estimate) -> str:
    """Which way two figures go together, as far as the interval says."""
    if correlation.low is not None and correlation.low > 0:
        return "higher"
    if correlation.high is not None and correlation.high < 0:
        return "lower"
    return "unclear"


def growth_chart(scope: Scope, finding: Finding | None) -> Chart | None:
    """By what factor a small difference between contexts changes a step, over the sizes; below 1 the model forgets."""

    def factors(group: Group) -> list[Point]:
        known = [(cell, [run.growth for run in cell.runs if run.growth is not None]) for cell in group.cells]
        return [(_size(scope, cell), max(found)) for cell, found in known if found]

    series = dots(scope.groups, factors, joined=True)
    if finding is None or not series:
        return None
    values = {"unit": scope.family.x}
    return Chart(
        "growth", series, values=values, finding=finding, kinds=("int", "ratio3"), linear="y", level=1.0
    )


def _size(scope: Scope, cell: Cell) -> float:
    tokens = cell.train_tokens if scope.family.x == "train_tokens" else None
    return float(tokens or cell.size)


def cost_chart(
    scope: Scope, key: str, kind: str, costs: Sequence[tuple[Group, float, float]], front: Sequence[str]
) -> Chart:
    """PPL against a cost. ``costs``: group, cost and PPL; ``front``: to which nothing is better for as little."""
    here = {"size": scope.family.largest, "unit": scope.family.size_kind}
    by_group = {id(group): [(cost, ppl)] for group, cost, ppl in costs}
    return Chart(
        f"cost-{key}",
        dots(scope.groups, lambda group: by_group.get(id(group), [])),
        values=here,
        finding=Finding(f"picture-cost-{key}", {"configs": tuple(front), "count": len(front)}),
        kinds=(kind, "ppl"),
    )


def heatmap_finding(heatmap: Heatmap) -> Finding:
    """Which cells are the best, as far as the noise allows, and from where to where the figures go."""
    cells = [
        (value.value, value, layers, tokens)
        for layers, row in zip(heatmap.layers, heatmap.cells, strict=True)
        for tokens, value in zip(heatmap.tokens, row, strict=True)
        if isinstance(value.value, int | float)
    ]
    ends = [extreme(figure for figure, *_ in cells) for extreme in (min, max)]
    values: dict[str, object] = {
        name: cell_text(Value(end), heatmap) for name, end in zip(("low", "high"), ends, strict=True)
    }
    marked = [item for item in cells if item[1].mark]
    if not marked:
        return Finding("cells-range", values)
    if len(marked) == 1:
        _, value, layers, tokens = marked[0]
        best = {"value": cell_text(value, heatmap), "layers": layers, "tokens": tokens}
        return Finding("cells-best", {**values, **best})
    return Finding("cells-tied", {**values, "count": len(marked), "of": len(cells)})
