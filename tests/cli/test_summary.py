"""The summary at a sweep's end, held against the matrix study's own tables."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.text import Text

from cvfp_cli.cli.figures import byte_size, duration, four_digits, percent
from cvfp_cli.cli.summary import answer_console, print_run, print_summary, rows
from cvfp_cli.results import Run
from cvfp_cli.scaling import summary_fits

SAMPLES = (50, 100, 200, 500)
TOKENS = (62_891, 122_795, 240_132, 587_970)
# Figures of the study of 2025-11-30: val PPL by size, P1 iterations, train ER at 500 samples, accuracy there.
MATRIX = {
    (1, 1): ((683.9, 415.8, 294.5, 198.2), (40, 40, 40, 40), 0.786, 0.226),
    (2, 1): ((647.2, 445.5, 331.5, 222.2), (16, 16, 17, 16), 0.805, 0.225),
    (1, 2): ((591.3, 400.3, 295.1, 189.4), (20, 20, 24, 20), 0.840, 0.234),
    (2, 2): ((622.3, 391.9, 284.9, 197.0), (8, 8, 8, 8), 0.850, 0.228),
}


@pytest.fixture
def matrix() -> list[Run]:
    return [
        Run(
            f"{layers}L_768d_{tokens}tok",
            layers,
            768,
            tokens,
            samples,
            TOKENS[index],
            seed=42,
            phase1_iterations=iterations[index],
            phase1_converged=iterations[index] < 40,
            train_effective_rank=rank,
            val_ppl=ppl[index],
            val_accuracy=accuracy - 0.01 * (3 - index),
        )
        for (layers, tokens), (ppl, iterations, rank, accuracy) in MATRIX.items()
        for index, samples in enumerate(SAMPLES)
    ]


def shown(runs: list[Run]) -> str:
    file = io.StringIO()
    print_summary(runs, summary_fits(runs), file)
    return file.getvalue()


def test_rows_are_the_study_s(matrix: list[Run]) -> None:
    found = {row.config: row for row in rows(matrix, summary_fits(matrix))}
    row = found["1L_768d_1tok"]
    assert row.alpha == pytest.approx(-0.5460, abs=5e-4)
    assert row.scale == pytest.approx(2.67e5, rel=5e-3)
    assert row.r_squared == pytest.approx(0.984, abs=5e-4)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.alpha < row.high  # type: ignore[operator]
    assert (row.best_ppl, row.best_accuracy, row.effective_rank) == (198.2, 0.226, 0.786)
    assert {config: row.iterations_text for config, row in found.items()} == {
        "1L_768d_1tok": "40*",
        "2L_768d_1tok": "16–17",
        "1L_768d_2tok": "20–24",
        "2L_768d_2tok": "8",
    }


def test_the_table_has_a_row_a_configuration_and_the_maps_a_cell(matrix: list[Run]) -> None:
    text = shown(matrix)
    lines = text.splitlines()
    [row] = [line for line in lines if line.startswith("1L_768d_2tok")]
    assert row.split()[:2] == ["1L_768d_2tok", "-0.5035"]
    assert row.split()[-4:] == ["189.4", "23.4%", "20–24", "84.0%"]
    assert sum(bool(re.match(r"\dL_768d_\dtok", line)) for line in lines) == 4
    assert ["α", "best", "PPL", "P1", "iter", "ER"] in [line.split() for line in lines]
    assert ["2", "-0.473", "-0.507", "2", "222.2", "197.0", "2", "16–17", "8", "2", "80.5%", "85.0%"] in [
        line.split() for line in lines
    ]
    assert "*: phase 1 stopped without converging." in text


def test_elsewhere_than_on_a_terminal_there_are_no_escapes_and_no_cut_lines(matrix: list[Run]) -> None:
    text = shown(matrix)
    assert "\x1b" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_best_cell_follows_the_figures(matrix: list[Run]) -> None:
    flipped = [
        replace(run, val_ppl=100.0) if run.config == "2L_768d_2tok" and run.samples == 500 else run
        for run in matrix
    ]
    assert "100.0" in shown(flipped)
    assert {row.config: row.best_ppl for row in rows(flipped, ())}["2L_768d_2tok"] == 100.0


def test_each_context_dim_has_its_own_maps(matrix: list[Run]) -> None:
    wide = [replace(run, context_dim=1536, config=run.config.replace("768", "1536")) for run in matrix]
    text = shown(matrix + wide)
    assert text.index("context_dim 768") < text.index("context_dim 1536")
    assert len(re.findall(r"^α", text, re.MULTILINE)) == 2


def test_runs_without_figures_are_named_and_leave_no_nan(matrix: list[Run]) -> None:
    diverged = replace(
        matrix[0], status="diverged", reason="the loss was not finite", val_ppl=None, val_accuracy=None
    )
    text = shown([diverged, *matrix[1:]])
    assert "1L_768d_1tok at 50 samples, seed 42: diverged: the loss was not finite" in text
    assert "nan" not in text.lower().replace("finance", "")
    assert {row.config: row.best_ppl for row in rows([diverged], ())} == {"1L_768d_1tok": None}


def test_one_size_has_no_alpha_and_says_why(matrix: list[Run]) -> None:
    text = shown([run for run in matrix if run.samples == 50])
    assert "α needs finished runs of at least two sizes" in text


def test_two_sizes_have_no_interval_and_say_why(matrix: list[Run]) -> None:
    text = shown([run for run in matrix if run.samples in (50, 500)])
    assert "an interval for α needs at least three sizes" in text


RUN = Run(
    "2L_768d_2tok",
    2,
    768,
    2,
    50,
    62_891,
    seed=42,
    val_tokens=1001,
    val_bytes=4000,
    val_loss=4.0,
    val_loss_se=0.1,
    val_ppl=54.598,
    sample_losses=(4.0,) * 40,
    sample_targets=(25,) * 40,
    phase1_iterations=8,
    phase1_converged=True,
    phase1_rate=0.991,
)


def figures_of(run: Run) -> str:
    file = io.StringIO()
    print_run(run, file)
    return file.getvalue()


def test_one_run_shows_its_figures() -> None:
    text = figures_of(RUN)
    assert re.search(r"val PPL +54\.60  \(95 % over samples: 44\.60 to 66\.84\)", text)
    assert re.search(r"bits per byte +1\.443", text)  # 4 nats / ln 2 * 1000 / 4000
    assert "8 iterations, 99.1% converged" in text


@pytest.mark.parametrize(
    ("targets", "factor"),  # the 97.5 % points of Student's t in any table
    [((500, 500), 12.706), ((200,) * 5, 2.776), ((200, 0, 200, 200, 200, 200), 2.776), ((1,) * 1000, 1.962)],
)
def test_the_interval_over_samples_is_students(targets: tuple[int, ...], factor: float) -> None:
    text = figures_of(replace(RUN, sample_targets=targets, sample_losses=(4.0,) * len(targets)))
    found = re.search(r"over samples: (\S+) to (\S+)\)", text)
    assert found is not None
    for end, sign in zip(found.groups(), (-1, 1), strict=True):
        assert float(end) == pytest.approx(math.exp(4.0 + sign * 0.1 * factor), rel=1e-3)


@pytest.mark.parametrize("targets", [None, (1000,), (1000, 0)])
def test_without_two_samples_there_is_no_interval(targets: tuple[int, ...] | None) -> None:
    text = figures_of(replace(RUN, sample_targets=targets, sample_losses=None))
    assert "54.60" in text
    assert "over samples" not in text


def test_two_samples_that_differ_much_do_not_stop_the_summary() -> None:
    text = figures_of(replace(RUN, val_loss_se=60.0, sample_targets=(500, 500), sample_losses=(4.0, 4.0)))
    assert "to inf)" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(189.44, "189.4"), (0.98423, "0.9842"), (267_200.0, "2.672e+05"), (1457.6, "1458"), (None, "–")],
)
def test_figures_have_four_digits(value: float | None, text: str) -> None:
    assert four_digits(value) == text


def test_times_and_sizes_in_words() -> None:
    assert [duration(value) for value in (None, 0.44, 12.4, 59.6, 200, 7505)] == [
        "–",
        "0.4 s",
        "12 s",
        "60 s",
        "3 min 20 s",
        "2 h 05 min",
    ]
    assert [byte_size(value) for value in (None, 812_000_000, 1_640_000_000)] == ["–", "812 MB", "1.6 GB"]
    assert percent(0.1734) == "17.3%"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_a_pipe_gets_plain_text_whatever_a_notebook_asks_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    stream = io.StringIO()
    answer_console(stream).print(Text("best", style="bold"))
    assert stream.getvalue() == "best\n"


def test_a_first_layer_recipe_has_its_slope(matrix: list[Run]) -> None:
    falling = [replace(run, token_input="first_layer") for run in matrix]
    found = rows(falling, summary_fits(falling))
    assert [row.alpha for row in found] == [row.alpha for row in rows(matrix, summary_fits(matrix))]
    assert {row.config for row in found} == {run.config for run in matrix}


def test_a_folder_of_two_studies_has_a_slope_for_each(matrix: list[Run]) -> None:
    both = [replace(run, study=study) for study in ("a", "b") for run in matrix]
    found = {row.config: row.alpha for row in rows(both, summary_fits(both))}
    assert len(found) == 8
    assert None not in found.values()
    assert found["1L_768d_1tok (a)"] == found["1L_768d_1tok (b)"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"best_epoch": 10, "stopped_by": "epochs"}, "10 (ended at its limit of epochs, still improving)"),
        (
            {"best_epoch": 9, "stopped_by": "epochs"},
            "9 (ended at its limit of epochs, already worse than its best)",
        ),
        ({"best_epoch": 8, "stopped_by": "patience"}, "8 (stopped by patience)"),
        ({"best_epoch": 10, "stopped_by": None}, "10 (ended at its limit of epochs, still improving)"),
        ({"best_epoch": 8, "stopped_by": None}, "8"),
    ],
)
def test_a_run_says_what_ended_it(matrix: list[Run], fields: dict[str, object], words: str) -> None:
    file = io.StringIO()
    print_run(replace(matrix[0], epochs=10, **fields), file)  # type: ignore[arg-type]
    assert f"best of 10 epochs: {words}\n" in file.getvalue()


def test_phase_1_says_where_its_limit_cut_it_short(matrix: list[Run]) -> None:
    rates = (None, 0.5, 0.9)
    run = replace(matrix[0], phase1_rate=0.9, phase1_stopped_by="iterations", phase1_rate_by_iteration=rates)
    for shown_run, cut in ((run, True), (replace(run, phase1_rate_by_iteration=(None, 0.9, 0.9)), False)):
        file = io.StringIO()
        print_run(shown_run, file)
        assert ("90.0% converged (ended at its limit, still rising)" in file.getvalue()) is cut
