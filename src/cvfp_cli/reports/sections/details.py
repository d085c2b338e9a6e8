"""Section 5: every run's figures, a table a configuration."""

from cvfp_cli.reports.model import Block, Column, Finding, Subheading, Table, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.results.schema import Run
from cvfp_cli.study.families import Group

COLUMNS = (
    Column("samples", "int"),
    Column("train_tokens", "int"),
    Column("seed", "plain"),
    Column("data_seed", "plain"),
    Column("phase1_iterations", "int"),
    Column("train_effective_rank", "share"),
    Column("val_effective_rank", "share"),
    Column("train_ppl", "ppl"),
    Column("val_ppl", "ppl"),
    Column("val_accuracy", "share"),
    Column("bits_per_byte", "ratio3"),
    Column("status", "term"),
)


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """One table a group; seeds only where there are several, the status only where a run is not done."""
    blocks: list[Block] = []
    hidden = set()
    runs = [run for group in scope.groups for run in group.runs]
    if not runs:
        return Finding("no-finished-runs", {}, "warning")
    for key in ("seed", "data_seed"):
        if len({getattr(run, key) for run in runs}) < 2:
            hidden.add(key)
    if all(run.status == "done" for run in runs):
        hidden.add("status")
    columns = [column for column in COLUMNS if column.key not in hidden]
    for group in scope.groups:
        blocks.append(Subheading("configuration", {"config": group.label, "alias": group.alias}))
        blocks.append(_table(group, columns))
    return tuple(blocks)


def _table(group: Group, columns: list[Column]) -> Table:
    runs = sorted(
        group.runs,
        key=lambda run: (run.samples or 0, run.train_tokens or 0, run.seed or 0, run.data_seed or 0),
    )
    table = filled("details", columns, [_row(run) for run in runs])
    notes = []
    if any(run.phase1_converged is False for run in runs):
        notes.append(Finding("iterations-starred", {}, "note"))
    notes += [
        Finding("run-reason", {"samples": run.samples, "seed": run.seed, "reason": run.reason}, "warning")
        for run in runs
        if run.status != "done" and run.reason
    ]
    return Table(table.key, table.columns, table.rows, tuple(notes))


def _row(run: Run) -> dict[str, Value]:
    figures = {column.key: Value(getattr(run, column.key, None)) for column in COLUMNS}
    figures["phase1_iterations"] = Value(run.phase1_iterations, starred=run.phase1_converged is False)
    figures["bits_per_byte"] = Value(run.bits_per_byte)
    return figures
