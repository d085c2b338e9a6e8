"""A report as data: what it states, before any language or format. JSON prints exactly this."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from math import isfinite
from typing import Any, Literal

from cvfp_cli.notes import Note, Severity
from cvfp_cli.stats.estimate import Estimate

SCHEMA = "cvfp-report/1"
FAMILY = "family"  # the subheading that begins a family's part of a section

Mark = Literal["", "best", "tied"]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, init=False)
class Finding(Note):
    """A note whose sentence the text catalogues hold, in each language.

    ``values`` are the numbers and names in the sentence: scalars, ``Value``s, findings, or tuples of them.
    """

    def __init__(
        self, code: str, values: Mapping[str, Any] | None = None, severity: Severity = "finding"
    ) -> None:
        super().__init__(code, "", severity, {} if values is None else values)


@dataclass(frozen=True)
class Value:
    """One figure of a table or sentence.

    Attributes:
        value: a number, a text, or a Finding; None is missing.
        low, high: ends of its interval; None is an open end where ``bounded``.
        bounded: whether it has an interval at all.
        mark: ``best`` beyond the noise, or ``tied`` with the best.
        starred: phase 1 did not converge (printed ``*``).
        top: upper end of a range over several runs, such as P1 iterations 6-7; None where all are equal.
    """

    value: Scalar | Finding = None
    low: float | None = None
    high: float | None = None
    bounded: bool = False
    mark: Mark = ""
    starred: bool = False
    top: float | None = None

    @classmethod
    def of(cls, estimate: Estimate | None, mark: Mark = "") -> "Value":
        """An estimate as a table's value; it has an interval where one end at least is known."""
        if estimate is None:
            return cls()
        low, high = estimate.low, estimate.high
        return cls(estimate.value, low, high, bounded=low is not None or high is not None, mark=mark)


@dataclass(frozen=True)
class Column:
    """A table's column: ``key`` names its heading, ``kind`` how figures are written, ``values`` fill the heading."""

    key: str
    kind: str = "text"
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows of values under columns; the first column heads its row."""

    key: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Heatmap:
    """A measure over layers (rows) and input tokens (columns).

    Attributes:
        key: the measure. kind: how its figures are written.
        values: what fills its caption, such as ``context_dim`` or ``samples``.
        layers, tokens: the levels, ascending.
        cells: one row a layer count; missing cells hold None.
        unit: figures are printed divided by this power of ten, which the caption then states.
    """

    key: str
    kind: str
    layers: tuple[int, ...]
    tokens: tuple[int, ...]
    cells: tuple[tuple[Value, ...], ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Finding, ...] = ()
    unit: int = 0


@dataclass(frozen=True)
class Findings:
    """A list of statements."""

    items: tuple[Finding, ...]


@dataclass(frozen=True)
class Location:
    """Where the figures of a statement stand: under a heading of a section (or at its start), in a family's part."""

    section: str
    heading: str = ""
    family: int = 0


@dataclass(frozen=True)
class Statement:
    """A finding of the first page and where its figures stand; None where it is about the page itself."""

    finding: Finding
    target: Location | None = None


@dataclass(frozen=True)
class Statements:
    """What the first page says."""

    items: tuple[Statement, ...]


@dataclass(frozen=True)
class Subheading:
    """A heading within a section."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Commands:
    """Command lines as a user types them."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One line or set of dots of a chart: measured points, and a fitted curve where there is one.

    Attributes:
        curve: (x, y) along a fitted law. band: (x, low, high), the law's own interval.
        place: its colour and shape, the same in all charts of a family; None is one of many, drawn grey.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    curve: tuple[tuple[float, float], ...] = ()
    band: tuple[tuple[float, float, float], ...] = ()
    place: int | None = 0


@dataclass(frozen=True)
class Chart:
    """A picture of figures that stand in the tables too; the HTML draws it, and ``--figures`` writes it.

    Attributes:
        key: names its title and its axes.
        measured_to: largest measured x; curves beyond it are drawn dashed as extrapolation.
        finding: what it shows, for whoever does not see it.
        kinds: how figures of x and y are written. linear: the axes that are not logarithmic, of ``xy``.
        level: a y to draw a line at. diagonal: whether to draw y = x.
        panels: whether each series has axes of its own, all alike.
    """

    key: str
    series: tuple[Series, ...]
    measured_to: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    finding: Finding | None = None
    kinds: tuple[str, str] = ("int", "ppl")
    linear: str = ""
    level: float | None = None
    diagonal: bool = False
    panels: bool = False


@dataclass(frozen=True)
class Picture:
    """The one picture of the first page: a chart where pictures are drawn, a box where there is text alone."""

    chart: Chart | None
    box: Heatmap | None


Block = Table | Heatmap | Findings | Statements | Subheading | Commands | Chart | Picture


@dataclass(frozen=True)
class Section:
    """One section: its blocks, or the reason why it is left out; ``appendix``: nothing else rests on it."""

    key: str
    blocks: tuple[Block, ...] = ()
    omitted: Finding | None = None
    appendix: bool = False


def walked(section: Section) -> Iterator[tuple[Block, Location]]:
    """Every block of a section with the heading that it stands under, the headings themselves among them."""
    family, heading = 0, ""
    for block in section.blocks:
        if isinstance(block, Subheading) and block.key == FAMILY:
            family, heading = block.values["number"], ""
        elif isinstance(block, Subheading | Heatmap):
            heading = block.key
        yield block, Location(section.key, heading, family)


@dataclass(frozen=True)
class Report:
    """The whole document. ``title`` is the user's own, or None for the catalogue's with ``title_values``."""

    title: str | None
    title_values: Mapping[str, Any]
    sections: tuple[Section, ...]
    kind: Literal["report", "comparison", "difference"] = "report"

    @property
    def numbers(self) -> tuple[str, ...]:
        """What each section is called by: ``1``, ``2``, and of appendices ``A``, ``B``."""
        main = sum(not section.appendix for section in self.sections)
        return tuple(
            chr(ord("A") + i - main) if section.appendix else str(i + 1)
            for i, section in enumerate(self.sections)
        )

    def findings(self) -> list[Finding]:
        """Every finding of every section, also those in tables and notes, in order."""
        found: list[Finding] = []
        _collect(self.sections, found)
        return found


def to_json(value: Any) -> Any:
    """Plain JSON values: blocks carry their ``type``; what is not finite becomes null; empty extras are left out."""
    if isinstance(value, Report):
        return {"schema": SCHEMA, **_fields(value)}
    if isinstance(value, Value):
        return _value_json(value)
    if isinstance(value, Finding):
        return {"code": value.code, "values": to_json(value.values), "severity": value.severity}
    if is_dataclass(value) and not isinstance(value, type):
        shape = _fields(value)
        return {"type": type(value).__name__.lower(), **shape} if isinstance(value, Block) else shape
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def dump_json(report: Report) -> str:
    """The report as JSON text, ending in a newline; no NaN, no infinity."""
    return json.dumps(to_json(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: to_json(getattr(value, item.name)) for item in fields(value)}


def _value_json(value: Value) -> dict[str, Any]:
    shape: dict[str, Any] = {"value": to_json(value.value)}
    if value.bounded:
        shape |= {"low": to_json(value.low), "high": to_json(value.high)}
    if value.mark:
        shape["mark"] = value.mark
    if value.starred:
        shape["starred"] = True
    if value.top is not None:
        shape["top"] = to_json(value.top)
    return shape


def _collect(value: Any, found: list[Finding]) -> None:
    if isinstance(value, Finding):
        found.append(value)
        value = tuple(value.values.values())
    if isinstance(value, tuple | list):
        for item in value:
            _collect(item, found)
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            _collect(getattr(value, item.name), found)
