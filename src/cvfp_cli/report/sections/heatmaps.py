"""Section 3: the measures over layers and input tokens, one box for each context_dim and kind of input."""

from collections.abc import Callable
from math import floor, log10

from cvfp_cli.report.groups import Group
from cvfp_cli.report.model import Block, Finding, Heatmap, Mark, Subheading, Value
from cvfp_cli.report.noise import marks, noise_finding, seed_noise
from cvfp_cli.report.scope import Ranking, Scope, rank

PLAIN_BELOW = 1e7  # perplexities from here on are divided by a power of ten, stated beside the box


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """One heatmap a measure and slice."""
    placed = [group for group in scope.groups if group.layers and group.tokens]
    if not placed:
        return Finding("heatmaps-no-grid", {}, "note")
    slices: dict[tuple[int | None, str | None, str], list[Group]] = {}
    for group in placed:
        slices.setdefault((group.context_dim, group.token_input, group.study), []).append(group)
    drawn = {key: groups for key, groups in slices.items() if len({(g.layers, g.tokens) for g in groups}) > 1}
    if not drawn:
        return Finding("heatmaps-one-cell", {}, "note")
    blocks: list[Block] = []
    for (context_dim, token_input, study), groups in drawn.items():
        if len(slices) > 1:
            values = {"context_dim": context_dim, "token_input": token_input or "-", "study": study or "-"}
            blocks.append(Subheading("heatmap-slice", values))
        blocks += _slice(scope, groups)
    return tuple(blocks)


def _slice(scope: Scope, groups: list[Group]) -> list[Block]:
    largest = scope.family.largest
    alpha_marks = dict(zip((group.label for group in scope.groups), scope.alpha_noise[0], strict=True))
    ppl = rank(scope, largest, "val_ppl")
    size = {"size": largest, "unit": scope.family.size_kind}
    cells = {group.label: cell for group, cell in scope.at(largest)}
    blocks: list[Block] = []

    def draw(
        key: str, kind: str, value: Callable[[Group], Value], notes: tuple[Finding, ...], **values: object
    ) -> None:
        heatmap = grid(key, kind, groups, value, values, notes)
        if any(item.value is not None for row in heatmap.cells for item in row):
            blocks.append(heatmap)

    draw(
        "alpha",
        "alpha3",
        lambda group: Value(scope.alpha(group), mark=alpha_marks[group.label]),
        (noise_finding("alpha", scope.alpha_noise[1]),),
    )

    def best(group: Group) -> Value:
        cell = min(group.cells, key=lambda item: item.val_ppl or 0.0, default=None)
        return Value(
            cell.val_ppl if cell else None, mark=_mark(ppl, group) if cell and cell.size == largest else ""
        )

    draw("best_ppl", "box_ppl", best, (noise_finding("best_ppl", ppl.noise),))
    starred = any(_iterations(group).starred for group in groups)
    stars = (Finding("iterations-starred", {}, "note"),) if starred else ()
    draw("phase1_iterations", "int", _iterations, (*stars, _seeds_only(scope, "phase1_iterations")))
    for key in ("train_er", "val_er"):
        found = _rank_marks(scope, key)

        def share(group: Group, key: str = key, found: dict[str, Mark] = found) -> Value:
            cell = cells.get(group.label)
            return Value(getattr(cell, key) if cell else None, mark=found.get(group.label, ""))

        draw(key, "share", share, (_seeds_only(scope, key),), **size)
    return blocks


def grid(
    key: str,
    kind: str,
    groups: list[Group],
    value: Callable[[Group], Value],
    values: dict[str, object],
    notes: tuple[Finding, ...],
) -> Heatmap:
    """Place each group's value at its layers and tokens."""
    layers = tuple(sorted({group.layers for group in groups if group.layers}))
    tokens = tuple(sorted({group.tokens for group in groups if group.tokens}))
    at = {(group.layers, group.tokens): value(group) for group in groups}
    cells = tuple(tuple(at.get((layer, token), Value()) for token in tokens) for layer in layers)
    unit = 0
    if kind == "box_ppl":
        numbers = [item.value for row in cells for item in row if isinstance(item.value, int | float)]
        highest = max(numbers, default=0.0)
        unit = floor(log10(highest)) if highest >= PLAIN_BELOW else 0
        values = {**values, "unit": unit} if unit else values
    return Heatmap(key, kind, layers, tokens, cells, values, notes, unit)


def _iterations(group: Group) -> Value:
    """P1 iterations over all sizes and seeds: one number or a range, starred where any run did not converge."""
    runs = [run for cell in group.cells for run in cell.runs if run.phase1_iterations is not None]
    counts = [run.phase1_iterations for run in runs if run.phase1_iterations is not None]
    if not counts:
        return Value()
    low, high = min(counts), max(counts)
    return Value(
        low,
        top=high if high != low else None,
        starred=any(run.phase1_converged is False for run in runs),
    )


def _rank_marks(scope: Scope, measure: str) -> dict[str, Mark]:
    """Marks of the highest effective rank at the largest size, where seeds give its noise."""
    pairs = scope.at(scope.family.largest)
    noise = seed_noise(scope.family, [cell for _, cell in pairs], lambda cell: getattr(cell, measure))
    values = [None if (rank := getattr(cell, measure)) is None else -rank for _, cell in pairs]
    return {group.label: mark for (group, _), mark in zip(pairs, marks(values, noise), strict=True)}


def _seeds_only(scope: Scope, key: str) -> Finding:
    pairs = scope.at(scope.family.largest)
    measure = "iterations" if key == "phase1_iterations" else key
    noise = seed_noise(scope.family, [cell for _, cell in pairs], lambda cell: getattr(cell, measure))
    return noise_finding(key, noise)


def _mark(ranking: Ranking, group: Group) -> Mark:
    return ranking.mark_of(group)
