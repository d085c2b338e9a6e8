"""Section 6: how well the training text is learned, how fast phase 1 converges, and what more data changes."""

from collections.abc import Iterable
from itertools import pairwise

from cvfp_cli.reports.marks import noise_finding
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.pictures import growth_chart, train_chart
from cvfp_cli.reports.scope import Scope, rank
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.study.families import Cell, Group, mean


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """Expressiveness, convergence, change over the sizes, steps that got worse, effective rank."""
    if not any(group.cells for group in scope.groups):
        return Finding("no-finished-runs", {}, "warning")
    parts = (
        _expressiveness(scope),
        _convergence(scope),
        _change(scope),
        _worse(scope),
        _effective_rank(scope),
    )
    return tuple(block for part in parts for block in part)


def _expressiveness(scope: Scope) -> list[Block]:
    size = scope.family.largest
    here: dict[str, object] = {"size": size, "unit": scope.family.size_kind}
    train, val, gap = (rank(scope, size, measure) for measure in ("train_ppl", "val_ppl", "gap"))
    if not any(value is not None for value in train.values):
        return [Subheading("expressiveness", here), Findings((Finding("train-ppl-absent", {}, "note"),))]
    order = sorted(
        (i for i, value in enumerate(train.values) if value is not None), key=lambda i: train.values[i] or 0.0
    )
    columns = (
        Column("config"),
        Column("train_ppl", "ppl"),
        Column("val_ppl", "ppl"),
        Column("gap", "ratio"),
        Column("best_epoch", "count"),
    )
    rows = [
        {
            "config": Value(train.groups[i].label),
            "train_ppl": Value(train.cells[i].train_ppl, mark=train.marks[i]),
            "val_ppl": Value(train.cells[i].val_ppl, mark=val.marks[i]),
            "gap": Value(train.cells[i].gap, mark=gap.marks[i]),
            "best_epoch": Value(mean(run.best_epoch for run in train.cells[i].runs)),
        }
        for i in order
    ]
    table = filled("expressiveness", list(columns), rows)
    notes = [Finding("train-ppl-depends-on-epochs", {}, "note")]
    if len(rows) > 1:
        notes += [
            noise_finding(key, item.noise)
            for key, item in (("train_ppl", train), ("val_ppl", val), ("gap", gap))
        ]
    found = (
        train.finding("lowest-train-ppl", [cell.train_ppl for cell in train.cells], **here),
        gap.finding("smallest-gap", [cell.gap for cell in gap.cells], **here),
    )
    items = tuple(finding for finding in found if finding is not None)
    return [
        Subheading("expressiveness", here),
        Table(table.key, table.columns, table.rows, tuple(notes)),
        *([Findings(items)] if items else []),
        *([chart] if (chart := train_chart(scope)) is not None else []),
    ]


def _convergence(scope: Scope) -> list[Block]:
    rows, failed = [], []
    for group in scope.groups:
        runs = [run for cell in group.cells for run in cell.runs if run.phase1_iterations is not None]
        if not runs:
            continue
        counts = [run.phase1_iterations or 0 for run in runs]
        starred = any(run.phase1_converged is False for run in runs)
        if starred:
            failed.append(group.label)
        rows.append(
            {
                "config": Value(group.label),
                "phase1_iterations": Value(
                    min(counts), top=max(counts) if max(counts) > min(counts) else None, starred=starred
                ),
                "converged_runs": Value(sum(run.phase1_converged is True for run in runs)),
                "runs": Value(len(runs)),
                "phase1_rate": Value(runs[-1].phase1_rate),
                "growth": Value(_largest(run.growth for run in runs)),
            }
        )
    if not rows:
        return [Subheading("convergence"), Findings((Finding("iterations-absent", {}, "note"),))]
    columns = (
        Column("config"),
        Column("phase1_iterations", "int"),
        Column("converged_runs", "int"),
        Column("runs", "int"),
        Column("phase1_rate", "share"),
        Column("growth", "ratio3"),
    )
    items: list[Finding] = []
    if failed:
        items.append(Finding("not-converged", {"configs": tuple(failed), "count": len(failed)}))
    elif any(row["converged_runs"].value for row in rows):
        items.append(Finding("all-converged", {"count": len(rows)}))
    else:
        items.append(Finding("convergence-unrecorded", {}, "note"))
    contraction = _contraction(scope)
    items += [contraction] if contraction is not None else []
    items += _fastest(scope)
    chart = growth_chart(scope, contraction)
    return [
        Subheading("convergence"),
        filled("convergence", list(columns), rows),
        Findings(tuple(items)),
        *([chart] if chart is not None else []),
    ]


def _contraction(scope: Scope) -> Finding | None:
    """Whether every model forgets, which decides whether its contexts can be computed side by side."""
    known = {
        group.label: most
        for group in scope.groups
        if (most := _largest(run.growth for run in group.runs)) is not None
    }
    if not known:
        return None
    growing = tuple(label for label, growth in known.items() if growth >= 1.0)
    values = {"growth": max(known.values())}
    if growing:
        return Finding("contexts-grow", {**values, "configs": growing}, "warning")
    return Finding("contexts-forget", values)


def _largest(values: Iterable[float | None]) -> float | None:
    """The largest that is known: it decides whether the recurrence can be computed in chunks."""
    return max((value for value in values if value is not None), default=None)


def _fastest(scope: Scope) -> list[Finding]:
    """The fastest configuration, and the fastest depth at each number of input tokens."""
    size = scope.family.largest
    iterations = rank(scope, size, "iterations")
    shown = [cell.iterations for cell in iterations.cells]
    here = {"size": size, "unit": scope.family.size_kind}
    overall = iterations.finding("fastest", shown, **here)
    if overall is not None and overall.code == "fastest-unknown":
        fewest = overall.values["value"]
        ties = tuple(g.label for g, count in zip(iterations.groups, shown, strict=True) if count == fewest)
        overall = Finding("fastest-unknown", {**here, "value": fewest, "configs": ties})
    found = [overall] if overall is not None else []
    for tokens in sorted({group.tokens for group in scope.groups if group.tokens}):
        means = {
            group.layers: average
            for group in scope.groups
            if group.tokens == tokens
            and group.layers
            and (average := mean(cell.iterations for cell in group.cells)) is not None
        }
        if len(means) > 1:
            lowest = min(means.values())
            layers = tuple(sorted(layer for layer, average in means.items() if average == lowest))
            found.append(Finding("fastest-depth", {"tokens": tokens, "layers": layers, "iterations": lowest}))
    return found


def _change(scope: Scope) -> list[Block]:
    columns = (
        Column("config"),
        Column("from_size", "int"),
        Column("to_size", "int"),
        Column("first_ppl", "ppl"),
        Column("last_ppl", "ppl"),
        Column("ppl_change", "change"),
        Column("accuracy_change", "points"),
        Column("er_change", "points"),
    )
    rows = []
    for group in scope.groups:
        if len(group.cells) < 2:
            continue
        first, last = group.cells[0], group.cells[-1]
        rows.append(
            {
                "config": Value(group.label),
                "from_size": Value(first.size),
                "to_size": Value(last.size),
                "first_ppl": Value(first.val_ppl),
                "last_ppl": Value(last.val_ppl),
                "ppl_change": Value((last.val_ppl or 0.0) / (first.val_ppl or 1.0) - 1.0),
                "accuracy_change": Value(_less(last.accuracy, first.accuracy)),
                "er_change": Value(_less(last.val_er, first.val_er)),
            }
        )
    if not rows:
        return [Subheading("change"), Findings((Finding("one-size", {}, "note"),))]
    table = filled("change", list(columns), rows)
    changes = [float(row["ppl_change"].value) for row in rows if isinstance(row["ppl_change"].value, float)]
    if round(min(changes), 3) == round(max(changes), 3):  # alike as they are written
        return [Subheading("change"), table, Findings((Finding("total-change-one", {"change": changes[0]}),))]
    items = (
        Finding("total-change", {"most": min(changes), "least": max(changes), "configurations": len(rows)}),
    )
    return [Subheading("change"), table, Findings(items)]


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _worse(scope: Scope) -> list[Block]:
    rows = []
    for group in scope.groups:
        for before, after in pairwise(group.cells):
            if (after.val_ppl or 0.0) > (before.val_ppl or 0.0):
                rows.append(_step(group, before, after, "val_ppl"))
            if (
                after.accuracy is not None
                and before.accuracy is not None
                and after.accuracy < before.accuracy
            ):
                rows.append(_step(group, before, after, "accuracy"))
    if not any(len(group.cells) > 1 for group in scope.groups):
        return []
    if not rows:
        steps = sum(max(0, len(group.cells) - 1) for group in scope.groups)
        return [Subheading("worse"), Findings((Finding("no-worse-steps", {"steps": steps}),))]
    columns = (
        Column("config"),
        Column("measure", "term"),
        Column("from_size", "int"),
        Column("to_size", "int"),
        Column("before_after", "finding"),
        Column("best_epoch", "count"),
        Column("epochs", "count"),
        Column("stopped_by", "term"),
    )
    configs = tuple(dict.fromkeys(str(row["config"].value) for row in rows))
    return [
        Subheading("worse"),
        filled("worse-steps", list(columns), rows),
        Findings((Finding("worse-steps", {"count": len(rows), "configs": configs}),)),
    ]


def _step(group: Group, before: Cell, after: Cell, measure: str) -> dict[str, Value]:
    stops = {run.stopped_by for run in after.runs}
    values = {"before": getattr(before, measure), "after": getattr(after, measure)}
    return {
        "config": Value(group.label),
        "measure": Value("val_ppl" if measure == "val_ppl" else "val_accuracy"),
        "from_size": Value(before.size),
        "to_size": Value(after.size),
        "before_after": Value(Finding("step-ppl" if measure == "val_ppl" else "step-accuracy", values)),
        "best_epoch": Value(mean(run.best_epoch for run in after.runs)),
        "epochs": Value(mean(run.epochs for run in after.runs)),
        "stopped_by": Value(stops.pop() if len(stops) == 1 else None),
    }


def _effective_rank(scope: Scope) -> list[Block]:
    size = scope.family.largest
    here: dict[str, object] = {"size": size, "unit": scope.family.size_kind}
    rows = []
    for group, cell in scope.at(size):
        if cell.train_er is None and cell.val_er is None:
            continue
        dim = group.context_dim
        ranks = [rank for item in group.cells if (rank := item.val_er) is not None]
        rows.append(
            {
                "config": Value(group.label),
                "context_dim": Value(dim),
                "train_er": Value(cell.train_er),
                "train_er_dims": Value(cell.train_er * dim if cell.train_er is not None and dim else None),
                "val_er": Value(cell.val_er),
                "val_er_dims": Value(cell.val_er * dim if cell.val_er is not None and dim else None),
                "val_er_low": Value(min(ranks) if ranks else None),
                "val_er_high": Value(max(ranks) if ranks else None),
            }
        )
    if not rows:
        return [Subheading("effective-rank", here), Findings((Finding("effective-rank-absent", {}, "note"),))]
    columns = (
        Column("config"),
        Column("context_dim", "int"),
        Column("train_er", "share"),
        Column("train_er_dims", "dims"),
        Column("val_er", "share"),
        Column("val_er_dims", "dims"),
        Column("val_er_low", "share"),
        Column("val_er_high", "share"),
    )
    items = [_er_range(scope, key) for key in ("train_er", "val_er")]
    return [
        Subheading("effective-rank", here),
        filled("effective-rank", list(columns), rows),
        Findings(tuple(item for item in items if item is not None)),
    ]


def _er_range(scope: Scope, key: str) -> Finding | None:
    """The range over all runs, named after the configurations at its ends."""
    found = [
        (rank, group.label)
        for group in scope.groups
        for cell in group.cells
        if (rank := getattr(cell, key)) is not None
    ]
    if len(found) < 2:
        return None
    (low, low_config), (high, high_config) = min(found), max(found)
    ends = {"measure": key, "low": low, "high": high}
    if round(low, 3) == round(high, 3):  # alike as they are written
        labels = {label for _, label in found}
        return Finding("effective-rank-same", {**ends, "configurations": len(labels)})
    if len(scope.groups) == 1:
        return Finding("effective-rank-range-one", ends)
    return Finding("effective-rank-range", {**ends, "low_config": low_config, "high_config": high_config})
