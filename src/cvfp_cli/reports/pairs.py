"""The tables of ``cvfp compare`` about pairs: differences, lines, ratios, effective rank, parameters, bits."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cvfp_cli.errors import InputError
from cvfp_cli.reports.model import Block, Chart, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scaling_chart import scaling_chart
from cvfp_cli.reports.sections.equal_lines import equal_findings
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.reports.sections.worth import between, between_kinds, worth_blocks
from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.scaling.result import Fit
from cvfp_cli.stats.estimate import Estimate, relative_change
from cvfp_cli.study.families import mean

if TYPE_CHECKING:
    from cvfp_cli.reports.compare import Compared, Side

RATIO_AT = (1e6, 1e7)  # tokens
RATIO_TIMES = (2.0, 10.0)  # times the largest size, where n is not counted in tokens
SMALLEST_SIZE, LARGEST_SIZE = 1.0, 1e18  # what a number of tokens or samples can mean


def pair_blocks(
    pairs: "Sequence[Compared]", law: str | None, objective: str, level: float, margin: float
) -> tuple[Block, ...]:
    """Every table that these pairs can fill."""
    method = Finding("pair-method", {"level": level, "pairs": len(pairs)}, "note")
    parts: list[list[Block]] = [
        [Findings((method,))],
        _sizes(pairs),
        _differences(pairs),
        _equal(pairs, level, margin),
        _lines(pairs, level),
        _worth(pairs, level),
        _ratios(pairs, level),
        _ranks(pairs),
        _bits(pairs),
    ]
    if law is not None:
        parts.append(_parameters(pairs, law, objective, level))
    return tuple(block for part in parts for block in part)


def _heads(item: "Compared") -> dict[str, Value]:
    return {"first": Value(item.first.group.label), "second": Value(item.second.group.label)}


HEADS = (Column("first"), Column("second"))


def _sides(pairs: "Sequence[Compared]") -> "list[Side]":
    found: dict[int, Side] = {}
    for item in pairs:
        for side in (item.first, item.second):
            found.setdefault(id(side.group), side)
    return list(found.values())


def _sizes(pairs: "Sequence[Compared]") -> list[Block]:
    """PPL of every configuration at every size."""
    sides = _sides(pairs)
    sizes = sorted({(cell.size, side.scope.family.size_kind) for side in sides for cell in side.group.cells})
    columns = [
        Column("config"),
        *(Column("predicted-within", "ppl", {"size": size, "unit": unit}) for size, unit in sizes),
    ]
    rows = []
    for side in sides:
        cells = {cell.size: cell.val_ppl for cell in side.group.cells}
        rows.append((Value(side.group.label), *(Value(cells.get(size)) for size, _ in sizes)))
    return [Subheading("sizes"), Table("sizes", tuple(columns), tuple(rows)), *_chart(sides)]


def _chart(sides: "Sequence[Side]") -> list[Chart]:
    chart = scaling_chart([(side.scope, side.group) for side in sides])
    return [chart] if chart is not None else []


def _differences(pairs: "Sequence[Compared]") -> list[Block]:
    """PPL difference at each common size, and on average."""
    sizes = sorted({size for item in pairs if item.pair for size in item.pair.sizes})
    if not sizes:
        return []
    unit = pairs[0].first.scope.family.size_kind
    columns = [
        *HEADS,
        *(Column("difference-at", "change", {"size": size, "unit": unit}) for size in sizes),
        Column("mean_difference", "change"),
    ]
    rows = []
    for item in pairs:
        if item.pair is None or not item.pair.sizes:
            continue
        here = {cell.size: cell.val_ppl for cell in item.first.group.cells}
        there = {cell.size: cell.val_ppl for cell in item.second.group.cells}
        steps = [
            Value((there[int(size)] or 0.0) / (here[int(size)] or 1.0) - 1)
            if size in item.pair.sizes
            else Value()
            for size in sizes
        ]
        rows.append((*_heads(item).values(), *steps, Value.of(item.pair.ratio.map(lambda ratio: ratio - 1))))
    notes = _without_interval([row[-1] for row in rows], "pair-mean-interval-none")
    return [Subheading("pair-differences"), Table("pair-differences", tuple(columns), tuple(rows), notes)]


def _without_interval(figures: Sequence[Value], code: str = "pair-interval-none") -> tuple[Finding, ...]:
    """Why figures of pairs have no interval, where some have none."""
    bare = any(figure.value is not None and not figure.bounded for figure in figures)
    return (Finding(code, {}, "note"),) if bare else ()


def _equal(pairs: "Sequence[Compared]", level: float, margin: float) -> list[Block]:
    """Which pairs are equal within the margin, over their common sizes."""
    items = equal_findings([item.pair for item in pairs if item.pair is not None], margin, level)
    return [Findings(tuple(items))] if items else []


def _sized(name: str, size: float | None) -> dict[str, object]:
    """A size by its name in a finding; one that no text can have is None, with the reason beside it."""
    if size is not None and size < SMALLEST_SIZE:
        return {name: None, f"{name}_reason": Finding("size-below", {"limit": SMALLEST_SIZE})}
    if size is not None and size > LARGEST_SIZE:
        return {name: None, f"{name}_reason": Finding("size-beyond", {"limit": LARGEST_SIZE})}
    return {name: size}


def _lines(pairs: "Sequence[Compared]", level: float) -> list[Block]:
    """Equal slopes, equal lines, and where the lines cross."""
    rows = []
    for item in pairs:
        pair = item.pair
        if pair is None or pair.slope is None or pair.line is None:
            continue
        method = (
            Finding("pair-paired", {"sizes": len(pair.sizes)}) if pair.paired else Finding("pair-independent")
        )
        slope = Value.of(pair.slope)
        crossing = pair.line.crossing(level)
        values = {
            **_sized("x", crossing.value),
            **_sized("low", crossing.low),
            **_sized("high", crossing.high),
        }
        if crossing.value is None:
            crosses = Finding("crossing-none")
        elif crossing.outside:
            crosses = Finding("crossing-outside", values)
        else:
            crosses = Finding("crossing-at" if pair.df > 0 else "crossing-unknown", values)
        rows.append(
            {
                **_heads(item),
                "method": Value(method),
                "slope_difference": slope,
                "p_slopes": Value(pair.slope.p_value),
                "p_slopes_holm": Value(pair.slope_holm),
                "p_lines": Value(pair.lines.p_value if pair.lines else None),
                "p_lines_holm": Value(pair.lines_holm),
                "crossing": Value(crosses),
            }
        )
    if not rows:
        return []
    columns = [
        *HEADS,
        Column("method", "finding"),
        Column("slope_difference", "alpha"),
        *(Column(key, "p") for key in ("p_slopes", "p_slopes_holm", "p_lines", "p_lines_holm")),
        Column("crossing", "finding", {"unit": pairs[0].first.scope.family.x}),
    ]
    table = filled("pair-lines", columns, rows)
    notes = (
        Finding("crossing-method", {}, "note"),
        *_without_interval([row["slope_difference"] for row in rows]),
    )
    return [Subheading("pair-lines"), Table(table.key, table.columns, table.rows, notes)]


def _worth(pairs: "Sequence[Compared]", level: float) -> list[Block]:
    """How many times the first's data the second's are worth, and the kinds of model of each scope."""
    found = []
    for item in pairs:
        if item.pair is not None and item.pair.line is not None:
            one, other = ((side.scope, side.group) for side in (item.first, item.second))
            times = between(one, other, level, independent=not item.pair.paired)
            found.append((item.first.group.label, item.second.group.label, times))
    for scope in {id(side.scope): side.scope for side in _sides(pairs)}.values():
        found += between_kinds(scope, level)
    return worth_blocks(found, pairs[0].first.scope.family.x, level)


def _ratios(pairs: "Sequence[Compared]", level: float) -> list[Block]:
    """PPL of the second over the first by the fitted lines."""
    drawn = [item for item in pairs if item.pair is not None and item.pair.line is not None]
    if not drawn:
        return []
    unit = drawn[0].first.scope.family.x
    largest = max(side.scope.measured_to for item in drawn for side in (item.first, item.second))
    at = RATIO_AT if unit == "train_tokens" else tuple(times * largest for times in RATIO_TIMES)
    columns = [
        *HEADS,
        *(
            Column("ratio_beyond" if n > largest else "ratio_at", "ratio3", {"size": n, "unit": unit})
            for n in at
        ),
    ]
    rows = []
    for item in drawn:
        assert item.pair is not None
        assert item.pair.line is not None
        figures = [Value.of(item.pair.line.ratio(n, level)) for n in at]
        rows.append((*_heads(item).values(), *figures))
    notes = _without_interval([figure for row in rows for figure in row[len(HEADS) :]])
    return [Subheading("pair-ratios"), Table("pair-ratios", tuple(columns), tuple(rows), notes)]


def _ranks(pairs: "Sequence[Compared]") -> list[Block]:
    """How much of an added context_dim shows up as effective rank."""
    rows = []
    for item in pairs:
        narrow, wide = item.first.group, item.second.group
        if not narrow.context_dim or not wide.context_dim or narrow.context_dim == wide.context_dim:
            continue
        sizes = {cell.size for cell in narrow.cells} & {cell.size for cell in wide.cells}
        used = [
            mean(cell.val_er for cell in group.cells if cell.size in sizes or not sizes)
            for group in (narrow, wide)
        ]
        if used[0] is None or used[1] is None:
            continue
        dims = used[0] * narrow.context_dim, used[1] * wide.context_dim
        added = wide.context_dim - narrow.context_dim
        rows.append(
            (
                *_heads(item).values(),
                Value(used[0]),
                Value(dims[0]),
                Value(used[1]),
                Value(dims[1]),
                Value(added),
                Value(dims[1] - dims[0]),
                Value((dims[1] - dims[0]) / added),
            )
        )
    if not rows:
        return []
    columns = (
        *HEADS,
        Column("er_first", "share"),
        Column("er_dims_first", "dims"),
        Column("er_second", "share"),
        Column("er_dims_second", "dims"),
        Column("added_dims", "int"),
        Column("used_dims", "dims"),
        Column("used_share", "share"),
    )
    return [
        Subheading("pair-ranks"),
        Table("pair-ranks", columns, tuple(rows), (Finding("ranks-note", {}, "note"),)),
    ]


def _bits(pairs: "Sequence[Compared]") -> list[Block]:
    """Bits per byte at the largest common sample count, where tokenizers differ."""
    rows = []
    for item in pairs:
        if not any(warning.code == "tokenizer-differ" for warning in item.warnings):
            continue
        here = {cell.size: cell for cell in item.first.group.cells}
        there = {cell.size: cell for cell in item.second.group.cells}
        common = sorted(set(here) & set(there))
        if not common:
            continue
        bits = [mean(run.bits_per_byte for run in cells[common[-1]].runs) for cells in (here, there)]
        rows.append(
            {
                **_heads(item),
                "samples": Value(common[-1]),
                "bits_first": Value(bits[0]),
                "bits_second": Value(bits[1]),
                "difference": Value(bits[1] / bits[0] - 1 if bits[0] and bits[1] else None),
            }
        )
    if not rows:
        return []
    columns = [
        *HEADS,
        Column("samples", "int"),
        Column("bits_first", "ratio3"),
        Column("bits_second", "ratio3"),
        Column("difference", "change"),
    ]
    return [Subheading("pair-bits"), filled("pair-bits", columns, rows)]


def _parameters(pairs: "Sequence[Compared]", law: str, objective: str, level: float) -> list[Block]:
    """The parameters of one law for both, and their change."""
    fits: dict[str, Fit] = {}
    notes: list[Finding] = []
    for side in _sides(pairs):
        label = side.group.label
        try:
            fits[label] = fit_law(side.scope.family.points(side.group), law, objective=objective, level=level)
        except InputError as problem:
            short = {"config": label, "law": law, "sizes": len(side.group.cells), "least": 2}
            if len(side.group.cells) < 2:
                notes.append(Finding("law-needs-sizes", short, "warning"))
                continue
            values = {"config": label, "law": law, "reason": problem.message}
            notes.append(Finding("parameter-undetermined", values, "warning"))
    bare = tuple(label for label, fit in fits.items() if fit.interval_method == "none")
    notes += [Finding("parameter-interval-none", {"configs": bare, "law": law}, "note")] if bare else []
    rows = []
    for item in pairs:
        first, second = (fits.get(side.group.label) for side in (item.first, item.second))
        if first is None or second is None:
            continue
        for name, value in first.parameters.items():
            other = second.parameters[name]
            figures = (Value.of(value), Value.of(other), change_of(value, other))
            rows.append((*_heads(item).values(), Value(name), *figures))
    heading = Subheading("pair-parameters", {"law": law})
    if not rows:
        return [heading, Findings(tuple(notes))]
    columns = (
        *HEADS,
        Column("parameter", "term"),
        Column("value_first", "significant"),
        Column("value_second", "significant"),
        Column("change", "change"),
    )
    notes += [Finding("change-method", {}, "note")] if len(bare) < len(fits) else []
    return [heading, Table("pair-parameters", columns, tuple(rows), tuple(notes))]


def change_of(first: Estimate, second: Estimate) -> Value:
    """Change of a parameter; its interval may be open at both ends where one of the two has an interval."""
    change = Value.of(relative_change(first, second))
    across = not first.value or not second.value or first.value * second.value < 0
    bounded = any(end is not None for end in (first.low, first.high, second.low, second.high))
    return replace(change, bounded=bounded and not across)
