"""What the published analyses state and their own figures do not support: the report states none of it.

Each row names a statement, what a text that made it would hold, and what the report holds instead.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from report_cases import (
    ARCHITECTURES,
    CONTEXT_DIM,
    EFFECTIVE_RANK,
    LANGUAGES,
    MATRIX,
    SHALLOW_WIDE,
    findings,
    markdown,
    published,
    report,
    table,
    tables,
)

from cvfp_cli.reports.compare import build_comparison
from cvfp_cli.reports.model import Report, Table, Value
from cvfp_cli.scaling.fits import fit_law
from cvfp_cli.scaling.result import Fit
from cvfp_cli.study.families import families_of

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)


@cache
def study(*names: str, laws: tuple[str, ...] = ("power",), earlier: str = "") -> Report:
    sources = [published(name) for name in names]
    previous = published(earlier) if earlier else None
    return report(*sources, laws_fitted=laws, earlier=previous, earlier_name="earlier.json")


def matrix() -> Report:
    return study(MATRIX, earlier=SHALLOW_WIDE)


def architectures() -> Report:
    return study(ARCHITECTURES)


def effective_rank() -> Report:
    return study(EFFECTIVE_RANK)


def december() -> Report:
    return study(CONTEXT_DIM, laws=("power", "saturating", "exp-decay"))


def november() -> Report:
    return study("2025-11-27-3l", "2025-11-27-6l", "2025-11-28-v1", "2025-11-28-v2")


def codes(made: Report) -> set[str]:
    return {finding.code for finding in made.findings()}


def config_of(made: Report, code: str) -> object:
    return findings(made)[code].values["config"]


def recommendation(made: Report, purpose: str) -> str:
    row = next(row for row in table(made, "recommendations") if row["purpose"].value == purpose)
    return row["recommendation"].value.code


def iterations(made: Report) -> dict[str, str]:
    rows = table(made, "convergence")
    return {
        str(row["config"].value): (row["phase1_iterations"].value, row["phase1_iterations"].top)
        for row in rows
    }


def falls(made: Report) -> dict[str, float]:
    return {str(row["config"].value): row["per_doubling"].value for row in table_of_all(made, "reductions")}


def table_of_all(made: Report, key: str) -> list[dict[str, Value]]:
    return [row for rows in tables(made, key) for row in rows]


def december_fit(config: str, law: str, objective: str = "ppl") -> Fit:
    family = families_of([published(CONTEXT_DIM)], ["x"])[0]
    group = next(group for group in family.groups if group.config == config)
    points = replace(family, x="samples").points(group)
    return fit_law(points, law, objective=objective, predict=(3200.0, 6400.0))


@dataclass(frozen=True)
class Wrong:
    """A published statement; ``absent`` matches a text that makes it; ``instead`` is what the figures say."""

    statement: str
    made: Callable[[], Report]
    absent: str
    instead: Callable[[Report], bool]


WRONG = (
    Wrong(
        "1: 1L_768d_1tok has the best data efficiency (alpha -0.546 ranks first)",
        matrix,
        r"1L_768d_1tok has the steepest slope, α|αがノイズを超えて最も急峻|-0\.5461 \[[^|]*\] ★",
        lambda made: (
            "slope-pairs-none" in codes(made)
            and recommendation(made, "data-efficiency") == "undecided-alpha-tied"
        ),
    ),
    Wrong(
        "2: alpha = -0.51 + 0.02(layers-2)² - 0.01(tokens-2)²",
        matrix,
        r"-0\.51[0 ]?\d? \+ 0\.02|- 0\.01\d?·\(tokens",
        lambda made: "surface-alpha-none-differs" in codes(made),
    ),
    Wrong(
        "2: A = 1.7e5 × (1 + 0.15|layers-2|)",
        matrix,
        r"1\.7\d?×10⁵ × \(1 \+ 0\.15",
        lambda made: "surface-A-none-differs" in codes(made),
    ),
    Wrong(
        "3: the power law's AIC is 25.37 and 22.85 beside laws fitted on the PPL scale",
        december,
        r"25\.37|22\.85",
        lambda made: (
            december_fit("1L_256d_1tok", "power").aic == pytest.approx(24.28, abs=0.02)
            and december_fit("1L_320d_1tok", "power").aic == pytest.approx(21.60, abs=0.02)
        ),
    ),
    Wrong(
        "4: exp-decay is the best law by AIC",
        december,
        r"exp-decay predicts larger sizes best|exp-decay が大きいサイズをばらつきを超えて",
        lambda made: (
            "selection-undecided" in codes(made)
            and {"fit-one-degree-of-freedom", "fit-no-aicc"} <= codes(made)
            and december_fit("1L_256d_1tok", "exp-decay").aicc is None
        ),
    ),
    Wrong(
        "4: dim=256 has almost reached its theoretical limit (132.5)",
        december,
        r"limit reached|理論限界",
        lambda made: all(
            row["estimate"].low < 100
            for row in table(made, "law-parameters")
            if row["parameter"].value == "ppl_min"
        ),
    ),
    Wrong(
        "5: parameters 3.55 / 4.13, 4.13 / 4.13, 10.64 / 17.78 million",
        matrix,
        r"1L_768d_1tok \|.*3\.55M|1L_768d_2tok \|.*4\.13M|10\.64M",
        lambda made: "1.77M | 2.95M" in markdown(made),
    ),
    Wrong(
        "5: 1L_768d_2tok has less than a quarter of 3L_768d_3tok's parameters and a better PPL",
        matrix,
        r"1L_768d_2tok has the lowest PPL[^:]*beyond",
        lambda made: "lowest-ppl-tied" in codes(made),
    ),
    Wrong(
        "6: 3L_768d_3tok has the smallest gap",
        matrix,
        r"ratio of validation to training PPL is that of 3L_768d_3tok|比が最も小さいのは 3L_768d_3tok",
        lambda made: config_of(made, "smallest-gap-tied") == "3L_768d_2tok",
    ),
    Wrong(
        "7: exp-decay predicts 125.0 and 123.3 (D=320) and 132.7 (D=256)",
        december,
        r"(?<![\d.])(125\.0|123\.3|132\.7)(?![\d])",
        lambda made: (
            [p.value for p in december_fit("1L_320d_1tok", "exp-decay").predictions]
            == pytest.approx([125.3, 123.2], abs=0.1)
            and december_fit("1L_256d_1tok", "exp-decay").predictions[0].value
            == pytest.approx(132.8, abs=0.05)
        ),
    ),
    Wrong(
        "8: reductions per doubling of 38, 22, 30, 22 and 22 %",
        november,
        r"\| (38|22|30)\.0%",
        lambda made: (
            {name.split()[0] + name[-4:]: round(value) for name, value in falls(made).items()}
            == {
                "3L_768d_1tok-3l)": 39,
                "6L_768d_1tok-6l)": 40,
                "6L_768d_2tok-v1)": 18,
                "3L_1536d_2tok-v1)": 23,
                "6L_768d_1tok-v2)": 18,
                "3L_1536d_1tok-v2)": 18,
            }
        ),
    ),
    Wrong(
        "8: forecasts of 383 / 314 / 213 / 175 and 392 / 323 / 221 / 182 from two points",
        november,
        r"\| (383|314|213|392|323|221|182)\.\d",
        lambda made: (
            _forecasts(made)[0] == pytest.approx([419.7, 342.7, 214.0, 174.7], rel=0.001)
            and _forecasts(made)[1] == pytest.approx([427.5, 350.0, 219.9, 180.0], rel=0.001)
            and all(
                row[key].low is None
                for row in table_of_all(made, "predictions")
                if "11-28" in str(row["config"].value)
                for key in row
                if key.startswith("predicted")
            )
        ),
    ),
    Wrong(
        "9: alpha depends on the data range (small -0.72 to -0.75, medium -0.29)",
        november,
        r"natural behaviour of a scaling curve|自然なスケーリング曲線",
        lambda made: "data-ranges-confounded" in codes(made),
    ),
    Wrong(
        "10: one layer is the steepest",
        matrix,
        r"by layers, the mean α is steepest at 1\b|層数別の平均αは1で最も急峻",
        lambda made: next(f for f in made.findings() if f.code == "steepest-mean-tied").values["level"] == 3,
    ),
    Wrong(
        "10: 1L_768d_2tok has the lowest training PPL (77.6)",
        matrix,
        r"lowest training PPL is that of 1L_768d_2tok|訓練PPLが最も低いのは 1L_768d_2tok",
        lambda made: findings(made)["lowest-train-ppl-tied"].values["value"] == 75.1,
    ),
    Wrong(
        "10: 2 and 3 tokens always have a lower training PPL than 1",
        matrix,
        r"always lower|一貫して低い",
        lambda made: (
            _train(made)["2L_768d_3tok"] > _train(made)["2L_768d_1tok"]
            and _train(made)["3L_768d_2tok"] > _train(made)["3L_768d_1tok"]
        ),
    ),
    Wrong(
        "10: 2 layers converge fastest",
        matrix,
        r"are those of 2 layers|反復回数は2層が最も少ない",
        lambda made: all(f.values["layers"] == (3,) for f in made.findings() if f.code == "fastest-depth"),
    ),
    Wrong(
        "10: P1 iterations 16 and 20",
        matrix,
        r"\| 2L_768d_1tok \| 16 \||\| 1L_768d_2tok \| 20 \|",
        lambda made: (
            iterations(made)["2L_768d_1tok"] == (16, 17) and iterations(made)["1L_768d_2tok"] == (20, 24)
        ),
    ),
    Wrong(
        "11: 2L_768d_2tok for small data, since its A is low",
        matrix,
        r"(small data|少データ) \| 2L_768d_2tok",
        lambda made: (
            recommendation(made, "small-data") == "undecided-ppl-tied"
            and _recommended(made, "small-data")["config"] == "1L_768d_2tok"
            and findings(made)["A-follows-alpha"].values["correlation"] == pytest.approx(-0.97, abs=0.005)
        ),
    ),
    Wrong(
        "12: layers_9 is the same as the baseline",
        architectures,
        r"layers_9 (is|and baseline are) the same|ほぼ同じ性能",
        lambda made: all(
            nine["val_ppl"].value > base["val_ppl"].value
            for nine, base in zip(_details(made, 3), _details(made, 0), strict=True)
        ),
    ),
    Wrong(
        "12: at alpha = -0.49 tenfold data leave 31 % of the PPL",
        architectures,
        r"31\.0%",
        lambda made: (
            next(round(100 - row["per_tenfold"].value) for row in table_of_all(made, "reductions")) == 33
        ),
    ),
    Wrong(
        "12: the effective rank lies between 7.8 and 9.0 %",
        effective_rank,
        r"7\.8%[^|\n]{0,12}9\.0%",
        lambda made: _ranks(made) == {"train_er": (0.085, 0.096), "val_er": (0.078, 0.086)},
    ),
    Wrong(
        "12: effective rank does not matter",
        effective_rank,
        r"less than data: supported|重要でない」は支持される",
        lambda made: "hypothesis-rank-untested" in codes(made),
    ),
    Wrong(
        "12: about 60 minutes",
        matrix,
        r"60 min|60分",
        lambda made: "time-unrecorded" in codes(made),
    ),
    Wrong(
        "context_dim_1152 is the most data-efficient",
        architectures,
        r"context_dim_1152 has the steepest slope, α|αがノイズを超えて最も急峻",
        lambda made: recommendation(made, "data-efficiency") == "undecided-alpha-tied",
    ),
)


def _train(made: Report) -> dict[str, float]:
    return {str(row["config"].value): row["train_ppl"].value for row in table(made, "expressiveness")}


def _recommended(made: Report, purpose: str) -> dict[str, object]:
    row = next(row for row in table(made, "recommendations") if row["purpose"].value == purpose)
    return dict(row["recommendation"].value.values)


def _details(made: Report, index: int) -> list[dict[str, Value]]:
    return tables(made, "details")[index]


def _ranks(made: Report) -> dict[str, tuple[float, float]]:
    found = [f.values for f in made.findings() if f.code == "effective-rank-range-one"]
    return {values["measure"]: (values["low"], values["high"]) for values in found}


def _forecasts(made: Report) -> list[list[float]]:
    """Predictions of 2025-11-28-v2 in order of size."""
    return [
        [value.value for value in row[1:]]
        for section in made.sections
        for block in section.blocks
        if isinstance(block, Table) and block.key == "predictions"
        for row in block.rows
        if "v2" in str(row[0].value)
    ]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.statement[:40])
def test_the_report_does_not_make_the_statement(wrong: Wrong) -> None:
    made = wrong.made()
    for language in LANGUAGES:
        text = markdown(made, language)
        match = re.search(wrong.absent, text)
        assert match is None, f"{wrong.statement}: {match}"
    assert wrong.instead(made), wrong.statement


def test_the_patterns_would_find_the_statements() -> None:
    """A pattern that matches nothing proves nothing: each finds the sentence it stands for."""
    sentences = {
        "6": "The smallest ratio of validation to training PPL is that of 3L_768d_3tok",
        "5": "| 1L_768d_1tok | 3.55M | 4.13M |",
        "2": "α ≈ -0.51 + 0.02·(layers - 2)² - 0.01·(tokens - 2)²",
        "7": "| 3,200 | 132.7 | 125.0 |",
        "11": "| small data | 2L_768d_2tok: lowest A |",
    }
    for number, sentence in sentences.items():
        patterns = [wrong.absent for wrong in WRONG if wrong.statement.startswith(f"{number}:")]
        assert any(re.search(pattern, sentence) for pattern in patterns), number


def test_december_through_compare() -> None:
    comparison, _ = build_comparison(
        [published(CONTEXT_DIM)], names=["x"], by="context_dim", law="exp-decay", objective="ppl", x="samples"
    )
    differences = table(comparison, "pair-differences")[0]
    assert differences["mean_difference"].value == pytest.approx(-0.003, abs=0.0005)
    parameters = {row["parameter"].value: row for row in table(comparison, "pair-parameters")}
    assert parameters["ppl_min"]["value_first"].value == pytest.approx(132.5, rel=0.002)
    assert parameters["ppl_min"]["value_second"].value == pytest.approx(122.8, rel=0.002)
    assert 100 * parameters["ppl_min"]["change"].value == pytest.approx(-7.3, abs=0.05)
    assert 100 * parameters["A"]["change"].value == pytest.approx(61.2, abs=0.5)
    assert 100 * parameters["b"]["change"].value == pytest.approx(246, abs=1)
    assert 100 * parameters["c"]["change"].value == pytest.approx(-30.8, abs=0.1)
    ranks = table(comparison, "pair-ranks")[0]
    assert (round(ranks["er_dims_first"].value), round(ranks["er_dims_second"].value)) == (174, 209)
    assert ranks["added_dims"].value == 64
