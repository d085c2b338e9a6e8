"""Part of section 7: alpha by data range, where several studies meet, and what else differs between them."""

from cvfp_cli.reports.model import Block, Column, Finding, Findings, Subheading, Table, Value
from cvfp_cli.reports.scope import Context
from cvfp_cli.study.families import varying


def by_data_range(context: Context) -> tuple[Block, ...]:
    """Alpha over the studies' data ranges: only with several families, and with what else differs between them."""
    rows, ends = [], []
    groups = [group for scope in context.scopes for group in scope.groups]
    if len(context.scopes) < 2:
        return ()
    for scope in context.scopes:
        for group in scope.groups:
            fit = scope.power(group)
            if fit is None or scope.family.x != "train_tokens":
                continue
            low, high = min(point.x for point in fit.fitted), max(point.x for point in fit.fitted)
            ends.append((low, high))
            rows.append(
                (
                    Value(group.label),
                    Value(scope.family.name or None),
                    Value(low),
                    Value(high),
                    Value(fit.points),
                    Value.of(fit.parameters["alpha"]),
                )
            )
    if len(set(ends)) < 2:
        return ()
    confounds = varying(groups)
    if len({group.study for group in groups}) > 1:
        confounds += ("study",)
    columns = (
        Column("config"),
        Column("study"),
        Column("from_n", "int", {"unit": "train_tokens"}),
        Column("to_n", "int", {"unit": "train_tokens"}),
        Column("points", "int"),
        Column("alpha", "alpha"),
    )
    return (
        Subheading("data-ranges"),
        Table("data-ranges", columns, tuple(rows)),
        Findings((Finding("data-ranges-confounded", {"factors": confounds}, "warning"),)),
    )
