"""The comparison with an earlier study (``--previous``): the same figures side by side, paired where they can be."""

from dataclasses import replace

from cvfp_cli.reports.comparability import differences
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Table, Value
from cvfp_cli.reports.scope import Context, Scope
from cvfp_cli.reports.sections.summary import filled
from cvfp_cli.results.reader import Results
from cvfp_cli.stats.comparison import common_sizes, compare_pairs
from cvfp_cli.study.families import Group


def build(context: Context) -> tuple[Block, ...]:
    """A row a configuration of both studies, and each earlier one against the lowest PPL of this study."""
    assert context.previous_results is not None
    count = {"file": context.previous_name, "runs": len(context.previous_results.runs)}
    rows = [_row(scope, group, "no") for scope in context.scopes for group in scope.groups]
    rows += [_row(scope, group, "yes") for scope in context.previous for group in scope.groups]
    columns = [
        Column("config"),
        Column("previous", "term"),
        Column("study"),
        Column("layers", "int"),
        Column("context_dim", "int"),
        Column("tokens", "int"),
        Column("alpha", "alpha"),
        Column("best_ppl", "ppl"),
    ]
    table: Table = filled("previous", columns, rows)
    blocks: list[Block] = [Findings((Finding("previous-results", count),)), table]
    items: list[Finding] = []
    for scope in context.scopes:
        best = _lowest(scope)
        for earlier in context.previous:
            for group in earlier.groups:
                if best is not None and earlier.family.usable(group):
                    items += _against(scope, best, earlier, group, context)
    warned = [item for item in items if item.severity == "warning"]
    told = [item for item in items if item.severity != "warning"]
    if items:
        blocks.append(Findings((*warned, *told)))
    return tuple(blocks)


def _row(scope: Scope, group: Group, previous: str) -> dict[str, Value]:
    fit = scope.power(group)
    best = min((cell.val_ppl for cell in group.cells if cell.val_ppl), default=None)
    return {
        "config": Value(group.label),
        "previous": Value(previous),
        "study": Value(group.study or None),
        "layers": Value(group.layers),
        "context_dim": Value(group.context_dim),
        "tokens": Value(group.tokens),
        "alpha": Value.of(fit.parameters["alpha"] if fit else None),
        "best_ppl": Value(best),
    }


def _lowest(scope: Scope) -> Group | None:
    """The configuration with the lowest PPL at the largest size."""
    here = [
        (cell.val_ppl, group)
        for group, cell in scope.at(scope.family.largest)
        if cell.val_ppl and scope.family.usable(group)
    ]
    return min(here, key=lambda item: item[0])[1] if here else None


def _against(scope: Scope, group: Group, earlier: Scope, other: Group, context: Context) -> list[Finding]:
    """One earlier configuration against one of this study, over the sizes that both have."""
    first, second = earlier.curves[other.label], scope.curves[group.label]
    file = _file_of(group, context)
    # A name that both studies have would leave open which of the two is meant.
    ours = {item.label for part in context.scopes for item in part.groups}
    theirs = {item.label for part in context.previous for item in part.groups}
    here, there = group.label, other.label
    if here in theirs or there in ours:
        here, there = _told_apart(group, other, _name_of(file, context), context.previous_name)
    group, other = replace(group, label=here), replace(other, label=there)
    files: dict[str, Results] = {group.label: file}
    if context.previous_results is not None:
        files[other.label] = context.previous_results
    warnings = list(differences(other, group, files))
    names: dict[str, object] = {"config": group.label, "previous": other.label}
    if any(warning.code in ("data-differ", "tokenizer-differ", "validation-differ") for warning in warnings):
        return warnings
    sizes = common_sizes(first, second)
    if not sizes:
        return [*warnings, Finding("previous-no-common-size", names)]
    ratio = compare_pairs([first, second], level=scope.level)[0].ratio
    change = Value.of(ratio.map(lambda value: value - 1))
    verdict = "undecided"
    if ratio.low is not None and ratio.high is not None:
        verdict = "lower" if ratio.high < 1 else "higher" if ratio.low > 1 else "undecided"
    return [*warnings, Finding(f"previous-{verdict}", {**names, "change": change, "sizes": len(sizes)})]


def _told_apart(group: Group, other: Group, file: str, earlier_file: str) -> tuple[str, str]:
    """The two labels with their studies, and where these are one, with their files."""
    if group.study and other.study and group.study != other.study:
        return f"{group.label} ({group.study})", f"{other.label} ({other.study})"
    here, there = (file, earlier_file) if file != earlier_file else (file, f"--previous {earlier_file}")
    return f"{group.label} ({here})", f"{other.label} ({there})"


def _file_of(group: Group, context: Context) -> Results:
    """The file that a group's runs came from."""
    for results in context.results:
        if any(run is group.runs[0] for run in results.runs):
            return results
    return context.results[0]


def _name_of(file: Results, context: Context) -> str:
    """The path of a file as the user gave it."""
    return next(name for name, item in zip(context.names, context.results, strict=True) if item is file)
