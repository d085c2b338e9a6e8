"""Incomplete input: still a right and readable report, in every format and language."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from report_cases import (
    LANGUAGES,
    findings,
    full_summary,
    html,
    markdown,
    markdown_tables,
    report,
    results,
    simulated,
    table,
    with_failures,
)

from cvfp_cli.reports.model import Report, dump_json
from cvfp_cli.reports.plain import render_csv, render_plain
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Parameters, Run, Seconds

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

LONG = "configuration_" + "x" * 300


def changed(**fields: object) -> list[Run]:
    return [replace(run, **fields) for run in simulated()]


def bare(run: Run) -> Run:
    """Only what a list made by hand would hold."""
    return Run(
        run.config,
        run.layers,
        run.context_dim,
        run.tokens,
        run.samples,
        run.train_tokens,
        val_ppl=run.val_ppl,
    )


CASES: dict[str, Callable[[], Report]] = {
    "one configuration": lambda: report(results(simulated(layers=(1,), tokens=(1,)))),
    "one sample count": lambda: report(results(simulated(samples=(100,)))),
    "one run": lambda: report(results(simulated(layers=(1,), tokens=(1,), samples=(100,)))),
    "two sizes": lambda: report(results(simulated(samples=(100, 200)))),
    "no runs": lambda: report(results([])),
    "every run failed": lambda: report(
        results([replace(run, status="failed", reason="out of memory", val_ppl=None) for run in simulated()])
    ),
    "one configuration of which nothing finished": lambda: report(
        results(
            [
                replace(run, best_epoch=3, status="failed", val_ppl=None)
                if run.layers == 2
                else replace(run, best_epoch=3)
                for run in simulated()
            ]
        )
    ),
    "failed and diverged": lambda: report(full_summary(with_failures(simulated()))),
    "no effective rank": lambda: report(results(changed(train_effective_rank=None, val_effective_rank=None))),
    "bare figures": lambda: report(results([bare(run) for run in simulated()])),
    "no tokens": lambda: report(results(changed(train_tokens=None))),
    "no samples": lambda: report(results(changed(samples=None))),
    "no architecture": lambda: report(results(changed(layers=None, tokens=None, context_dim=None))),
    "no accuracy, no training PPL": lambda: report(
        results(changed(val_accuracy=None, val_accuracy_se=None, train_ppl=None))
    ),
    "null figures here and there": lambda: report(
        results(
            [
                replace(
                    run,
                    train_ppl=None if i % 3 else 5.0,
                    val_accuracy=None if i % 4 else 0.2,
                    phase1_iterations=None if i % 5 else 9,
                )
                for i, run in enumerate(simulated())
            ]
        )
    ),
    "very long names": lambda: report(results(changed(config=LONG, study=LONG), data={LONG: LONG})),
    "PPL of 1e12": lambda: report(
        results([replace(run, val_ppl=(run.val_ppl or 1) * 1e12) for run in simulated()])
    ),
    "PPL of 1": lambda: report(results(changed(val_ppl=1.0, train_ppl=1.0))),
    "PPL rising with data": lambda: report(
        results([replace(run, val_ppl=1e5 / (run.val_ppl or 1)) for run in simulated()])
    ),
    "exactly on a law": lambda: report(
        results([replace(run, val_ppl=1e5 * (run.train_tokens or 1) ** -0.5) for run in simulated()])
    ),
    "one seed missing in one cell": lambda: report(results(simulated(seeds=(0, 1))[:-1])),
    "a hole in the grid": lambda: report(
        results([run for run in simulated() if run.config != "2L_128d_2tok"])
    ),
    "unequal sizes": lambda: report(
        results([run for run in simulated() if run.layers == 1 or run.samples != 400])
    ),
    "no times, no parameters": lambda: report(
        results(changed(seconds=Seconds(), parameters=Parameters(), peak_memory_bytes=None))
    ),
    "an empty summary": lambda: report(
        results(simulated(), recipe={}, data={}, environments=({},), command="")
    ),
    "a summary with odd values": lambda: report(
        results(
            simulated(),
            recipe={"name": 7, "overrides": {"a": {"b": None}, "c": [], "d": [1, [2]]}},
            data={"tokenizer": {"x": [1, 2]}, "n": math.inf},
        )
    ),
    "data seeds": lambda: report(
        results(
            [
                replace(
                    run,
                    data_seed=draw,
                    train_tokens=(run.train_tokens or 0) + 37 * draw,
                    run_id=f"{run.run_id}-{draw}",
                )
                for run in simulated()
                for draw in (1, 2)
            ]
        )
    ),
    "two widths": lambda: report(results(simulated(context_dims=(64, 128)))),
    "two studies": lambda: report(
        results(simulated()),
        results(
            [
                replace(run, study="other", data_fingerprint="zzz", run_id=f"o{run.run_id}")
                for run in simulated()
            ]
        ),
    ),
    "all laws": lambda: report(results(simulated(samples=(50, 100, 200, 400, 800))), laws_fitted=("all",)),
    "the joint law": lambda: report(
        results(simulated(layers=(1, 2, 3), samples=(50, 100, 200, 400, 800))), laws_fitted=("power", "joint")
    ),
    "exp-decay by name, four sizes": lambda: report(results(simulated()), laws_fitted=("exp-decay",)),
}


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> Report:
    return CASES[request.param]()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_format_is_written_and_sound(made: Report, language: str) -> None:
    text = markdown(made, language)
    for forbidden in ("nan", "NaN", "None", "inf]", "[inf", "-inf", "Traceback", "**  **", "{", "}"):
        assert forbidden not in text.replace("'e': 2", "").replace("{2}", "").replace(str({"e": 2}), ""), (
            forbidden
        )
    assert text.count("\n## ") == 12
    for rows in markdown_tables(text):
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 1
    page = html(made, language)
    assert page.count("<section") == page.count("</section>") == 12
    assert page.count("<table") == page.count("</table>")
    render_plain(made, load_language(language))


def test_json_and_csv_are_written(made: Report) -> None:
    assert dump_json(made).endswith("}\n")
    assert render_csv(made).startswith("table,row,column,value,low,high,mark\n")


@pytest.mark.parametrize("name", CASES)
def test_sections_without_data_give_one_line_of_reason(name: str) -> None:
    document = CASES[name]()
    for section in document.sections:
        assert bool(section.blocks) != (section.omitted is not None)
        if section.omitted is not None:
            for language in LANGUAGES:
                sentence = load_language(language).label("omitted", {"reason": section.omitted})
                assert "\n" not in sentence
                assert len(sentence) > 10


def omitted(document: Report) -> set[str]:
    return {section.key for section in document.sections if section.omitted is not None}


def test_what_is_left_out_where() -> None:
    assert omitted(CASES["one configuration"]()) == {"ablations", "heatmaps", "surfaces", "recommendations"}
    assert omitted(CASES["one sample count"]()) == {"ablations", "surfaces", "laws"}
    assert omitted(CASES["two sizes"]()) == {"ablations"}
    assert "laws" in omitted(CASES["every run failed"]())
    assert {"heatmaps", "surfaces"} <= omitted(CASES["no architecture"]())


def test_an_infinite_or_huge_ppl_stays_readable() -> None:
    text = markdown(CASES["PPL of 1e12"]())
    assert "×10¹³" in text
    box = text.split("Best PPL (in units of 10^13)")[1].split("```")[1]
    assert all(len(line) < 60 for line in box.splitlines())


def test_a_failed_run_is_named_with_its_reason_and_left_out() -> None:
    document = CASES["failed and diverged"]()
    rows = table(document, "failures")
    assert [(row["status"].value, row["reason"].value) for row in rows] == [
        ("failed", "out of memory"),
        ("diverged", "phase 2: the loss is not finite"),
    ]
    assert findings(document)["run-count"].values["done"] == 14
    assert "check-points" in findings(document)


def test_the_same_run_in_two_files_counts_once() -> None:
    document = report(results(simulated()), results(simulated()))
    assert findings(document)["run-count"].values["runs"] == 16
    assert findings(document)["same-runs-twice"].values["count"] == 16


def test_figures_of_other_data_are_never_ranked_together() -> None:
    document = CASES["two studies"]()
    assert findings(document)["several-families"].values["count"] == 2
    headings = [
        token.content for token in MarkdownIt("gfm-like").parse(markdown(document)) if token.type == "inline"
    ]
    assert sum(text.startswith("Data of") for text in headings) >= 2


def test_sections_can_be_chosen() -> None:
    document = report(results(simulated()), sections=("laws", "summary"))
    assert [section.key for section in document.sections] == ["summary", "laws"]


def test_a_title_of_the_users_own() -> None:
    assert markdown(report(results(simulated()), title="Mine")).startswith("# Mine\n")


def test_slopes_are_there_whatever_laws_are_shown() -> None:
    for laws in (("exp-decay",), ("saturating",), ("all",)):
        document = report(results(simulated(samples=(50, 100, 200, 400, 800))), laws_fitted=laws)
        assert all(row["alpha"].value is not None for row in table(document, "summary"))
    shown = {
        row["law"].value
        for row in table(report(results(simulated()), laws_fitted=("exp-decay",)), "law-quality")
    }
    assert shown == {"exp-decay"}


def test_all_laws_on_two_sizes_leave_the_line_alone() -> None:
    document = report(results(simulated(samples=(50, 100))), laws_fitted=("all",))
    rows = table(document, "law-power")
    assert all(row["alpha"].value is not None and row["alpha"].low is None for row in rows)
    assert "forward_error" not in rows[0]
