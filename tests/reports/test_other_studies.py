"""The other studies' reports: every measured figure, and the laws as published where they are right."""

import re
from pathlib import Path

import pytest
from report_cases import (
    ARCHITECTURES,
    CONTEXT_DIM,
    EFFECTIVE_RANK,
    LANGUAGES,
    PUBLISHED,
    findings,
    markdown,
    markdown_tables,
    published,
    report,
    table,
    tables,
)

from cvfp_cli.results import read_results

OLD_RESULTS = Path(__file__).parents[1] / "results" / "legacy" / "detailed_results.json"

STUDIES = (ARCHITECTURES, EFFECTIVE_RANK, CONTEXT_DIM)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", STUDIES)
def test_every_measured_figure_stands_in_the_detailed_tables(study: str, language: str) -> None:
    runs = [run for run in PUBLISHED["runs"] if run["study"] == study]
    made = report(published(study))
    rows = [row for found in tables(made, "details") for row in found]
    assert len(rows) == len(runs)
    shown = [row for found in markdown_tables(markdown(made, language)) for row in found]
    for run in runs:
        wanted = [
            f"{run['samples']:,}",
            f"{run['train_tokens']:,}",
            *(
                f"{100 * run[key]:.1f}%"
                for key in ("train_effective_rank", "val_effective_rank")
                if key in run
            ),
            f"{run['val_ppl']:,.1f}",
            f"{100 * run['val_accuracy']:.1f}%",
        ]
        assert wanted in shown


@pytest.mark.parametrize("study", [ARCHITECTURES, EFFECTIVE_RANK])
def test_alpha_and_r_squared_are_the_published_ones(study: str) -> None:
    fits = [row for row in PUBLISHED["published"] if row["study"] == study]
    rows = table(report(published(study)), "summary")
    for fit, row in zip(fits, rows, strict=True):
        assert row["alpha"].value == pytest.approx(fit["alpha"], abs=0.001)
        assert row["alpha"].low < fit["alpha"] < row["alpha"].high
        assert row["r_squared"].value == pytest.approx(fit["r_squared"], abs=0.001)


def test_the_architecture_study_has_one_clear_best() -> None:
    made = report(published(ARCHITECTURES))
    found = findings(made)
    assert found["lowest-ppl-best"].values["config"] == "input_tokens_2"
    assert "slope-pairs-none" in found
    assert [row["phase1_parameters"].value for row in table(made, "summary")] == pytest.approx(
        [7.09e6, 10.63e6, 13.29e6, 10.64e6], rel=0.001
    )


def test_the_effective_rank_study_shows_where_accuracy_fell() -> None:
    made = report(published(EFFECTIVE_RANK))
    row = table(made, "worse-steps")[0]
    assert (row["measure"].value, row["from_size"].value, row["to_size"].value) == ("val_accuracy", 200, 500)
    change = findings(made)["total-change-one"].values["change"]
    assert change == pytest.approx(536.0 / 1503.3 - 1)
    assert "17.6% → 15.4%" in markdown(made)


def test_the_december_study_takes_both_widths_apart() -> None:
    made = report(published(CONTEXT_DIM))
    rows = table(made, "effective-rank")
    assert [round(row["val_er_dims"].value) for row in rows] == [172, 211]
    assert findings(made)["lowest-ppl-tied"].values["value"] == 132.6


@pytest.mark.parametrize("language", LANGUAGES)
def test_emphasis_never_ends_before_a_letter(language: str) -> None:
    """GitHub prints the asterisks where emphasis ends at punctuation or % and a letter follows."""
    for study in STUDIES:
        text = markdown(report(published(study)), language)
        assert not re.search(r"\*\*\w", re.sub(r"\*\*([^*\n]+)\*\*(?!\w)", r"\1", text))


def test_what_old_metadata_says_is_in_the_report_s_language() -> None:
    made = report(read_results(OLD_RESULTS), sections=("overview",))
    english, japanese = (markdown(made, language) for language in ("en", "ja"))
    assert "made on 2025-11-30T07:10:40.104343 in 2,185 s, by the metadata.json beside it." in english
    assert "metadata.json によると、2025-11-30T07:10:40.104343 に作成され" in japanese
    assert "2,185秒" in japanese
    assert not re.search(r"[Mm]ade on", japanese)
