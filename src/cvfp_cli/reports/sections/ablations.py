"""What each part is worth: with and without the context, phase 1 and separate phases, against counting, by setting."""

from math import expm1, log1p

from cvfp_cli.reports.hypotheses import MARGIN, claims_of, with_part
from cvfp_cli.reports.model import Block, Column, Finding, Findings, Table, Value
from cvfp_cli.reports.scope import Scope
from cvfp_cli.stats.estimate import Estimate
from cvfp_cli.stats.paired import ArmsCompared
from cvfp_cli.study.families import Group

ASKED = ("context", "phase1", "phases", "ngram")
MOST_SIZES = 3  # in one sentence


def build(scope: Scope) -> tuple[Block, ...] | Finding:
    """The answers, and a row for every two configurations that differ in one respect."""
    if not scope.arms:
        return Finding("ablations-none", {}, "note")
    sizes = sorted({size for item in scope.arms for size in item.sizes})
    columns = (
        Column("ablation", "finding"),
        Column("base"),
        Column("against"),
        Column("mean_change", "change"),
        *(Column("change_at", "change", {"size": size, "unit": scope.family.size_kind}) for size in sizes),
    )
    rows = []
    for item in scope.arms:
        at = dict(zip(item.sizes, item.changes, strict=True))
        names = (Value(called(scope, group)) for group in (item.arms.base, item.arms.other))
        changes = (_change(at[size]) if size in at else Value() for size in sizes)
        rows.append((Value(_differing(item)), *names, _change(item.mean), *changes))
    notes = [Finding("ablations-method", {"level": scope.level}, "note")]
    if any(item.over == "sizes" for item in scope.arms):
        notes.append(Finding("ablations-over-sizes", {}, "note"))
    notes += _unfair(scope)
    notes += _besides(scope)
    found = answers(scope)
    blocks: list[Block] = [Findings(found)] if found else []
    return (*blocks, Table("ablations", columns, tuple(rows), tuple(notes)))


def answers(scope: Scope) -> tuple[Finding, ...]:
    """Does the context help, does phase 1, do separate phases cost, is any of it better than counting: what can be told."""
    found = []
    for part in ASKED:
        arms = with_part(scope, part)
        if part == "ngram":
            arms = sorted(arms, key=lambda item: item.mean.known)
        if arms:
            found.append(_answer(scope, part, arms))
        elif unfair := next((item for item in scope.arms if item.arms.part == part), None):
            found.append(Finding(f"part-{part}-{unfair.arms.unfair}", _names(scope, unfair), "warning"))
    return tuple(found)


def verdict_of(scope: Scope, part: str, item: ArmsCompared) -> str:
    """``supported``, ``contradicted``, ``undecided`` or ``untested``, or ``same`` where a difference is ruled out."""
    verdict = claims_of(scope)[part].verdict(scope.level)
    low, high, ends = item.mean.low, item.mean.high, (log1p(-MARGIN), log1p(MARGIN))
    if verdict == "undecided" and low is not None and high is not None and ends[0] < low and high < ends[1]:
        return "same"
    return verdict


def called(scope: Scope, group: Group) -> str:
    """The recipe's own name for a configuration, unless several have it."""
    names = [each.alias for each in scope.groups]
    return group.alias if group.alias and names.count(group.alias) == 1 else group.label


def said(scope: Scope, group: Group) -> str:
    """The same within a sentence, where a name with a comma needs quotes."""
    name = called(scope, group)
    return f'"{name}"' if "," in name else name


def _answer(scope: Scope, part: str, arms: list[ArmsCompared]) -> Finding:
    first = arms[0]
    shown = list(zip(first.sizes, first.changes, strict=True))
    if len(shown) > MOST_SIZES:
        shown = [shown[0], shown[-1]]
    at = [
        Finding("change-at", {"change": _change(change), "size": size, "unit": scope.family.size_kind})
        for size, change in shown
    ]
    verdict = verdict_of(scope, part, first)
    if part == "ngram" and verdict == "contradicted":
        verdict = "none"
    told = (first.mean.low or 0.0) > 0 or (first.mean.high or 0.0) < 0
    if verdict == "undecided" and told:
        verdict = "corrected"
    values: dict[str, object] = {
        **_names(scope, first),
        "verdict": Finding(f"answer-{verdict}", {"margin": MARGIN, "p": claims_of(scope)[part].adjusted}),
        "change": _change(first.mean),
        "over": Finding(f"over-{first.over or 'nothing'}", {"count": first.repeats}),
        "sizes": tuple(at),
        "count": len(arms),
    }
    several = "-sizes" if len(at) > 1 else ""
    return Finding(f"part-{part}{several}", values)


def _names(scope: Scope, item: ArmsCompared) -> dict[str, object]:
    return {"base": said(scope, item.arms.base), "other": said(scope, item.arms.other)}


def _change(change: Estimate) -> Value:
    return Value.of(change.map(expm1)) if change.value is not None else Value()


def _differing(item: ArmsCompared) -> Finding:
    if item.arms.part != "setting":
        return Finding(f"ablation-{item.arms.part}")
    return Finding("ablation-setting", {"key": item.arms.key, "value": str(item.arms.value).lower() or '""'})


def _unfair(scope: Scope) -> list[Finding]:
    """Rows that say nothing of phase 1, by the reason."""
    found = []
    for reason in dict.fromkeys(item.arms.unfair for item in scope.arms if item.arms.unfair):
        names = [_names(scope, item) for item in scope.arms if item.arms.unfair == reason]
        pairs = tuple(f"{each['other']} / {each['base']}" for each in names)
        found.append(Finding(f"ablations-{reason}", {"pairs": pairs}, "warning"))
    return found


def _besides(scope: Scope) -> list[Finding]:
    """Two ways of training that differ in more than the phases."""
    return [
        Finding("ablations-besides", {**_names(scope, item), "keys": item.arms.besides}, "warning")
        for item in scope.arms
        if item.arms.besides
    ]
