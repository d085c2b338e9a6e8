"""How far figures move under other choices, as headings, tables and sentences."""

from collections.abc import Sequence

from cvfp_cli.scaling.blocks import Block, Heading, Line, TextTable
from cvfp_cli.scaling.numbers import MISSING, NO_CHANGE, NO_SLOPE, figure, interval
from cvfp_cli.scaling.numbers import size as size_figure
from cvfp_cli.scaling.result import Estimate
from cvfp_cli.scaling.sensitivity import FALL, Sensitivity

# Up to this many fits of a law have a table each; more have a line each.
MOST_TABLES = 12
HOW = (
    "One choice at a time is made otherwise. Intervals at a size are of the law there, not of a new run; "
    f"{MISSING} is a figure that the choice does not have."
)


def sensitivity_blocks(found: Sequence[Sensitivity]) -> list[Block]:
    """A table of choices for each fit, or of many fits one with the range of each figure."""
    if not found:
        return []
    level = f"{100 * found[0].level:g} %"
    blocks: list[Block] = [Heading("Sensitivity"), Line(HOW)]
    for law in dict.fromkeys(one.law for one in found):
        own = [one for one in found if one.law == law]
        if len(own) > MOST_TABLES:
            blocks += [
                Heading(f"{law}: value as asked (lowest to highest over the choices)", 2),
                _ranges(own),
            ]
            continue
        for one in own:
            blocks += [
                Heading(f"{one.config or 'all points'}: {law}", 2),
                _choices(one, level),
                *_moved(one, level),
                *_too_little(one),
            ]
    return blocks


def _choices(one: Sensitivity, level: str) -> TextTable:
    names = list(one.asked)
    rows = [
        (choice.name, *(_cell(choice.figures.get(name), name) for name in names)) for choice in one.choices
    ]
    span = [one.span(name) for name in names]
    rows.append(("range", *(_between(s, name) for s, name in zip(span, names, strict=True))))
    return TextTable((f"choice ({level} interval)", *map(_called, names)), tuple(rows))


def _ranges(own: Sequence[Sensitivity]) -> TextTable:
    names = list(dict.fromkeys(name for one in own for name in one.asked))
    rows = []
    for one in own:
        spans = {name: one.span(name) for name in one.asked}
        cells = (
            f"{_shown(spans[name].value, name)} ({_between(spans[name], name)})" if name in spans else MISSING
            for name in names
        )
        rows.append((one.config, *cells))
    return TextTable(("", *map(_called, names)), tuple(rows))


def _called(name: str) -> str:
    return "fall per doubling, %" if name == FALL else name


def _shown(value: float | None, name: str) -> str:
    if value is None:
        return "never" if name.startswith("size for") else MISSING
    return size_figure(value) if name.startswith("size for") else figure(value)


def _cell(estimate: Estimate | None, name: str) -> str:
    if estimate is None:
        return MISSING
    if estimate.fixed:
        return f"{figure(estimate.value)} fixed"
    known = estimate.low is not None or estimate.high is not None
    return _shown(estimate.value, name) + (f" ({interval(estimate.low, estimate.high)})" if known else "")


def _between(span: Estimate, name: str) -> str:
    return interval(span.low, span.high) if span.low is not None else _shown(None, name)


def _moved(one: Sensitivity, level: str) -> list[Block]:
    """Which figures a choice moves out of their interval."""
    moved = []
    for name, asked in one.asked.items():
        span = one.span(name)
        below = (
            asked.low is not None
            and span.low is not None
            and span.low < asked.low - _rounding(asked.low, name)
        )
        above = asked.high is not None and (
            span.high is None or span.high > asked.high + _rounding(asked.high, name)
        )
        if below or above:
            moved.append(_called(name))
    if not moved:
        return []
    return [Line(f"A choice moves further than the {level} interval as asked: {'; '.join(moved)}.")]


def _too_little(one: Sensitivity) -> list[Block]:
    return [Line(f"Too little is left to fit {'; '.join(one.too_little)}.")] if one.too_little else []


def _rounding(end: float, name: str) -> float:
    """What rounding may move a figure by that the data know exactly."""
    return max(NO_CHANGE * abs(end), 100.0 * NO_SLOPE if name == FALL else NO_SLOPE)
