"""The matrix study's report, cell by cell, from its published figures, in both languages."""

import math

import pytest
from report_cases import (
    LANGUAGES,
    MATRIX,
    PUBLISHED,
    SHALLOW_WIDE,
    findings,
    markdown,
    markdown_tables,
    published,
    report,
    table,
    tables,
)

from cvfp_cli.reports.model import Heatmap, Report

ROWS = [run for run in PUBLISHED["runs"] if run["study"] == MATRIX]
FITS = {row["config"]: row for row in PUBLISHED["published"] if row["study"] == MATRIX}
CONFIGS = list(dict.fromkeys(run["config"] for run in ROWS))


@pytest.fixture(scope="module")
def matrix() -> Report:
    return report(published(MATRIX), earlier=published(SHALLOW_WIDE), earlier_name="shallow.json")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_detailed_tables_hold_every_measured_figure(matrix: Report, language: str) -> None:
    parsed = [
        rows[1:]
        for rows in markdown_tables(markdown(matrix, language))
        if len(rows) == 5 and rows[1][0] == "50"
    ]
    assert len(parsed) == len(CONFIGS)
    for config, rows in zip(CONFIGS, parsed, strict=True):
        for row, run in zip(rows, [run for run in ROWS if run["config"] == config], strict=True):
            assert row == [
                str(run["samples"]),
                f"{run['train_tokens']:,}",
                f"{run['phase1_iterations']}{'' if run['phase1_converged'] else '*'}",
                f"{100 * run['train_effective_rank']:.1f}%",
                f"{100 * run['val_effective_rank']:.1f}%",
                f"{run['train_ppl']:.1f}",
                f"{run['val_ppl']:.1f}",
                f"{100 * run['val_accuracy']:.1f}%",
            ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_summary_holds_the_recomputed_laws(matrix: Report, language: str) -> None:
    summary = next(rows for rows in markdown_tables(markdown(matrix, language)) if len(rows) == 10)
    for row, config in zip(summary[1:], CONFIGS, strict=True):
        fit = FITS[config]
        assert row[0] == config
        assert float(row[3].split()[0]) == pytest.approx(fit["alpha"], abs=0.001)
        mantissa, exponent = row[4].split()[0].split("×10")
        assert exponent == "⁵"
        assert float(mantissa) * 1e5 == pytest.approx(fit["A"], rel=0.01)
        assert float(row[5]) == pytest.approx(fit["r_squared"], abs=0.001)
        assert row[6].split()[0] == f"{fit['best_ppl']:.1f}"
        assert row[7] == f"{100 * fit['best_accuracy']:.1f}%"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_heatmaps_stand_in_boxes_as_in_the_study(matrix: Report, language: str) -> None:
    text = markdown(matrix, language)
    boxes = [block.split("```")[0] for block in text.split("```text\n")[1:] if "input_tokens" in block]
    assert len(boxes) == 6
    assert boxes[0] == boxes[2]  # the picture of the first page
    expected = (
        (["-0.546", "-0.504", "-0.505"], ["-0.473", "-0.507", "-0.499"], ["-0.495", "-0.530", "-0.535"]),
        (["198", "189", "196"], ["222", "197", "198"], ["237", "195", "194"]),
        (["40*", "20-24", "12"], ["16-17", "8", "7"], ["10", "7", "6-7"]),
        (["78.6%", "84.0%", "87.1%"], ["80.5%", "85.0%", "87.2%"], ["79.7%", "84.2%", "86.6%"]),
        (["77.5%", "83.3%", "86.2%"], ["79.3%", "84.4%", "86.8%"], ["78.6%", "83.5%", "86.3%"]),
    )
    for box, rows in zip(boxes[1:], expected, strict=True):
        inside = [line.split("│")[1] for line in box.splitlines() if "│" in line]
        assert [line.split() for line in inside] == list(rows)


def test_only_ascii_digits_and_signs_stand_inside_a_box(matrix: Report) -> None:
    for language in LANGUAGES:
        text = markdown(matrix, language)
        for block in text.split("```text\n")[1:]:
            if "input_tokens" not in block:
                continue
            lines = block.split("```")[0].splitlines()
            assert lines[0].strip() == "input_tokens"
            assert lines[2].startswith("layers")
            widths = {line.index("│", line.index("│") + 1) for line in lines if "│" in line}
            assert len(widths) == 1
            for line in lines:
                if "│" in line:
                    assert set(line.split("│")[1]) <= set("0123456789-+.%* ")


def test_means_and_counts_are_the_recomputed_ones(matrix: Report) -> None:
    by_layers = table(matrix, "means-by-layers")
    assert [row["mean_alpha"].value for row in by_layers] == pytest.approx(
        [-0.518, -0.493, -0.520], abs=0.0006
    )
    assert [row["mean_A"].value for row in by_layers] == pytest.approx([1.92e5, 1.41e5, 2.02e5], rel=0.005)
    by_tokens = table(matrix, "means-by-tokens")
    assert [row["mean_alpha"].value for row in by_tokens] == pytest.approx(
        [-0.505, -0.5135, -0.513], abs=0.0006
    )
    assert [row["mean_A"].value for row in by_tokens] == pytest.approx([1.83e5, 1.75e5, 1.77e5], rel=0.005)
    assert dict(findings(matrix)["run-count"].values) == {
        "runs": 36,
        "done": 36,
        "configurations": 9,
        "sizes": 4,
    }


def test_parameters_are_those_the_configurations_have(matrix: Report) -> None:
    counts = {
        str(row["config"].value): (row["phase1_parameters"].value, row["phase2_parameters"].value)
        for row in table(matrix, "summary")
    }
    assert counts["1L_768d_1tok"] == (1_181_952, 1_181_952)
    assert counts["3L_768d_3tok"] == (7_084_800, 17_775_616)
    text = markdown(matrix)
    for shown in ("| 1.18M | 1.18M |", "| 1.77M | 2.95M |", "| 7.08M | 17.78M |"):
        assert shown in text


def test_the_surfaces_are_the_least_squares_ones(matrix: Report) -> None:
    rows = {(row["surface"].value, row["coefficient"].value): row for row in table(matrix, "surfaces")}
    alpha = [rows["α(layers, tokens)", name] for name in ("constant", "(layers - 2)²", "(tokens - 2)²")]
    assert [row["estimate"].value for row in alpha] == pytest.approx([-0.496, -0.026, 0.005], abs=0.0006)
    assert [row["standard_error"].value for row in alpha[1:]] == pytest.approx([0.015, 0.015], abs=0.0005)
    assert [row["differs_from_zero"].value for row in alpha[1:]] == ["no", "no"]
    slope, constant = rows["A(layers)", "|layers - 2|"], rows["A(layers)", "constant"]
    assert constant["estimate"].value == pytest.approx(1.41e5, rel=0.005)
    assert slope["estimate"].value == pytest.approx(0.57e5, abs=0.01e5)
    half = slope["estimate"].high - slope["estimate"].value
    assert half == pytest.approx(0.68e5, abs=0.01e5)
    assert slope["differs_from_zero"].value == "no"
    assert slope["estimate"].value / constant["estimate"].value == pytest.approx(0.40, abs=0.005)
    formula = findings(matrix)["surface-alpha-none-differs"]
    assert formula.values["r_squared"] == pytest.approx(0.33, abs=0.005)
    assert "α ≈ -0.496 - 0.026·(layers - 2)² + 0.005·(tokens - 2)²" in markdown(matrix)


def test_slopes_are_tested_pairwise_and_none_survives(matrix: Report) -> None:
    found = findings(matrix)
    slopes = found["equal-slopes-kept"].values
    assert (slopes["pooled_df1"], slopes["pooled_df2"]) == (8, 16)
    assert slopes["pooled_f"] == pytest.approx(2.65, abs=0.005)
    assert slopes["pooled_p"] == pytest.approx(0.046, abs=0.0005)
    # Nine variances instead of one leave fewer degrees of freedom to the same statistic.
    assert slopes["f"] == pytest.approx(slopes["pooled_f"])
    assert slopes["df1"] < 8
    assert slopes["p"] > 0.05
    # By Holm alone the closest pair would have 0.07; a pair differs only where all together do.
    assert found["slope-pairs-none"].values["p"] == pytest.approx(slopes["p"])
    assert slopes["p"] == pytest.approx(0.0753, abs=0.0005)
    assert found["steepest-tied"].values["count"] == 7
    assert "slope-pairs-differ" not in found


def test_gap_and_expressiveness_follow_the_table(matrix: Report) -> None:
    rows = {str(row["config"].value): row for row in table(matrix, "expressiveness")}
    assert min(rows, key=lambda name: rows[name]["gap"].value) == "3L_768d_2tok"
    assert rows["3L_768d_2tok"]["gap"].value == pytest.approx(1.64, abs=0.005)
    assert next(iter(rows)) == "1L_768d_3tok"
    assert rows["1L_768d_3tok"]["train_ppl"].value == 75.1
    found = findings(matrix)
    assert found["lowest-train-ppl-tied"].values["config"] == "1L_768d_3tok"
    assert found["smallest-gap-tied"].values["config"] == "3L_768d_2tok"


def test_depth_and_iterations_follow_the_table(matrix: Report) -> None:
    depths = [finding.values for finding in matrix.findings() if finding.code == "fastest-depth"]
    assert [(item["tokens"], item["layers"]) for item in depths] == [(1, (3,)), (2, (3,)), (3, (3,))]
    assert findings(matrix)["not-converged"].values["configs"] == ("1L_768d_1tok",)


def test_factors_and_correlations(matrix: Report) -> None:
    rows = {
        (row["first_variable"].value, row["second_variable"].value): row
        for row in table(matrix, "correlations")
    }
    assert set(rows) == {
        ("tokens", "val_er"),
        ("layers", "val_er"),
        ("log_n", "log_ppl"),
        ("val_er", "log_ppl"),
    }
    at_500 = [run for run in ROWS if run["samples"] == 500]
    ranks = [run["val_effective_rank"] for run in at_500]
    logs = [math.log(run["val_ppl"]) for run in at_500]
    mean_r, mean_l = sum(ranks) / 9, sum(logs) / 9
    covariance = sum((r - mean_r) * (y - mean_l) for r, y in zip(ranks, logs, strict=True))
    spread = math.sqrt(sum((r - mean_r) ** 2 for r in ranks) * sum((y - mean_l) ** 2 for y in logs))
    assert rows["val_er", "log_ppl"]["correlation"].value == pytest.approx(covariance / spread)
    effects = table(matrix, "factors")
    second_token = next(row for row in effects if row["factor"].value == "tokens")
    low = [math.log(run["val_ppl"]) for run in ROWS if run["tokens"] == 1]
    high = [math.log(run["val_ppl"]) for run in ROWS if run["tokens"] == 2]
    expected = math.exp(sum(high) / 12 - sum(low) / 12) - 1
    assert second_token["ppl_change"].value == pytest.approx(expected)
    assert second_token["ppl_change"].high < 0


def test_the_earlier_study_is_compared_in_pairs(matrix: Report) -> None:
    rows = tables(matrix, "previous")[0]
    shallow = next(row for row in rows if row["previous"].value == "yes")
    assert shallow["context_dim"].value == 1536
    assert shallow["best_ppl"].value == 197.0
    assert shallow["alpha"].value == pytest.approx(-0.5402, abs=0.001)
    found = findings(matrix)
    assert "data-unknown" in found
    verdict = found["previous-undecided"].values
    assert (verdict["config"], verdict["previous"], verdict["sizes"]) == ("1L_768d_2tok", "3L_1536d_2tok", 4)


def test_boxes_hold_every_measure(matrix: Report) -> None:
    keys = [
        block.key for section in matrix.sections for block in section.blocks if isinstance(block, Heatmap)
    ]
    assert keys == ["alpha", "best_ppl", "phase1_iterations", "train_er", "val_er"]
