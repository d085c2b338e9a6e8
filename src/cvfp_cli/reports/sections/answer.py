"""The first page: what was asked, one picture, what the data decide, what they leave open, and what was not expected.

It says nothing of its own: findings of the other sections are chosen by their codes, each with where its figures stand.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil, expm1, floor, log, log10
from typing import Any

from cvfp_cli.reports.hypotheses import data_effect
from cvfp_cli.reports.marks import MOST_NAMES
from cvfp_cli.reports.model import (
    Block,
    Commands,
    Finding,
    Heatmap,
    Location,
    Picture,
    Section,
    Statement,
    Statements,
    Subheading,
    Table,
    Value,
    walked,
)
from cvfp_cli.reports.scaling_chart import scaling_chart
from cvfp_cli.reports.scope import Context, Scope, rank
from cvfp_cli.reports.sections.ablations import said
from cvfp_cli.reports.sections.overview import purpose_of
from cvfp_cli.reports.sections.reproduction import quoted
from cvfp_cli.results.schema import Run
from cvfp_cli.stats.claims import times

MOST = {"decided": 7, "open": 5, "unexpected": 4}
OF_ALL = ("overview", "reproduction", "previous")  # sections about all families at once
ANSWERED = ("answer-supported", "answer-contradicted", "answer-same", "answer-none")
UNEXPECTED = (
    "runs-failed",
    "same-runs-twice",
    "unigram-not-beaten",
    "contexts-grow",
    "no-slope-falls",
    "still-improving",
    "worse-steps",
    "not-converged",
)
HOUR = 3600.0
LEAST_SIZES = 3  # of a study that shows noise to plan by


@dataclass(frozen=True)
class Found:
    """A finding of another section, where it stands, and what row of a table it stands in."""

    finding: Finding
    target: Location
    row: str = ""


def build(context: Context, sections: Sequence[Section]) -> tuple[Block, ...]:
    """The first page, from all that the other sections say.

    Args:
        sections: every other one, whichever of them the report shows.
    """
    found = [item for section in sections for item in _found(section)]
    runs = [run for results in context.results for run in results.runs]
    asked = [item for item in purpose_of(context, runs) if item.code != "runs-failed"]
    asked += _range(runs)
    blocks: list[Block] = [Statements(tuple(Statement(item) for item in asked))]
    blocks += _picture(context, sections)
    shared = [item for item in found if item.target.section in OF_ALL]
    scoped = [
        (scope, [item for item in found if item.target.family == i and item not in shared])
        for i, scope in enumerate(context.scopes)
    ]
    several = len(scoped) > 1
    names = [scope.family.name or "-" if several else None for scope, _ in scoped]
    shorter = {label: name for scope, _ in scoped for label, name in _short_names(scope, several).items()}
    questions = [tuple(_open(scope, own)) for scope, own in scoped]
    parts: dict[str, tuple[Sequence[str | None], Sequence[Iterable[Statement]]]] = {
        "decided": (names, [_decided(scope, own) for scope, own in scoped]),
        "open": (names, questions),
        "unexpected": ([None, *names], [_unexpected(shared), *(_unexpected(own) for _, own in scoped)]),
    }
    for key, (families, of_each) in parts.items():
        most = MOST[key] + (len(scoped) if several else 0)
        told = [
            Statement(_renamed(item.finding, shorter), item.target) for item in _in_turn(families, of_each)
        ]
        command = _next(context, questions[0]) if key == "open" and len(scoped) == 1 else ""
        says = [Statement(Finding("plan-next", {}, "note"))] if command else []
        absent = key if any(run.status == "done" for run in runs) or key == "unexpected" else "finished"
        blocks += [Subheading(f"answer-{key}"), Statements((*told[:most], *_more(absent, told, most), *says))]
        blocks += [Commands((command,))] if command else []
    return tuple(blocks)


def _range(runs: Sequence[Run]) -> list[Finding]:
    """From which size to which, and with how many seeds."""
    ends = []
    for unit in ("samples", "train_tokens"):
        if known := [size for run in runs if (size := getattr(run, unit))]:
            ends.append({"low": min(known), "high": max(known), "unit": unit})
    if not ends:
        return []
    seeds = len({(run.seed, run.data_seed) for run in runs if run.seed is not None})
    if len(ends) == 2 and all(each["low"] < each["high"] for each in ends):
        both = {**ends[0], "fewest": ends[1]["low"], "most": ends[1]["high"]}
        return [Finding("asked-seeds", {**both, "seeds": seeds}) if seeds else Finding("asked-range", both)]
    parts = [Finding("asked-one" if each["low"] == each["high"] else "asked-several", each) for each in ends]
    parts += [Finding("asked-repeats", {"seeds": seeds})] if seeds else []
    return [Finding("asked-parts", {"parts": tuple(parts)})]


def _found(section: Section) -> Iterator[Found]:
    for block, target in walked(section):
        for item in getattr(block, "items", ()):
            yield Found(item, target)
        if isinstance(block, Table):
            for row in block.rows:
                for value in row:
                    if isinstance(value.value, Finding):
                        yield Found(value.value, target, str(row[0].value))


def _in_turn(names: Sequence[str | None], of_each: Sequence[Iterable[Statement]]) -> Iterator[Statement]:
    """The first statement of each family, then the second, with the family's name where there are several."""
    for turn in zip_longest(*of_each):
        for name, item in zip(names, turn, strict=True):
            if item is not None and name is not None:
                values = {"name": name, "statement": item.finding}
                yield Statement(Finding("of-family", values, item.finding.severity), item.target)
            elif item is not None:
                yield item


def _short_names(scope: Scope, several: bool) -> dict[str, str]:
    """The recipe's own names for configurations; without the study, which stands before the statement."""
    suffix = f" ({scope.family.name})" if several else ""
    return {group.label: said(scope, group).removesuffix(suffix) for group in scope.groups}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same finding with other names for configurations."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, tuple):
        return tuple(_renamed(item, names) for item in value)
    if isinstance(value, Finding):
        values = {key: _renamed(item, names) for key, item in value.values.items()}
        return Finding(value.code, values, value.severity)
    return value


def _more(key: str, told: Sequence[Statement], most: int) -> Iterator[Statement]:
    """What the page does not hold, or that there is nothing."""
    if not told:
        yield Statement(Finding(f"nothing-{key}", {}, "note"))
    elif len(told) > most:
        yield Statement(Finding("more-statements", {"count": len(told) - most}, "note"))


def _decided(scope: Scope, found: Sequence[Found]) -> Iterator[Statement]:
    effect = data_effect(scope)
    if effect is not None and effect[0].low is not None and effect[0].high is not None:
        slope, configurations = effect
        change = times(slope, log(2)).map(expm1)
        if (slope.high or 0.0) < 0 or (slope.low or 0.0) > 0:
            values = {"unit": scope.family.x, "change": Value.of(change), "count": configurations}
            values["alpha"] = Value.of(slope)
            yield Statement(Finding("doubling", values), Location("factors", "effects", _family(found)))
    yield from _with_codes(found, ("part-",), where=_answered)
    best = next(
        (item for item in found if item.finding.code == "recommend-ppl" and "absolute" in item.row), None
    )
    worse = _worse(scope, found)
    if best is not None:
        yield Statement(best.finding, Location("summary", "", best.target.family))
    elif worse is not None:
        yield worse
    yield from _hypotheses(found, "supported")
    if best is None and worse is None:
        yield from _with_codes(found, ("equal-levels-rejected",))
    yield from _with_codes(
        found,
        (
            "slope-pairs-differ",
            "recommend-alpha",
            "recommend-large",
            "selection-decided",
            "selection-left",
            "selection-only",
        ),
    )


def _open(scope: Scope, found: Sequence[Found]) -> Iterator[Statement]:
    yield from _with_codes(found, ("part-",), where=lambda finding: not _answered(finding))
    for row, code in (("absolute-performance", "ppl"), ("data-efficiency", "alpha")):
        for item in found:
            if item.row == row and item.finding.code.startswith(f"undecided-{code}-"):
                yield Statement(_with_cost(scope, item.finding), item.target)
    if scope.family.cells and not scope.usable:
        yield Statement(Finding("undecided-alpha-absent"))
    yield from _hypotheses(found, "undecided")
    yield from _with_codes(found, ("selection-undecided", "selection-none"))


def _unexpected(found: Sequence[Found]) -> Iterator[Statement]:
    yield from _hypotheses(found, "contradicted")
    yield from _with_codes(found, UNEXPECTED)


def _with_codes(
    found: Sequence[Found], codes: Iterable[str], where: Callable[[Finding], bool] = lambda _: True
) -> Iterator[Statement]:
    """Findings of these codes in their order, each once; a code that ends in a hyphen stands for all that begin so."""
    for code in codes:
        told: list[Finding] = []
        for item in found:
            same = item.finding.code.startswith(code) if code.endswith("-") else item.finding.code == code
            if same and item.finding not in told and where(item.finding):
                told.append(item.finding)
                yield Statement(item.finding, item.target)


def _answered(finding: Finding) -> bool:
    verdict = finding.values.get("verdict")
    return isinstance(verdict, Finding) and verdict.code in ANSWERED


def _hypotheses(found: Sequence[Found], verdict: str) -> Iterator[Statement]:
    """What the studies hold, as far as the test has this verdict; the effects stand in their own table."""
    for item in found:
        code = item.finding.code
        if code.startswith("hypothesis-") and code.endswith(f"-{verdict}"):
            yield Statement(item.finding, Location(item.target.section, "effects", item.target.family))


def _worse(scope: Scope, found: Sequence[Found]) -> Statement | None:
    """Which configurations are told from the lowest PPL, where that is not told from all."""
    ranking = rank(scope, scope.family.largest, "val_ppl")
    worse = tuple(group.label for group in ranking.groups if not ranking.mark_of(group))
    if ranking.noise is None or ranking.best is None or not worse:
        return None
    values = {
        "size": scope.family.largest,
        "unit": scope.family.size_kind,
        "of": len(ranking.groups),
        "configs": worse,
        "config": ranking.groups[ranking.best].label,
        "value": ranking.cells[ranking.best].val_ppl,
        "count": len(worse),
    }
    code = "worse-than-best" if len(worse) <= MOST_NAMES else "worse-than-best-many"
    return Statement(Finding(code, values), Location("summary", "", _family(found)))


def _family(found: Sequence[Found]) -> int:
    return next((item.target.family for item in found), 0)


def _with_cost(scope: Scope, finding: Finding) -> Finding:
    """The open question in few words, with what its answer would cost by the times of these runs."""
    needed, tied = finding.values.get("needed"), finding.values.get("tied")
    if not isinstance(needed, Finding) or not isinstance(tied, tuple):
        return finding
    code = finding.code.replace("undecided-", "open-").removesuffix("-tied")
    return Finding(code, {**finding.values, "cost": _cost(scope, needed.values.get("seeds"), tied)})


def _cost(scope: Scope, seeds: object, tied: Sequence[str]) -> Finding:
    """Of as many seeds in every cell of those that tie; nothing where no number of seeds decides."""
    cells = [cell for group in scope.groups if group.label in tied for cell in group.cells]
    if not isinstance(seeds, int) or not cells:
        return Finding("cost-none")
    more = [max(0, seeds - len(cell.runs)) for cell in cells]
    values: dict[str, object] = {"runs": sum(more), "configurations": len(tied)}
    known = [cell.seconds for cell in cells]
    if any(seconds is None for seconds in known):
        return Finding("cost-runs", values)
    seconds = sum(count * (each or 0.0) for count, each in zip(more, known, strict=True))
    unit = "hours" if seconds >= HOUR else "minutes" if seconds >= 60.0 else "seconds"
    return Finding(f"cost-{unit}", {**values, "seconds": seconds})


def _next(context: Context, questions: Sequence[Statement]) -> str:
    """The command that says what to run next, for the first question about the best, at what its answer costs.

    Empty where nothing is asked, or too little is there to plan by.
    """
    scope = context.scopes[0]
    asked = [item.finding for item in questions if item.finding.code in ("open-ppl", "open-alpha")]
    if not asked or len(scope.family.sizes) < LEAST_SIZES:
        return ""
    best = str(asked[0].values["config"])
    others = [label for label in asked[0].values["tied"] if label != best]
    words = ["cvfp plan", *map(quoted, context.names)]
    told_apart = not any(letter in name for name in (best, *others[:1]) for letter in ",@")
    seen = [len(group.cells) for group in scope.groups if group.label in (best, *others[:1])]
    if asked[0].code == "open-ppl" and others and told_apart and min(seen) >= LEAST_SIZES:
        words += ["--goal", quoted(f"difference:{best},{others[0]}")]
    cost = asked[0].values["cost"].values
    cells = scope.family.cells
    seconds = cost.get("seconds") or sum((cell.seconds or 0.0) * len(cell.runs) for cell in cells)
    tokens = sum((cell.train_tokens or 0.0) * len(cell.runs) for cell in cells)
    if not seconds and not tokens:
        return ""
    words.append(f"--budget-seconds {_round(seconds)}" if seconds else f"--budget-tokens {_round(tokens)}")
    return " ".join(words)


def _round(value: float) -> int:
    """Upwards, to two digits."""
    step = int(10 ** max(0, floor(log10(value)) - 1))
    return ceil(value / step) * step


def _picture(context: Context, sections: Sequence[Section]) -> list[Block]:
    """PPL over the sizes of the family with the most cells; in text the box of its best PPL."""
    if not context.scopes:
        return []
    at = max(range(len(context.scopes)), key=lambda i: len(context.scopes[i].family.cells))
    scope = context.scopes[at]
    chart = scaling_chart([(scope, group) for group in scope.groups])
    heatmaps = (
        block
        for section in sections
        if section.key == "heatmaps"
        for block, target in walked(section)
        if isinstance(block, Heatmap) and block.key == "best_ppl" and target.family == at
    )
    box = next(heatmaps, None)
    return [Picture(chart, box)] if chart is not None or box is not None else []
