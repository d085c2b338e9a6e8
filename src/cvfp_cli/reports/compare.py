"""``cvfp compare`` as data: configurations side by side, then every pair of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.build import once
from cvfp_cli.reports.comparability import differences, summed
from cvfp_cli.reports.model import Block, Finding, Findings, Report, Section, Subheading
from cvfp_cli.reports.pairs import pair_blocks
from cvfp_cli.reports.scope import Scope, fit_family
from cvfp_cli.reports.sections import summary
from cvfp_cli.reports.sections.equal_lines import lines_tested
from cvfp_cli.reports.sections.overview import unfinished
from cvfp_cli.results.reader import Results
from cvfp_cli.spelling import advice
from cvfp_cli.stats.comparison import MARGIN, Pair, after_joint, compare_pairs, corrected
from cvfp_cli.study.families import Family, Group, families_of

MOST_PAIRS = 5000
APART = ("tokenizer-differ", "validation-differ")  # PPL of such pairs is not set against each other


@dataclass(frozen=True)
class Side:
    """One configuration, the scope it belongs to, and the file it was read from."""

    scope: Scope
    group: Group
    file: Results


@dataclass(frozen=True)
class Compared:
    """One pair: the test of its lines (None where PPL does not compare) and what keeps the two apart."""

    first: Side
    second: Side
    pair: Pair | None
    warnings: tuple[Finding, ...]


def build_comparison(
    results: Sequence[Results],
    *,
    names: Sequence[str],
    configs: Sequence[str] = (),
    by: str | None = None,
    law: str | None = None,
    objective: str = "log",
    x: str | None = None,
    level: float = 0.95,
    margin: float = MARGIN,
) -> tuple[Report, tuple[Finding, ...]]:
    """Compare configurations within a file or across files.

    Args:
        results: what was read. names: the paths as the user gave them.
        configs: labels, configurations or the recipe's own names to compare; all where empty.
        by: compare only pairs that differ in this factor and in no other.
        law: also compare the parameters of this law, fitted by ``objective``.
        margin: the share of PPL within which two configurations are called equal.
        x: ``train_tokens`` or ``samples``; by default training tokens where all runs have them.

    Returns:
        the comparison, and the warnings that ``--strict`` refuses.

    Raises:
        InputError: a name in ``configs`` that is not there, or no pair to compare.
    """
    distinct, _ = once(results)
    families = [_with_x(family, x) for family in families_of(distinct, names)]
    chosen = _pick(families, configs)
    scopes = [fit_family(family, (MAIN,), level) for family in chosen]
    sides = [Side(scope, group, _file_of(group, distinct)) for scope in scopes for group in scope.groups]
    sections = [Section("configurations", (*_unfinished(distinct), *_configurations(scopes)))]
    warnings: tuple[Finding, ...] = ()
    if len(sides) < 2:
        sections.append(Section("pairs", (), Finding("pairs-one-configuration", {}, "note")))
    else:
        pairs = _compared(sides, by, level, margin)
        if not pairs:
            raise InputError(
                f"--by {by}: no two of these configurations differ in {by} alone.",
                hint="Leave --by out, or name other --configs.",
            )
        warnings = tuple({str(item): item for pair in pairs for item in pair.warnings}.values())
        blocks: list[Block] = [Findings(warnings)] if warnings else []
        sections.append(Section("pairs", (*blocks, *pair_blocks(pairs, law, objective, level, margin))))
    studies = dict.fromkeys(side.group.study for side in sides if side.group.study)
    title = {"study": ", ".join(studies) or ", ".join(names)}
    return Report(None, title, tuple(sections), "comparison"), warnings


def with_summed_warnings(report: Report) -> Report:
    """A comparison or report as people read it: warnings about many pairs in a line a kind. JSON keeps one a pair."""
    sections = tuple(
        replace(section, blocks=tuple(_summed(block) for block in section.blocks))
        for section in report.sections
    )
    return replace(report, sections=sections)


def _summed(block: Block) -> Block:
    return Findings(summed(block.items)) if isinstance(block, Findings) else block


def _with_x(family: Family, x: str | None) -> Family:
    if x is None or x == family.x:
        return family
    known = all(getattr(run, x) for group in family.groups for cell in group.cells for run in cell.runs)
    if not known:
        raise InputError(f"--x {x}: not every finished run has it.", hint=f"Use --x {family.x}.")
    return replace(family, x=x)


def _pick(families: Sequence[Family], configs: Sequence[str]) -> list[Family]:
    """The families with the groups that were asked for; a name takes every group that bears it."""
    names = {
        name: None
        for family in families
        for group in family.groups
        for name in (group.label, group.config, group.alias)
        if name
    }
    for config in configs:
        if config not in names:
            shown = ascii(config)[1:-1][:60]
            hint = advice(config, names, cutoff=0.5, most=20)
            raise InputError(f"--configs: no configuration '{shown}'.", hint=hint)
    picked = []
    for family in families:
        groups = [
            group
            for group in family.groups
            if family.usable(group)
            and (not configs or {group.label, group.config, group.alias} & set(configs))
        ]
        if groups:
            picked.append(replace(family, groups=tuple(groups)))
    if not picked:
        raise InputError("No finished run with a validation PPL to compare.")
    return picked


def _file_of(group: Group, results: Sequence[Results]) -> Results:
    return next(item for item in results if any(run is group.runs[0] for run in item.runs))


def _unfinished(results: Sequence[Results]) -> tuple[Block, ...]:
    """How many runs did not finish, which no table shows."""
    found = unfinished(run for one in results for run in one.runs)
    return (Findings(found),) if found else ()


def _configurations(scopes: Sequence[Scope]) -> tuple[Block, ...]:
    """The table of configurations, a family at a time, and whether their lines differ."""
    blocks: list[Block] = []
    wide = len({group.context_dim for scope in scopes for group in scope.groups}) > 1
    for number, scope in enumerate(scopes, start=1):
        built = summary.build(scope, context_dim=wide)
        if isinstance(built, Finding):
            continue
        if len(scopes) > 1:
            blocks.append(Subheading("family", {"name": scope.family.name or "-", "number": number}))
        blocks += [*built, *lines_tested(scope, margin=None)]
    return tuple(blocks)


def _compared(sides: Sequence[Side], by: str | None, level: float, margin: float) -> list[Compared]:
    """Every pair that was asked for, with Holm's correction over all of them."""
    chosen = [
        pair for pair in combinations(sides, 2) if by is None or _differ_in(pair[0].group, pair[1].group, by)
    ]
    if len(chosen) > MOST_PAIRS:
        raise InputError(
            f"{len(chosen):,} pairs are too many to compare (the most is {MOST_PAIRS:,}).",
            hint="Name some with --configs, or use --by.",
        )
    found = []
    for first, second in chosen:
        files = {first.group.label: first.file, second.group.label: second.file}
        warnings = differences(first.group, second.group, files)
        codes = {warning.code for warning in warnings}
        pair = None
        if not codes & set(APART):
            curves = [side.scope.curves[side.group.label] for side in (first, second)]
            same = first.scope is second.scope
            joint = first.scope.pair_variance if same else None
            apart = "data-differ" in codes
            pair = compare_pairs(curves, joint, level=level, margin=margin, independent=apart)[0]
        found.append(Compared(first, second, pair, warnings))
    adjusted = iter(corrected([item.pair for item in found if item.pair]))
    return [
        replace(item, pair=_as_in_its_study(item, next(adjusted))) if item.pair else item for item in found
    ]


def _as_in_its_study(item: Compared, pair: Pair) -> Pair:
    """Two of one study differ no more surely than all of it do together, as in its report."""
    scope = item.first.scope
    return after_joint([pair], scope.unequal)[0] if scope is item.second.scope else pair


def factors_of(results: Sequence[Results]) -> list[str]:
    """What pairs of these runs can differ in alone: every axis, and what goes with them."""
    axes = dict.fromkeys(name for item in results for run in item.runs for name in run.axes)
    return list(dict.fromkeys((*axes, "token_input", "kind", "study")))


def _differ_in(first: Group, second: Group, factor: str) -> bool:
    """Whether two groups differ in this factor and in no other."""
    if first.factor(factor) == second.factor(factor):
        return False
    if factor == "kind":  # other kinds have other axes
        return all(first.factor(name) == second.factor(name) for name in first.axes if name in second.axes)
    others = [name for name in {**first.factors, **second.factors} if name != factor]
    return all(first.factor(name) == second.factor(name) for name in others)
