"""Section 3: the measures over layers and input tokens, one box for each value of everything else that varies."""

from collections.abc import Callable
from math import floor, log10

from cvfp_cli.reports.marks import marks, noise_finding
from cvfp_cli.reports.model import Block, Finding, Heatmap, Mark, Subheading, Value
from cvfp_cli.reports.scope import Scope, rank
from cvfp_cli.stats.noise import seed_noise
from cvfp_cli.study.families import Group, varying

IN_THE_BOX = (
    "layers",
    "tokens",
    "context_dim",
    "token_input",
)  # the box's sides, and what every heading names
PLAIN_BELOW = 1e7  # perplexities from here on are divided by a power of ten, stated beside the box


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """One heatmap a measure and slice."""
    placed = [group for group in scope.groups if group.layers and group.tokens]
    if not placed:
        return Finding("heatmaps-no-grid", {}, "note")
    others = [name for name in varying(placed) if name not in IN_THE_BOX]
    slices: dict[tuple[int | None, str | None, str, str], list[Group]] = {}
    for group in placed:
        axes = ", ".join(f"{name} {group.factor(name)}" for name in others)
        slices.setdefault((group.context_dim, group.token_input, axes, group.study), []).append(group)
    drawn = {key: groups for key, groups in slices.items() if len({(g.layers, g.tokens) for g in groups}) > 1}
    if not drawn:
        return Finding("heatmaps-one-cell", {}, "note")
    seeds = {key: _by_seeds(scope, key) for key in ("iterations", "train_er", "val_er")}
    alpha_marks = dict(zip((group.label for group in scope.groups), scope.alpha_noise[0], strict=True))
    blocks: list[Block] = []
    for (context_dim, token_input, axes, study), groups in drawn.items():
        if len(slices) > 1:
            values = {"context_dim": context_dim, "token_input": token_input or "-", "study": study or "-"}
            heading = "heatmap-slice-axes" if axes else "heatmap-slice"
            blocks.append(Subheading(heading, {**values, "axes": axes} if axes else values))
        blocks += _slice(scope, groups, alpha_marks, seeds)
    return tuple(blocks)


Seeds = dict[str, tuple[dict[str, Mark], Finding]]


def _slice(scope: Scope, groups: list[Group], alpha_marks: dict[str, Mark], seeds: Seeds) -> list[Block]:
    largest = scope.family.largest
    ppl = rank(scope, largest, "val_ppl")
    blocks: list[Block] = []

    def draw(
        key: str, kind: str, value: Callable[[Group], Value], notes: tuple[Finding, ...], **values: object
    ) -> None:
        heatmap = grid(key, kind, groups, value, values, notes)
        if any(item.value is not None for row in heatmap.cells for item in row):
            blocks.append(heatmap)

    def alpha(group: Group) -> Value:
        return Value(scope.alpha(group), mark=alpha_marks[group.label])

    def best(group: Group) -> Value:
        cell = min(group.cells, key=lambda item: item.val_ppl or 0.0, default=None)
        mark = ppl.mark_of(group) if cell and cell.size == largest else ""
        return Value(cell.val_ppl if cell else None, mark=mark)

    def share(key: str) -> Callable[[Group], Value]:
        def of(group: Group) -> Value:
            cell = group.cell(largest) if largest is not None else None
            return Value(getattr(cell, key) if cell else None, mark=seeds[key][0].get(group.label, ""))

        return of

    draw("alpha", "alpha3", alpha, (noise_finding("alpha", scope.alpha_noise[1]),))
    # A configuration whose largest runs failed stands there with a smaller size.
    short = tuple(group.label for group in groups if group.cells and group.cell(largest or 0) is None)
    here = {"configs": short, "size": largest, "unit": scope.family.size_kind}
    other = (Finding("best-elsewhere", here, "note"),) if short else ()
    draw("best_ppl", "box_ppl", best, (*other, noise_finding("best_ppl", ppl.noise)))
    starred = any(_iterations(group).starred for group in groups)
    stars = (Finding("iterations-starred", {}, "note"),) if starred else ()
    draw("phase1_iterations", "int", _iterations, (*stars, seeds["iterations"][1]))
    for key in ("train_er", "val_er"):
        draw(key, "share", share(key), (seeds[key][1],), size=largest, unit=scope.family.size_kind)
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


def _by_seeds(scope: Scope, measure: str) -> tuple[dict[str, Mark], Finding]:
    """Marks of a measure at the largest size and what they rest on: seeds are the only estimate of its noise.

    Fewest iterations and highest effective rank are marked; for a range of iterations there is no one figure.
    """
    pairs = scope.at(scope.family.largest)
    noise = seed_noise(scope.family, [cell for _, cell in pairs], lambda cell: getattr(cell, measure))
    key = "phase1_iterations" if measure == "iterations" else measure
    if measure == "iterations":
        return {}, noise_finding(key, noise)
    values = [None if (rank := getattr(cell, measure)) is None else -rank for _, cell in pairs]
    found = {group.label: mark for (group, _), mark in zip(pairs, marks(values, noise), strict=True)}
    return found, noise_finding(key, noise)
