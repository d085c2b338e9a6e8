"""What pictures are of, and what they are said to show: the words follow the data."""

from dataclasses import replace
from math import exp

import pytest
from report_cases import LANGUAGES, report, results, simulated
from test_charts import blocks

from cvfp_cli.reports.charts import alternative
from cvfp_cli.reports.model import Chart, Heatmap, Value
from cvfp_cli.reports.pictures import heatmap_finding
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Run

pytestmark = pytest.mark.pinned_only("the project's own text")

EN = load_language("en")
GRID = {"layers": range(1, 4), "tokens": range(1, 4)}


def ranked(slope: float) -> list[Run]:
    """Nine configurations whose ln PPL follows their effective rank with this slope."""
    changed = []
    for run in simulated(**GRID, token_effect=0.0, noise=0.02):
        rank = 0.5 + 0.05 * ((run.layers or 0) - 1) + 0.01 * (run.tokens or 0)
        changed.append(
            replace(run, val_effective_rank=rank, val_ppl=(run.val_ppl or 1.0) * exp(slope * (rank - 0.5)))
        )
    return changed


@pytest.mark.parametrize(
    ("slope", "said"), [(4.0, "goes with a higher PPL"), (-4.0, "goes with a lower PPL")]
)
def test_the_words_about_effective_rank_flip_with_its_direction(slope: float, said: str) -> None:
    chart = blocks(report(results(ranked(slope))))["rank"]
    assert said in alternative(chart, EN)
    assert "Over 9 configurations" in alternative(chart, EN)


def test_effective_rank_without_a_trend_is_said_to_be_unclear() -> None:
    runs = [
        replace(
            run, val_ppl=(run.val_ppl or 1.0) * (1.3 if (run.layers or 0) + (run.tokens or 0) == 4 else 1.0)
        )
        for run in ranked(0.0)
    ]
    assert "it is not clear whether" in alternative(blocks(report(results(runs)))["rank"], EN)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_picture_says_who_is_lowest_only_beyond_the_noise(language: str) -> None:
    words = load_language(language)
    told, tied = (
        alternative(
            blocks(report(results(simulated(layers=(1,), token_effect=effect, noise=noise, seeds=(0, 1)))))[
                "scaling"
            ],
            words,
        )
        for effect, noise in ((-0.6, 0.01), (0.0, 0.05))
    )
    assert ("beyond the noise" in told) if language == "en" else ("ノイズを超え" in told)
    assert ("beyond the noise" in tied) is False
    assert told.startswith(words.label("chart.scaling", {"unit": "train_tokens"}))


def test_one_configuration_is_described_by_its_ends() -> None:
    said = alternative(blocks(report(results(simulated(layers=(1,), tokens=(1,), noise=0.0))))["scaling"], EN)
    first, last = (exp(11) * n**-0.5 for n in (60_000, 480_000))
    assert f"{first:,.1f} at 60,000" in said
    assert f"{last:,.1f} at 480,000" in said


def test_validation_against_training_has_its_range() -> None:
    chart = blocks(report(results(simulated())))["train-validation"]
    assert isinstance(chart, Chart)
    assert "1.67 to 1.67 times" in alternative(chart, EN)
    bare = [replace(run, train_ppl=None) for run in simulated()]
    assert "train-validation" not in blocks(report(results(bare)))


def test_costs_name_those_that_nothing_beats_for_as_little() -> None:
    runs = simulated(layers=(1, 2), tokens=(1,), layer_effect=0.5, noise=0.0)
    said = alternative(blocks(report(results(runs)))["cost-parameters"], EN)
    assert "as low a PPL as 1L_128d_1tok." in said
    runs = simulated(layers=(1, 2), tokens=(1,), layer_effect=-0.5, noise=0.0)
    said = alternative(blocks(report(results(runs)))["cost-parameters"], EN)
    assert "as low a PPL as 1L_128d_1tok and 2L_128d_1tok." in said


def test_contexts_that_grow_are_told_and_the_level_of_one_is_drawn() -> None:
    for growth, said in ((0.8, "the model forgets"), (1.2, "does not forget")):
        runs = [replace(run, growth=growth - 0.001 * i) for i, run in enumerate(simulated())]
        chart = blocks(report(results(runs)))["growth"]
        assert isinstance(chart, Chart)
        assert said in alternative(chart, EN)
        assert chart.level == 1.0
        shown = [y for series in chart.series for _, y in series.points]
        assert sorted(shown) == sorted(run.growth for run in runs if run.growth is not None)
    assert "growth" not in blocks(report(results(simulated())))


def box(*marks: str) -> Heatmap:
    cells = tuple(Value(100.0 + i, mark=mark) for i, mark in enumerate(marks))  # type: ignore[arg-type]
    return Heatmap("best_ppl", "box_ppl", (2,), tuple(range(1, len(marks) + 1)), (cells,))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_heatmap_says_what_its_marks_say(language: str) -> None:
    words = load_language(language)
    best, tied, none = (
        words.sentence(heatmap_finding(box(*marks)))
        for marks in (("", "best", ""), ("tied", "tied", ""), ("", "", ""))
    )
    assert "101" in best
    assert len({best, tied, none}) == 3
    assert all("100" in text and "102" in text for text in (best, tied, none))
    if language == "en":
        assert best.startswith("Best beyond the noise: 101, at 2 layers and 2 input tokens.")
        assert tied.startswith("2 of 3 cells")
        assert none.endswith("none is marked best.")
