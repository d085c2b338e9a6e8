"""Rows of any table into labelled groups of points: which rows count, what makes a group, what repeats."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError, one_line
from cvfp_cli.notes import Note
from cvfp_cli.study.cells import is_empty, number
from cvfp_cli.study.points import Holdout, Points
from cvfp_cli.study.tables import Row, unfold_runs
from cvfp_cli.study.units import unit_of

# The one column that makes groups unasked, and the word that says that none does.
GROUP_COLUMN = "config"
NO_GROUP = "none"
# A column with one of these words in its name tells repeated runs apart.
SEED_WORDS = frozenset(("seed", "seeds", "rep", "replicate", "repeat", "trial", "fold", "run", "id", "name"))
# One sample count stands for sizes that differ at most by this factor; else ``samples`` is no size.
_SAME_SAMPLES = 2.0
_MOST_NAMED = 5
# Powers of ten to both sides of 1 within which the median y of a group lies: ends of a law below 1e-15 count as 0, above 1e15 as open.
USUAL = 12
FARTHEST = 100  # that any one of them may lie beyond 1, as a run that diverged does
USUAL_FLOPS = 6.0
"""Operations a parameter and token: a product and a sum, forwards once and backwards twice (Kaplan et al. 2020)."""


@dataclass(frozen=True)
class Columns:
    """Which columns to read.

    Attributes:
        x, y: of the points. group: columns that make a group; empty for the configuration; ``none`` for one group.
        parameters: column of model sizes for the joint law; empty for the results' own counts.
        passes: column of how often the data were passed over; empty where x or the results' own epochs say it.
        flops: column of the operations of each run; without a column x, D is these over 6 N.
        y_unit: one of ``units.UNITS``; empty to find it.
        weights: column of relative precisions (1 / variance); empty for equal ones.
        best_of: columns of settings of which the best counts at each size.
        holdout_by: column whose largest values (numbers) or each value (text) the forward error leaves out.
    """

    x: str = "train_tokens"
    y: str = "val_ppl"
    group: tuple[str, ...] = ()
    parameters: str = ""
    passes: str = ""
    flops: str = ""
    y_unit: str = ""
    weights: str = ""
    best_of: tuple[str, ...] = ()
    holdout_by: str = ""

    @property
    def of_a_table(self) -> bool:
        """Whether they ask for what only rows of a table have."""
        return any(
            (
                self.group,
                self.parameters,
                self.passes,
                self.flops,
                self.weights,
                self.best_of,
                self.holdout_by,
            )
        )


@dataclass(frozen=True)
class _Point:
    """One row's figures; ``row`` holds its cells."""

    row: Row
    x: float
    y: float
    parameters: float
    passes: float
    flops: float
    weight: float


def table_groups(
    rows: Sequence[Row], where: str, columns: Columns, *, places: Sequence[str] = ()
) -> tuple[tuple[Points, ...], tuple[Note, ...]]:
    """One group for each different combination of the ``group`` columns, in the order of their first row.

    Without ``group`` the column ``config`` makes the groups, if there is one. Replicates are rows of one group with the
    same ``samples``, or where no such column tells sizes, the same x. Rows without a figure that is needed are left
    out, rows that are equal in every column count once, and both are said.

    Args:
        where: the table's name in messages. places: each row's own, where they come from several files.

    Raises:
        InputError: a missing column, or a cell that is not a number.
    """
    rows = unfold_runs(list(rows), columns.y)
    names = list(dict.fromkeys(key for row in rows for key in row))
    _require(names, columns, where)
    by = [name for name in columns.group if name != NO_GROUP]
    if not columns.group and GROUP_COLUMN in names:
        by = [GROUP_COLUMN]
    at = (
        list(places)
        if len(places) == len(rows)
        else [f"{where}, row {number}" for number in range(1, len(rows) + 1)]
    )
    points, notes = _points(*_distinct(rows, at, names), names, where, columns)
    sizes, said = _sizes(points, names, where, columns)
    notes += said
    gathered: dict[tuple[str, ...], list[int]] = {}
    for index, point in enumerate(points):
        cells = (point.row.get(name) for name in by)
        key = tuple("" if cell is None else one_line(str(cell)) for cell in cells)
        gathered.setdefault(key, []).append(index)
    if columns.best_of:
        gathered, said = _best(gathered, points, sizes, columns, where)
        notes += said
    notes += _repeats(gathered, points, sizes, names, columns, where)
    codes = {
        value: code
        for code, value in enumerate(dict.fromkeys(str(p.row.get(columns.holdout_by)) for p in points))
    }
    result = []
    for key, members in gathered.items():
        chosen = [points[index] for index in members]
        _require_usual([point.y for point in chosen], _label(by, key) if any(key) else "", columns.y, where)
        result.append(
            Points(
                x=np.array([point.x for point in chosen]),
                y=np.array([point.y for point in chosen]),
                label=_label(by, key) if any(key) or len(gathered) > 1 else where,
                sizes=np.array([sizes[index] for index in members]),
                parameters=np.array([point.parameters for point in chosen]) if columns.parameters else None,
                passes=np.array([point.passes for point in chosen]) if columns.passes else None,
                flops=np.array([point.flops for point in chosen]) if columns.flops else None,
                weights=np.array([point.weight for point in chosen]) if columns.weights else None,
                holdout=_holdout(chosen, columns.holdout_by, codes),
                x_name=columns.x,
                y_name=columns.y,
            )
        )
    return tuple(result), tuple(notes)


def _require_usual(y: Sequence[float], label: str, name: str, where: str) -> None:
    """Check that a group's y has a usual size.

    Raises:
        InputError: its median is beyond ``USUAL``: what a law says there looks like 0, or like no figure at all. Or one is
            beyond ``FARTHEST``, with which no curve can be worked out.
    """
    powers = np.log10(y)
    exponent = float(np.median(powers))
    if abs(exponent) > USUAL:
        power = round(abs(exponent))
        raise InputError(
            f"{where}: {name}{f' of {label}' if label else ''} is about 1e{round(exponent)}; fits are for figures "
            f"from 1e-{USUAL} to 1e{USUAL}, beyond which ends of a law count as 0 or as open.",
            hint=f"{'Divide' if exponent > 0 else 'Multiply'} {name} by 1e{power}: no law depends on its unit.",
        )
    worst = int(np.argmax(np.abs(powers)))
    if abs(powers[worst]) > FARTHEST:
        raise InputError(
            f"{where}: {name}{f' of {label}' if label else ''} is {y[worst]:g} in one row: too far from 1 for any law.",
            hint="Remove that row or correct it.",
        )


def _label(by: Sequence[str], key: Sequence[str]) -> str:
    """A group's name from its cells; an empty one is named, or two groups could have one name."""
    return " ".join(part or f"no {name}" for name, part in zip(by, key, strict=True))


def _require(names: Sequence[str], columns: Columns, where: str) -> None:
    wanted = (
        [("--y", columns.y)] if lacks_tokens(names, columns) else [("--x", columns.x), ("--y", columns.y)]
    )
    wanted += [("--group", name) for name in columns.group if name != NO_GROUP]
    wanted += [("--best-of", name) for name in columns.best_of]
    wanted += [
        (option, name)
        for option, name in (
            ("--parameters", columns.parameters),
            ("--epochs", columns.passes),
            ("--flops", columns.flops),
            ("--weights", columns.weights),
            ("--holdout-by", columns.holdout_by),
        )
        if name
    ]
    for option, name in wanted:
        require_column(names, name, option, where)


def lacks_tokens(names: Sequence[str], columns: Columns) -> bool:
    """Whether the data sizes, of which no column was named, have to follow from operations and model sizes."""
    return bool(columns.flops and columns.parameters) and columns.x == Columns.x and columns.x not in names


def require_column(names: Sequence[str], name: str, option: str, where: str) -> None:
    """Check that a table has a column.

    Raises:
        InputError: it has not; the nearest name, or all names, are given.
    """
    if name in names:
        return
    nested = [column for column in names if column.replace("/", ".").split(".")[-1].lower() == name.lower()]
    near = nested or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    there = ", ".join(one_line(column, 80) for column in names[:20])
    hint = f"Did you mean {one_line(near[0])}?" if near else f"There are {there}."
    raise InputError(f"{where} has no column {name!r} ({option}).", hint=hint)


def _distinct(
    rows: Sequence[Row], at: Sequence[str], names: Sequence[str]
) -> tuple[list[tuple[str, Row]], list[str]]:
    """Rows with their places, each once, and the places of those that are there again in every column."""
    seen: set[tuple[str, ...]] = set()
    kept: list[tuple[str, Row]] = []
    again: list[str] = []
    for place, row in zip(at, rows, strict=True):
        key = tuple("" if is_empty(row.get(name)) else str(row.get(name)) for name in names)
        if key in seen:
            again.append(place)
        else:
            kept.append((place, row))
        seen.add(key)
    return kept, again


def _points(
    rows: Sequence[tuple[str, Row]], again: Sequence[str], names: Sequence[str], where: str, columns: Columns
) -> tuple[list[_Point], list[Note]]:
    """The rows that have all figures, and notes on the others.

    Raises:
        InputError: a cell that is not a number, or not above 0; no row with all figures.
    """
    notes: list[Note] = []
    if again:
        message = (
            f"{where}: {counted(len(again), 'row')} equal in every column to an earlier one "
            f"({_some(again, where)}): counted once."
        )
        notes.append(Note("rows-repeated", message, "warning", {"rows": len(again)}))
    worked_out = lacks_tokens(names, columns)
    x = columns.flops if worked_out else columns.x
    needed = [
        name
        for name in (x, columns.y, columns.parameters, columns.passes, columns.flops, columns.weights)
        if name
    ]
    if worked_out:
        message = (
            f"{where} has no column {columns.x}: it is {columns.flops} / ({USUAL_FLOPS:g} {columns.parameters})"
            + (f" / {columns.passes}." if columns.passes else ".")
        )
        notes.append(Note("tokens-from-flops", message))
    left: dict[tuple[str, str], list[str]] = {}
    points = []
    for place, row in rows:
        figures: dict[str, float] = {}
        for name in needed:
            value = _figure(row.get(name), name, place)
            if value is None or math.isinf(value):
                left.setdefault((name, "empty" if value is None else "not finite"), []).append(place)
                break
            if name == columns.weights and value == 0.0:
                left.setdefault((name, "0"), []).append(place)
                break
            if value <= 0:
                raise InputError(
                    f"{place}: {name} is {value:g}; it must be above 0.",
                    hint="Remove that row or correct it.",
                )
            figures[name] = value
        else:
            size = figures[x]
            if worked_out:
                size /= USUAL_FLOPS * figures[columns.parameters] * figures.get(columns.passes, 1.0)
            points.append(
                _Point(
                    row,
                    size,
                    figures[columns.y],
                    figures.get(columns.parameters, math.nan),
                    figures.get(columns.passes, math.nan),
                    figures.get(columns.flops, math.nan),
                    figures.get(columns.weights, 1.0),
                )
            )
    if left:
        reasons = "; ".join(
            f"{name} is {what} in {len(there)} ({_some(there, where)})"
            for (name, what), there in left.items()
        )
        total = sum(len(there) for there in left.values())
        message = f"{where}: {counted(total, 'row')} left out: {reasons}."
        notes.append(Note("rows-left-out", message, values={"rows": total}))
    if not points:
        raise InputError(f"{where}: no row has {' and '.join(needed)}.")
    return points, notes


def _some(places: Sequence[str], where: str) -> str:
    """The first few places, without the file's name where that is clear."""
    shown = ", ".join(place.removeprefix(f"{where}, ") for place in places[:_MOST_NAMED])
    return f"{shown}, ..." if len(places) > _MOST_NAMED else shown


def _figure(cell: Any, name: str, place: str) -> float | None:
    try:
        return number(cell)
    except ValueError:
        raise InputError(f"{place}: {name} is {one_line(str(cell), 40)!r}, not a number.") from None


def _sizes(
    points: Sequence[_Point], names: Sequence[str], where: str, columns: Columns
) -> tuple[list[float], list[Note]]:
    """What makes two points replicates: the column ``samples`` where it tells sizes, else x."""
    own = [point.x for point in points]
    if "samples" not in names or columns.x == "samples":
        return own, []
    try:
        counts = [number(point.row.get("samples")) for point in points]
    except ValueError:
        return own, []  # text that nothing uses
    by_count: dict[float, list[float]] = {}
    for count, x in zip(counts, own, strict=True):
        if count is not None:
            by_count.setdefault(count, []).append(x)
    if any(max(found) > _SAME_SAMPLES * min(found) for found in by_count.values()):
        message = f"{where}: samples does not tell sizes apart that {columns.x} does: {columns.x} alone makes sizes."
        return own, [Note("samples-unused", message)]
    return [x if count is None else count for count, x in zip(counts, own, strict=True)], []


def _best(
    gathered: dict[tuple[str, ...], list[int]],
    points: Sequence[_Point],
    sizes: Sequence[float],
    columns: Columns,
    where: str,
) -> tuple[dict[tuple[str, ...], list[int]], list[Note]]:
    """Of each group's rows at one size (and model size), those of the setting with the lowest mean y: the highest where y rises.

    The mean over a setting's seeds and not the luckiest run decides, and all of its seeds stay.
    """
    kept: dict[tuple[str, ...], list[int]] = {}
    places = 0
    sign = -1.0 if unit_of(columns.y, np.array([p.y for p in points]), columns.y_unit).rises else 1.0
    for key, members in gathered.items():
        cells: dict[tuple[float, float], dict[tuple[str, ...], list[int]]] = {}
        for index in members:
            model = points[index].parameters
            cell = (sizes[index], -1.0 if math.isnan(model) else model)
            setting = tuple(str(points[index].row.get(name, "")) for name in columns.best_of)
            cells.setdefault(cell, {}).setdefault(setting, []).append(index)
        places += len(cells)
        best = [
            min(settings.values(), key=lambda of: sign * float(np.mean([points[i].y for i in of])))
            for settings in cells.values()
        ]
        kept[key] = sorted(index for of in best for index in of)
    out = len(points) - sum(len(members) for members in kept.values())
    message = (
        f"{where}: the best of {', '.join(columns.best_of)} at each of {counted(places, 'size')}; "
        f"{counted(out, 'row')} of other settings left out."
    )
    return kept, [Note("best-of", message, values={"rows": out})]


def _repeats(
    gathered: dict[tuple[str, ...], list[int]],
    points: Sequence[_Point],
    sizes: Sequence[float],
    names: Sequence[str],
    columns: Columns,
    where: str,
) -> list[Note]:
    """A warning where rows of one group and size are taken for other seeds, and no column says that they are."""
    repeated = 0
    differing: dict[str, None] = {}
    for members in gathered.values():
        cells: dict[tuple[float, float], list[int]] = {}
        for index in members:
            model = points[index].parameters
            cells.setdefault((sizes[index], -1.0 if math.isnan(model) else model), []).append(index)
        for cell in cells.values():
            vary = [
                name for name in names if len({str(points[index].row.get(name, "")) for index in cell}) > 1
            ]
            if len(cell) < 2 or any(_tells_seeds(name) for name in vary):
                continue
            repeated += 1
            differing.update(dict.fromkeys(name for name in vary if name not in (columns.y, columns.weights)))
    if not repeated:
        return []
    message = (
        f"{where}: {counted(repeated, 'size')} with several rows that no column (such as seed) tells apart: they count as "
        "other seeds of one measurement."
    )
    if differing:
        shown = ", ".join(one_line(name, 40) for name in list(differing)[:_MOST_NAMED])
        message += f" They differ in {shown}: --group or --best-of takes those apart."
    return [Note("seeds-unknown", message, "warning", {"sizes": repeated})]


def _tells_seeds(name: str) -> bool:
    words = name.lower().replace("/", " ").replace(".", " ").replace("_", " ").replace("-", " ").split()
    return bool(SEED_WORDS & set(words))


def _holdout(points: Sequence[_Point], column: str, codes: dict[str, int]) -> Holdout | None:
    """The values to hold out by: numbers as they are, text as the codes of its different values."""
    if not column:
        return None
    cells = [point.row.get(column) for point in points]
    try:
        found = [number(cell) for cell in cells]
    except ValueError:
        found = [None]
    if all(value is not None and math.isfinite(value) for value in found):
        return Holdout(column, np.array(found, dtype=float), each=False)
    return Holdout(column, np.array([codes[str(cell)] for cell in cells], dtype=float), each=True)
