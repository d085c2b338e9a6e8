"""Section 2: a row a configuration, and which of them is best as far as the noise allows."""

from collections.abc import Sequence
from dataclasses import replace

from cvfp_cli.laws.names import MAIN
from cvfp_cli.notes import Severity
from cvfp_cli.reports.format import MILLIONS_FROM
from cvfp_cli.reports.marks import noise_finding, parts_finding, tied_finding
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Mark, Table, Value
from cvfp_cli.reports.scope import Ranking, Scope, rank
from cvfp_cli.scaling.numbers import NO_SLOPE
from cvfp_cli.stats.noise import FigureNoise
from cvfp_cli.stats.size_errors import ENOUGH
from cvfp_cli.study.families import Group

COLUMNS = (
    Column("config"),
    Column("alias"),
    Column("layers", "int"),
    Column("tokens", "int"),
    Column("context_dim", "int"),
    Column("alpha", "alpha"),
    Column("A", "scientific"),
    Column("r_squared", "r2"),
    Column("best_ppl", "ppl"),
    Column("best_accuracy", "share"),
    Column("phase1_parameters", "million"),
    Column("phase2_parameters", "million"),
    Column("val_effective_rank", "share"),
    Column("val_er_dims", "dims"),
)


def build(scope: Scope, *, context_dim: bool = False) -> tuple[Block, ...] | Finding:
    """The summary table and its findings.

    Args:
        context_dim: show it even where it is the same in the whole family.
    """
    if not any(group.cells for group in scope.groups):
        return Finding("no-finished-runs", {}, "warning")
    largest = scope.family.largest
    ppl, accuracy = rank(scope, largest, "val_ppl"), rank(scope, largest, "accuracy")
    wide = context_dim or scope.family.varies("context_dim")
    blocks: list[Block] = [_table(scope, ppl, accuracy, wide=wide)]
    found = [_steepest(scope, *scope.alpha_noise), *_bests(scope, ppl, accuracy), *_unfitted(scope)]
    found += _unfinished_training(scope)
    items = tuple(finding for finding in found if finding is not None)
    if items:
        blocks.append(Findings(items))
    return tuple(blocks)


def _table(scope: Scope, ppl: Ranking, accuracy: Ranking, *, wide: bool) -> Table:
    largest = scope.family.largest
    alpha_marks, alpha_noise = scope.alpha_noise
    rows = []
    for group, alpha_mark in zip(scope.groups, alpha_marks, strict=True):
        fit = scope.power(group)
        best = min(group.cells, key=lambda cell: cell.val_ppl or 0.0, default=None)
        accuracies = [cell for cell in group.cells if cell.accuracy is not None]
        most = max(accuracies, key=lambda cell: cell.accuracy or 0.0, default=None)
        rank_share = group.last.val_er if group.last else None
        rows.append(
            {
                "config": Value(group.label),
                "alias": Value(group.alias or None),
                "layers": Value(group.layers),
                "tokens": Value(group.tokens),
                "context_dim": Value(group.context_dim if wide else None),
                "alpha": Value.of(fit.parameters["alpha"] if fit else None, alpha_mark),
                "A": Value.of(fit.parameters["A"] if fit else None),
                "r_squared": Value(fit.r_squared if fit else None),
                "best_ppl": Value(
                    best.val_ppl if best else None,
                    mark=_mark_at(ppl, group, best.size if best else None, largest),
                ),
                "best_accuracy": Value(
                    most.accuracy if most else None,
                    mark=_mark_at(accuracy, group, most.size if most else None, largest),
                ),
                "phase1_parameters": Value(group.context_parameters),
                "phase2_parameters": Value(group.token_parameters),
                "val_effective_rank": Value(rank_share),
                "val_er_dims": Value(
                    rank_share * group.context_dim if rank_share and group.context_dim else None
                ),
            }
        )
    table = filled("summary", list(COLUMNS), rows)
    return Table(
        table.key, table.columns, table.rows, tuple(_notes(scope, table, alpha_noise, ppl, accuracy))
    )


def _notes(
    scope: Scope, table: Table, alpha_noise: FigureNoise | None, ppl: Ranking, accuracy: Ranking
) -> list[Finding]:
    """How to read the table: intervals, noise a column, what is missing."""
    present = {column.key for column in table.columns}
    fits = {group.label: fit for group in scope.groups if (fit := scope.power(group)) is not None}
    bare = tuple(label for label, fit in fits.items() if fit.interval_method == "none")
    notes = []
    if len(bare) < len(fits):
        notes = [Finding("alpha-interval-method", {"level": scope.level, "enough": ENOUGH}, "note")]
    if bare:
        some = Finding("alpha-interval-none", {"configs": bare}, "note")
        notes.append(some if notes else Finding("alpha-interval-none-at-all", {}, "note"))
    wanted = ("best_accuracy", "phase1_parameters", "val_effective_rank")
    notes += [Finding("column-absent", {"column": key}, "note") for key in wanted if key not in present]
    if len(scope.groups) > 1:
        noises = (("alpha", alpha_noise), ("best_ppl", ppl.noise), ("best_accuracy", accuracy.noise))
        notes += [noise_finding(key, noise) for key, noise in noises if key in present]
        if "val_effective_rank" in present and not scope.family.replicated:
            notes.append(noise_finding("val_effective_rank", None))
        parts = parts_finding(ppl.noise.lines if ppl.noise is not None else None)
        notes += [parts] if parts is not None else []
        if any(value.mark for row in table.rows for value in row):
            notes.append(Finding("marks-legend", {"level": scope.level}, "note"))
    if scope.family.replicated:
        notes.append(Finding("means-over-seeds", {}, "note"))
    return notes


def one_format(column: Column, cells: Sequence[Value]) -> Column:
    """The column with whole counts where millions would lose digits of any of its figures."""
    figures = [cell.value for cell in cells if isinstance(cell.value, int | float)]
    if column.kind == "million" and any(figure < MILLIONS_FROM for figure in figures):
        return replace(column, kind="int")
    return column


def filled(key: str, columns: list[Column], rows: list[dict[str, Value]]) -> Table:
    """A table of the columns that hold anything; the first always stays. A column of parameters has one format."""
    kept = [
        column
        for i, column in enumerate(columns)
        if i == 0 or any(row[column.key].value is not None for row in rows)
    ]
    kept = [one_format(column, [row[column.key] for row in rows]) for column in kept]
    return Table(key, tuple(kept), tuple(tuple(row[column.key] for column in kept) for row in rows))


def _mark_at(ranking: Ranking, group: Group, size: int | None, largest: int | None) -> Mark:
    """The mark of a group's best figure, which counts only where it was reached at the size compared."""
    return ranking.mark_of(group) if size == largest else ""


def _steepest(scope: Scope, marks: tuple[Mark, ...], noise: FigureNoise | None) -> Finding | None:
    known = [
        (alpha, group, mark)
        for group, mark in zip(scope.groups, marks, strict=True)
        if (alpha := scope.alpha(group)) is not None
    ]
    if len(known) < 2:
        return None
    alpha, best, mark = min(known, key=lambda item: item[0])
    values = {"config": best.label, "value": alpha}
    if alpha > -NO_SLOPE:
        return Finding("steepest-none", values)
    if noise is None:
        return Finding("steepest-unknown", values)
    if mark == "best":
        return Finding("steepest-best", values)
    others = tuple(group.label for _, group, other in known if other == "tied" and group is not best)
    among = tied_finding(
        [group.label for _, group, other in known if other], [group.label for _, group, _ in known]
    )
    counts = {"others": others, "count": len(others), "of": len(known), "among": among}
    return Finding("steepest-tied", {**values, **counts})


def _bests(scope: Scope, ppl: Ranking, accuracy: Ranking) -> list[Finding | None]:
    size = {"size": scope.family.largest, "unit": scope.family.size_kind}
    shown = [cell.accuracy for cell in accuracy.cells]
    return [
        ppl.finding("lowest-ppl", [cell.val_ppl for cell in ppl.cells], **size),
        accuracy.finding("highest-accuracy", shown, **size),
    ]


def _unfitted(scope: Scope) -> list[Finding]:
    return [finding for (_, law), finding in scope.unfitted.items() if law == MAIN]


def _unfinished_training(scope: Scope) -> list[Finding]:
    """Which configurations hold runs that a limit of epochs or iterations ended while they were still improving."""
    found = []
    for code in ("still_improving", "still_converging"):
        counts = {
            group.label: sum(getattr(run, code) for cell in group.cells for run in cell.runs)
            for group in scope.groups
        }
        configs = tuple(label for label, count in counts.items() if count)
        if configs:
            values = {
                "count": sum(counts.values()),
                "runs": sum(len(cell.runs) for cell in scope.family.cells),
                "configs": configs,
            }
            severity: Severity = "warning" if code == "still_improving" else "note"
            found.append(Finding(code.replace("_", "-"), values, severity))
    return found
