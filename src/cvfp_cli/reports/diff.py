"""Two states of one study (``cvfp report --diff``): which runs came, which figures moved, what the first page says now."""

from collections.abc import Iterator, Sequence

from cvfp_cli.reports.build import built_sections, gathered, study_name
from cvfp_cli.reports.model import (
    Block,
    Column,
    Finding,
    Findings,
    Report,
    Section,
    Statements,
    Subheading,
    Table,
    Value,
)
from cvfp_cli.reports.scope import Context, Scope
from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import Run
from cvfp_cli.study.families import Group

COLUMNS = (
    Column("config"),
    Column("runs_before", "int"),
    Column("runs_after", "int"),
    Column("alpha_before", "alpha"),
    Column("alpha_after", "alpha"),
    Column("ppl_before", "ppl"),
    Column("ppl_after", "ppl"),
)
SAME = 1e-12  # relative difference of a figure from which it is another one


def build_difference(
    before: Results, after: Results, *, names: Sequence[str], title: str | None = None, level: float = 0.95
) -> Report:
    """What a later state of a study has that an earlier one had not.

    Args:
        names: the paths of both as the user gave them.
    """
    states = [
        gathered([results], names=[name], command="", level=level)
        for results, name in zip((before, after), names, strict=True)
    ]
    blocks: list[Block] = [Findings(tuple(_runs(before.runs, after.runs)))]
    rows = tuple(_rows(*states))
    if rows:
        blocks += [Subheading("diff-figures"), Table("diff", COLUMNS, rows)]
    said = [tuple(_said(state)) for state in states]
    for key, here, there in (("diff-now", said[1], said[0]), ("diff-before", said[0], said[1])):
        alone = tuple(item for item in here if item not in there)
        blocks += [Subheading(key), Findings(alone or (Finding("diff-nothing", {}, "note"),))]
    values = {"study": study_name(states[1])}
    return Report(title, values, (Section("diff", tuple(blocks)),), kind="difference")


def _runs(before: Sequence[Run], after: Sequence[Run]) -> Iterator[Finding]:
    earlier, later = ({_identity(run): run for run in runs} for runs in (before, after))
    both = [key for key in later if key in earlier]
    changed = [key for key in both if _moved(earlier[key].val_ppl, later[key].val_ppl)]
    counts = {"before": len(before), "after": len(after), "added": len(later) - len(both)}
    yield Finding("diff-runs", {**counts, "gone": len(earlier) - len(both), "changed": len(changed)})
    if changed:
        labels = tuple(dict.fromkeys(later[key].config for key in changed))
        yield Finding("diff-changed", {"configs": labels, "count": len(changed)}, "warning")
    texts = [{run.data_fingerprint for run in runs} - {None} for runs in (before, after)]
    if all(texts) and texts[0].isdisjoint(texts[1]):
        yield Finding("diff-other-data", {}, "warning")


def _identity(run: Run) -> object:
    return run.run_id or (
        run.study,
        run.kind,
        run.config,
        run.samples,
        run.train_tokens,
        run.seed,
        run.data_seed,
    )


def _moved(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is not second
    return abs(first - second) > SAME * abs(first)


def _rows(before: Context, after: Context) -> Iterator[tuple[Value, ...]]:
    """Configurations that gained or lost runs, or whose figures moved."""
    earlier, later = (
        {group.label: (scope, group) for scope, group in _groups(state)} for state in (before, after)
    )
    for label in dict.fromkeys([*later, *earlier]):
        sides = [
            _figures(*state[label]) if label in state else (Value(0), Value(), Value())
            for state in (earlier, later)
        ]
        if any(_differ(one, other) for one, other in zip(*sides, strict=True)):
            pairs = (value for both in zip(*sides, strict=True) for value in both)
            yield (Value(label), *pairs)


def _groups(state: Context) -> Iterator[tuple[Scope, Group]]:
    yield from ((scope, group) for scope in state.scopes for group in scope.groups)


def _figures(scope: Scope, group: Group) -> tuple[Value, Value, Value]:
    """Finished runs, the slope, the lowest PPL."""
    fit = scope.power(group)
    lowest = min((cell.val_ppl for cell in group.cells if cell.val_ppl), default=None)
    runs = sum(len(cell.runs) for cell in group.cells)
    return Value(runs), Value.of(fit.parameters["alpha"] if fit else None), Value(lowest)


def _differ(one: Value, other: Value) -> bool:
    first, second = one.value, other.value
    if isinstance(first, int | float) and isinstance(second, int | float):
        return _moved(first, second)
    return first != second


def _said(state: Context) -> Iterator[Finding]:
    """What the first page says, but for what was asked and what it does not hold."""
    page = built_sections(state, ("answer",))["answer"]
    for block in page.blocks[1:]:
        if isinstance(block, Statements):
            yield from (item.finding for item in block.items if item.target is not None)
