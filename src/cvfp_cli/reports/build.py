"""From results to a report: gather, fit, build every section that was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.model import FAMILY, Block, Finding, Findings, Report, Section, Subheading
from cvfp_cli.reports.scope import Context, Scope, fit_family
from cvfp_cli.reports.sections import (
    ablations,
    answer,
    data_ranges,
    details,
    expressiveness,
    factors,
    heatmaps,
    laws,
    overview,
    previous,
    recommendations,
    reproduction,
    summary,
    surfaces,
)
from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import Run
from cvfp_cli.stats.paired import compare_arms
from cvfp_cli.study.arms import arms_of
from cvfp_cli.study.families import families_of

BY_SCOPE: dict[str, Callable[[Scope], tuple[Block, ...] | Finding]] = {
    "summary": summary.build,
    "ablations": ablations.build,
    "heatmaps": heatmaps.build,
    "surfaces": surfaces.build,
    "details": details.build,
    "expressiveness": expressiveness.build,
    "laws": laws.build,
    "factors": factors.build,
    "recommendations": recommendations.build,
}
SECTIONS = (
    "answer",
    "summary",
    "ablations",
    "recommendations",
    "heatmaps",
    "factors",
    "laws",
    "surfaces",
    "expressiveness",
    "details",
    "previous",
    "overview",
    "reproduction",
)
"""Every section in its order; ``previous`` only appears with an earlier study."""
SHORT = ("answer", "summary", "ablations", "previous")
SHORT_FAMILIES = 2  # of so many sets of data a short report has tables
APPENDICES = ("overview", "reproduction")


def build_report(
    results: Sequence[Results],
    *,
    names: Sequence[str],
    command: str,
    laws_fitted: Sequence[str] = (MAIN,),
    sections: Sequence[str] = SECTIONS,
    title: str | None = None,
    level: float = 0.95,
    earlier: Results | None = None,
    earlier_name: str = "",
    short: bool = False,
) -> Report:
    """Build the report.

    Args:
        results: what was read. names: the paths as the user gave them.
        command: the command line that makes this report, for its section on reproduction.
        laws_fitted: laws to fit, as ``fit_family`` takes them. sections: which to build, in any order.
        earlier: the results of ``--previous``.
        short: one or two pages, whichever ``sections`` are named.
    """
    context = gathered(
        results,
        names=names,
        command=command,
        laws_fitted=laws_fitted,
        level=level,
        earlier=earlier,
        earlier_name=earlier_name,
    )
    if short:
        sections = SHORT if len(context.scopes) <= SHORT_FAMILIES else ("answer", "previous")
    built = built_sections(context, sections).values()
    shown = (section for section in built if section.key in sections and not (short and section.omitted))
    return Report(title, {"study": study_name(context)}, tuple(shown))


def gathered(
    results: Sequence[Results],
    *,
    names: Sequence[str],
    command: str,
    laws_fitted: Sequence[str] = (MAIN,),
    level: float = 0.95,
    earlier: Results | None = None,
    earlier_name: str = "",
) -> Context:
    """What a report is built from, as ``build_report`` takes it: every run once, in families with their fits."""
    distinct, repeated = once(results)
    notes = (Finding("same-runs-twice", {"count": repeated}, "warning"),) if repeated else ()
    scopes = scopes_of(distinct, names, laws_fitted, level)
    return Context(
        tuple(distinct),
        scopes,
        level,
        tuple(dict.fromkeys(law for scope in scopes for law in scope.laws)),
        tuple(names),
        command,
        scopes_of([earlier], [earlier_name], laws_fitted, level) if earlier is not None else (),
        earlier_name,
        earlier,
        notes,
    )


def built_sections(context: Context, sections: Sequence[str]) -> dict[str, Section]:
    """These sections in their order, and all others too where the first page is among them, which tells what they find."""
    there = [key for key in SECTIONS if key != "previous" or context.previous_results is not None]
    built = {
        key: _section(key, context)
        for key in there
        if key != "answer" and (key in sections or "answer" in sections)
    }
    if "answer" not in sections:
        return built
    return {"answer": Section("answer", answer.build(context, tuple(built.values()))), **built}


def study_name(context: Context) -> str:
    """The studies' names, or else the files'."""
    studies = dict.fromkeys(run.study for item in context.results for run in item.runs if run.study)
    return ", ".join(studies) or ", ".join(context.names)


def scopes_of(
    results: Sequence[Results], names: Sequence[str], laws_fitted: Sequence[str], level: float
) -> tuple[Scope, ...]:
    """One scope a family of comparable runs."""
    scopes = []
    for family in families_of(results, names):
        compared = [compare_arms(arms, level) for arms in arms_of(family, results)]
        scope = fit_family(family, laws_fitted, level)
        scopes.append(replace(scope, arms=tuple(arms for arms in compared if arms is not None)))
    return tuple(scopes)


def once(results: Sequence[Results]) -> tuple[list[Results], int]:
    """The same results with every run counted once, and how many were there again."""
    seen: set[str] = set()
    repeated = 0
    distinct = []
    for item in results:
        kept: list[Run] = []
        for run in item.runs:
            if run.run_id and run.run_id in seen:
                repeated += 1
                continue
            seen.add(run.run_id)
            kept.append(run)
        distinct.append(replace(item, runs=tuple(kept)))
    return distinct, repeated


def _section(key: str, context: Context) -> Section:
    of_all = {"overview": overview.build, "previous": previous.build, "reproduction": reproduction.build}
    if key in of_all:
        return Section(key, of_all[key](context), appendix=key in APPENDICES)
    built = [(scope, BY_SCOPE[key](scope)) for scope in context.scopes]
    several = len(built) > 1
    blocks: list[Block] = []
    reasons: list[Finding] = []
    for number, (scope, part) in enumerate(built):
        if isinstance(part, Finding):
            reasons.append(
                Finding("family-reason", {"name": scope.family.name, "reason": part}) if several else part
            )
            continue
        if several:
            blocks.append(Subheading(FAMILY, {"name": scope.family.name or "-", "number": number}))
        blocks += part
    if key == "laws":
        blocks += data_ranges.by_data_range(context)
    if not blocks:
        return Section(key, (), reasons[0] if reasons else Finding("no-finished-runs", {}, "warning"))
    if reasons:
        blocks.append(Findings(tuple(reasons)))
    return Section(key, tuple(blocks))
