"""The first page: what it chooses, that its links lead to headings, and what each part of a model is worth."""

import math
import random
import re
import shlex
import unicodedata
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from markdown_it import MarkdownIt
from report_cases import (
    LANGUAGES,
    MATRIX,
    PUBLISHED,
    findings,
    full_summary,
    html,
    markdown,
    published,
    report,
    results,
    simulated,
    table,
    with_failures,
)

from cvfp_cli.reports.build import SECTIONS
from cvfp_cli.reports.diff import build_difference
from cvfp_cli.reports.marks import tied_finding
from cvfp_cli.reports.model import Commands, Finding, Report, Statement, Statements, Subheading
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Run, Seconds
from cvfp_cli.scaling.narrowing import parse_goal

pytestmark = pytest.mark.pinned_only("the project's own text; tests/stats/test_paired.py holds the figures")

SEEDS = (1, 2, 3)
# By the recipe's name: settings, kind, and by how much ln PPL lies above the base.
ARMS: dict[str, tuple[dict[str, Any], str, float]] = {
    "base": ({"phase1.skip": False, "phase2.context": "after"}, "cvfp", 0.0),
    "no phase 1": ({"phase1.skip": True, "phase2.context": "after"}, "cvfp", 0.06),
    "no context": ({"phase1.skip": True, "phase2.context": "zero"}, "cvfp", 0.2),
    "together": ({}, "end-to-end", -0.1),
    "5gram": ({}, "ngram", -0.3),
}


def ablation(seeds: tuple[int, ...] = SEEDS, contexts: str = "recurrence", **shifts: float) -> Report:
    """A study of every arm at two sizes; ``shifts`` replace those of ``ARMS``."""
    source = random.Random(5)
    runs = []
    for name, (settings, kind, shift) in ARMS.items():
        for samples in (50, 100):
            for seed in seeds:
                level = 11 - 0.5 * math.log(samples * 1200) + shifts.get(name.replace(" ", "_"), shift)
                axes = {"layers": 1, "context_dim": 64, "tokens": 1} if kind != "ngram" else {}
                runs.append(
                    Run(
                        f"{name} of 1L",
                        *(axes.get(axis) for axis in ("layers", "context_dim", "tokens")),
                        samples=samples,
                        train_tokens=samples * 1200,
                        label=name,
                        kind=kind,
                        axes={**axes, **settings},
                        seed=seed,
                        study="parts",
                        data_fingerprint="x",
                        val_ppl=math.exp(level + (source.gauss(0, 0.003) if kind != "ngram" else 0.0)),
                    )
                )
    recipe = {"name": "parts", "overrides": {}, "resolved": {"phase2": {"train_contexts": contexts}}}
    return report(results(runs, recipe=recipe))


def page(made: Report) -> dict[str, list[Statement]]:
    """The statements of the first page under each of its headings."""
    found: dict[str, list[Statement]] = {}
    key = "asked"
    for block in made.sections[0].blocks:
        if isinstance(block, Subheading):
            key = block.key.removeprefix("answer-")
        elif isinstance(block, Statements):
            found[key] = list(block.items)
    return found


def codes(made: Report, part: str) -> list[str]:
    return [item.finding.code for item in page(made)[part]]


def verdict(made: Report, part: str) -> str:
    found = findings(made)
    finding = found.get(f"part-{part}-sizes") or found[f"part-{part}"]
    return finding.values["verdict"].code


def test_the_four_questions_are_answered_before_anything_else() -> None:
    made = ablation()
    assert {part: verdict(made, part) for part in ("context", "phase1", "phases")} == dict.fromkeys(
        ("context", "phase1", "phases"), "answer-supported"
    )
    assert verdict(made, "ngram") == "answer-none"
    assert codes(made, "decided")[:4] == [
        f"part-{part}-sizes" for part in ("context", "phase1", "phases", "ngram")
    ]
    rows = {(row["base"].value, row["against"].value): row for row in table(made, "ablations")}
    change = rows["base", "no context"]["mean_change"]
    assert change.value == pytest.approx(math.expm1(0.2), abs=0.01)
    assert change.low < change.value < change.high


@pytest.mark.parametrize(
    ("part", "shifts", "expected"),
    [
        ("context", {"no_context": -0.1}, "answer-contradicted"),
        ("context", {"no_context": 0.0}, "answer-same"),
        ("phase1", {"no_phase_1": -0.1}, "answer-contradicted"),
        ("phases", {"together": 0.1}, "answer-contradicted"),
        ("ngram", {"5gram": 0.5}, "answer-supported"),
    ],
)
def test_each_answer_follows_its_figures(part: str, shifts: dict[str, float], expected: str) -> None:
    made = ablation(**shifts)
    assert verdict(made, part) == expected
    for language in LANGUAGES:
        words = load_language(language)
        assert words.findings[expected].partition("{")[0] in markdown(made, language)


def test_one_seed_decides_nothing_and_says_so() -> None:
    made = ablation(seeds=(1,))
    assert verdict(made, "context") == "answer-untested"
    assert "part-context-sizes" in codes(made, "open")
    assert not any(row["mean_change"].bounded for row in table(made, "ablations"))


def test_an_untrained_block_is_not_judged_against_contexts_of_phase_1() -> None:
    made = ablation(contexts="phase1")
    assert "part-phase1-train-contexts" in codes(made, "open")
    assert "ablations-train-contexts" in findings(made)
    assert "part-phase1-sizes" not in findings(made)


def slug(heading: str) -> str:
    """GitHub's rule, by Unicode categories: letters, marks, numbers, hyphens and underscores stay."""
    kept = (c for c in heading.lower() if unicodedata.category(c)[0] in "LMN" or c in "-_ ")
    return "".join(kept).replace(" ", "-")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", ["one", "two families"])
def test_every_statement_leads_to_its_table(language: str, study: str) -> None:
    files = (
        [published(MATRIX)] if study == "one" else [published(MATRIX), published("2025-12-03-context-dim")]
    )
    made = report(*files)
    text = markdown(made, language)
    anchors: dict[str, int] = {}
    there = set()
    tokens = MarkdownIt("gfm-like").parse(text)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            words = "".join(c.content for c in following.children or [] if c.type in ("text", "text_special"))
            name = slug(words)
            there.add(f"{name}-{anchors[name]}" if name in anchors else name)
            anchors[name] = anchors.get(name, 0) + 1
    linked = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(linked) >= 6
    assert set(linked) <= there
    shown = html(made, language)
    targets = re.findall(r'<a href="#([^"]+)">→', shown)
    assert len(targets) == len(linked)
    assert all(f'id="{target}"' in shown for target in targets)


def test_what_the_page_says_flips_with_the_figures() -> None:
    decided = report(results(simulated(seeds=SEEDS, token_effect=-0.3, layer_effect=0.3)))
    assert "recommend-ppl" in codes(decided, "decided")
    assert "open-ppl" not in codes(decided, "open")
    tied = report(results(simulated(seeds=SEEDS, token_effect=0.0, noise=0.05)))
    assert "open-ppl" in codes(tied, "open")
    assert codes(report(full_summary(simulated())), "unexpected") == ["nothing-unexpected"]
    assert "runs-failed" in codes(report(full_summary(with_failures(simulated()))), "unexpected")
    rising = report(results([replace(run, best_epoch=5, stopped_by="epochs") for run in simulated()]))
    assert "still-improving" in codes(rising, "unexpected")
    growing = report(results([replace(run, growth=1.02) for run in simulated()]))
    assert "contexts-grow" in codes(growing, "unexpected")
    assert "contexts-forget" in findings(report(results([replace(run, growth=0.8) for run in simulated()])))


def test_what_would_decide_comes_with_its_price() -> None:
    runs = simulated(seeds=(0, 1), token_effect=-0.01, noise=0.02)
    made = report(results([replace(run, stages=(), seconds=Seconds(60.0, 0.0, 60.0)) for run in runs]))
    (finding,) = [item.finding for item in page(made)["open"] if item.finding.code == "open-ppl"]
    cost, seeds = finding.values["cost"], finding.values["needed"].values["seeds"]
    missing = (seeds - 2) * len(finding.values["tied"]) * 4
    assert cost.values["runs"] == missing
    assert cost.values["seconds"] == pytest.approx(120.0 * missing)
    assert cost.code == ("cost-hours" if 120 * missing >= 3600 else "cost-minutes")
    # The command to go on with asks the same question, at that price.
    (command,) = (block.lines[0] for block in made.sections[0].blocks if isinstance(block, Commands))
    pair = parse_goal(shlex.split(command.split("--goal ")[1])[0]).pair
    assert pair is not None
    assert pair[0] == finding.values["config"]
    assert pair[1] in finding.values["tied"]
    assert float(command.split("--budget-seconds ")[1]) == pytest.approx(120.0 * missing, rel=0.1)
    # A configuration of two sizes shows no noise of its own: what is planned for is the whole study.
    config = finding.values["config"]
    few = [run for run in runs if run.config != config or run.samples >= 200]
    (command,) = (
        block.lines[0] for block in report(results(few)).sections[0].blocks if isinstance(block, Commands)
    )
    assert config not in command
    two = report(results(simulated(samples=(50, 100), seeds=(0, 1))))  # plan refuses two sizes
    assert not any(isinstance(block, Commands) for block in two.sections[0].blocks)


def test_who_ties_is_said_in_the_fewest_names() -> None:
    words = load_language("en")
    names = [f"c{i}" for i in range(1, 10)]
    assert words.sentence(tied_finding(names, names)) == "all nine tie"
    assert words.sentence(tied_finding(names[:2], names[:2])) == "both tie"
    assert words.sentence(tied_finding(names[2:], names)) == "all tie except c1 and c2"
    assert words.sentence(tied_finding(names[:3], names)) == "c1, c2 and c3 tie"
    many = [f"c{i}" for i in range(30)]
    assert words.sentence(tied_finding(many[:12], many)) == "12 of 30 tie"
    assert words.sentence(tied_finding(many[12:], many)) == "18 of 30 tie"


def test_what_is_told_by_itself_alone_says_why_it_is_not_decided() -> None:
    """An interval without 0 beside "not decided" needs the correction named."""
    for shift in (0.001, 0.002, 0.003, 0.004, 0.006):
        made = findings(ablation(no_phase_1=shift))["part-phase1-sizes"].values
        low, high = made["change"].low, made["change"].high
        decided = made["verdict"].code
        assert (decided == "answer-undecided") <= (low <= 0 <= high), shift
        assert (decided == "answer-corrected") <= (low > 0 or high < 0), shift


def first_page(runs: list[Run]) -> str:
    return "\n".join(markdown(report(results(runs))).partition("## 2.")[0].splitlines())


def test_the_first_page_is_true_of_little() -> None:
    """One run, one size, no finished run, and a configuration whose largest runs failed."""
    one = first_page(simulated(layers=(1,), tokens=(1,), samples=(100,), seeds=(1,)))
    assert "- 100 samples, " in one
    assert " to " not in one.partition("###")[0]
    assert "A slope takes at least two sizes." in one
    assert "Nothing that this report asks" not in one
    runs = simulated()
    none = first_page([replace(run, status="failed", val_ppl=None) for run in runs])
    assert none.count("Nothing: no run has finished.") == 2
    largest = max(run.samples or 0 for run in runs)
    short = runs[0].config
    lost = [
        replace(run, status="diverged", val_ppl=None)
        if run.config == short and run.samples == largest
        else run
        for run in runs
    ]
    page = first_page(lost)
    assert f"{short}: measured at {largest} samples by no finished run" in page
    assert f"used in no comparison below ({short})" in page


def test_a_short_report_is_two_pages_and_begins_like_the_full_one() -> None:
    full, short = report(published(MATRIX)), report(published(MATRIX), short=True)
    assert short.sections[0] == full.sections[0]
    assert [section.key for section in short.sections] == ["answer", "summary"]
    every = [published(study) for study in dict.fromkeys(row["study"] for row in PUBLISHED["runs"])]
    for made in (short, report(*every, short=True)):
        assert len(markdown(made).splitlines()) < 90
    assert [section.key for section in full.sections] == [key for key in SECTIONS if key != "previous"]
    assert [section.key for section in full.sections if section.appendix] == ["overview", "reproduction"]


def test_a_difference_names_what_came_went_and_moved() -> None:
    runs = simulated(seeds=(0, 1), token_effect=-0.3)
    moved = [replace(runs[0], val_ppl=(runs[0].val_ppl or 0) * 1.5), *runs[1:-1]]
    came = [replace(run, run_id=f"{run.run_id}x", seed=7) for run in runs[:3]]
    made = build_difference(results(runs), results([*moved, *came]), names=["old", "new"])
    counts = findings(made)["diff-runs"].values
    assert {key: counts[key] for key in ("before", "after", "added", "gone", "changed")} == {
        "before": 32, "after": 34, "added": 3, "gone": 1, "changed": 1,
    }  # fmt: skip
    assert {row["config"].value for row in table(made, "diff")} == {"1L_128d_1tok", "2L_128d_2tok"}
    same = build_difference(results(runs), results(runs), names=["old", "new"])
    assert [f.code for f in same.findings()] == ["diff-runs", "diff-nothing", "diff-nothing"]
    other = [replace(run, data_fingerprint="y") for run in runs]
    assert "diff-other-data" in findings(build_difference(results(runs), results(other), names=["a", "b"]))
    assert isinstance(made.findings()[0], Finding)
