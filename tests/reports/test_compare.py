"""``cvfp compare`` as data: pairs within a study and across studies, and what keeps figures apart."""

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import (
    ARCHITECTURES,
    CONTEXT_DIM,
    LANGUAGES,
    MATRIX,
    SHALLOW_WIDE,
    data_numbers,
    findings,
    full_summary,
    markdown,
    published,
    report,
    results,
    simulated,
    table,
    with_failures,
)

from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import MAIN
from cvfp_cli.reports.comparability import summed
from cvfp_cli.reports.compare import build_comparison
from cvfp_cli.reports.model import Finding, Report, Table
from cvfp_cli.reports.pairs import change_of
from cvfp_cli.reports.plain import render_csv, render_plain
from cvfp_cli.reports.plot import plot_format, render_plot
from cvfp_cli.reports.scope import fit_family
from cvfp_cli.reports.text import load_language
from cvfp_cli.results import Results
from cvfp_cli.results.schema import Parameters
from cvfp_cli.scaling.result import Estimate
from cvfp_cli.study.families import families_of


def compared(*sources: Results, **options: object) -> Report:
    names = [f"file{i}.json" for i in range(len(sources))]
    return build_comparison(sources, names=names, **options)[0]


def codes(made: Report) -> set[str]:
    return set(findings(made))


def test_the_matrix_has_all_its_pairs_with_holm_over_them() -> None:
    rows = table(compared(published(MATRIX)), "pair-lines")
    assert len(rows) == 36
    smallest = min(rows, key=lambda row: row["p_slopes"].value)
    assert (smallest["first"].value, smallest["second"].value) == ("1L_768d_1tok", "2L_768d_1tok")
    assert 36 * smallest["p_slopes"].value == pytest.approx(0.07, abs=0.005)
    # No pair is more certain than all nine are together, where each may have its own variance.
    assert smallest["p_slopes_holm"].value == pytest.approx(0.0753, abs=0.0005)
    assert min(row["p_lines_holm"].value for row in rows) < 0.001
    assert smallest["method"].value == Finding("pair-paired", {"sizes": 4})


def test_pairs_of_one_study_have_the_p_values_of_its_report() -> None:
    """One configuration noisier than the others made false differences in 5 to 10 % of studies, in 1 to 4 % there."""
    noisy = [
        replace(run, val_ppl=(run.val_ppl or 0.0) * float(np.exp(0.15 * np.random.default_rng(i).normal())))
        if run.tokens == 3
        else run
        for i, run in enumerate(simulated(layers=(1,), tokens=(1, 2, 3), noise=0.01, slope_step=0.05))
    ]
    made = table(compared(results(noisy)), "pair-lines")
    own = {(row["first"].value, row["second"].value): row["p_slopes_holm"].value for row in made}
    (family,) = families_of([results(noisy)], ["file0.json"])
    its = {(pair.first, pair.second): pair.slope_holm for pair in fit_family(family, [MAIN], 0.95).pairs()}
    assert own.keys() == its.keys()
    assert own == pytest.approx(its)


def test_a_study_against_an_earlier_one() -> None:
    made = compared(published(MATRIX), published(SHALLOW_WIDE), configs=("1L_768d_2tok", "3L_1536d_2tok"))
    assert "data-unknown" in codes(made)
    row = table(made, "pair-differences")[0]
    at = {column: value.value for column, value in row.items() if column.startswith("difference-at")}
    assert at  # the last common size
    assert row["mean_difference"].value == pytest.approx(
        math.exp(np.mean(np.log([672.0 / 591.3, 400.9 / 400.3, 284.6 / 295.1, 197.0 / 189.4]))) - 1
    )
    assert row["mean_difference"].low < 0 < row["mean_difference"].high
    ranks = table(made, "pair-ranks")[0]
    assert ranks["added_dims"].value == 768


def test_runs_that_did_not_finish_are_counted() -> None:
    made = compared(results(with_failures(simulated())))
    assert findings(made)["runs-failed"].values["failed"] == 2
    assert "2 runs did not finish" in render_plain(made, load_language("en"))
    assert "runs-failed" not in codes(compared(results(simulated())))


def test_layers_9_is_worse_than_the_baseline_at_every_size() -> None:
    made = compared(published(ARCHITECTURES), configs=("baseline", "layers_9"))
    sizes = next(
        block
        for section in made.sections
        for block in section.blocks
        if isinstance(block, Table) and block.key == "pair-differences"
    )
    differences = [
        value.value
        for value, column in zip(sizes.rows[0], sizes.columns, strict=True)
        if column.key == "difference-at"
    ]
    assert len(differences) == 4
    assert all(difference > 0 for difference in differences)


def test_by_keeps_pairs_that_differ_in_one_factor() -> None:
    pairs = {
        (row["first"].value, row["second"].value)
        for row in table(compared(published(ARCHITECTURES), by="context_dim"), "pair-differences")
    }
    assert pairs == {("baseline", "context_dim_1152")}
    pairs = {
        (row["first"].value, row["second"].value)
        for row in table(compared(published(MATRIX), by="tokens"), "pair-differences")
    }
    assert len(pairs) == 9
    with pytest.raises(InputError, match="no two of these configurations differ in context_dim alone"):
        compared(published(MATRIX), by="context_dim")


def test_crossing_point_and_ratio_follow_the_lines() -> None:
    made = compared(
        results(simulated(layers=(1, 2), tokens=(1,), noise=0.001, slope_step=0.1, layer_effect=1.2, seed=3))
    )
    crossing = table(made, "pair-lines")[0]["crossing"].value
    assert isinstance(crossing, Finding)
    assert crossing.code == "crossing-at"
    assert crossing.values["low"] < math.exp(12) < crossing.values["high"]
    assert crossing.values["x"] == pytest.approx(math.exp(12), rel=0.05)
    ratios = table(made, "pair-ratios")[0]
    n = 1e7
    expected = math.exp(1.2 - 0.1 * math.log(n))
    last = ratios["ratio_beyond"]
    assert last.value == pytest.approx(expected, rel=0.02)
    assert last.low < expected < last.high


def test_what_data_are_worth_follows_the_simulated_levels_also_across_files_and_kinds() -> None:
    runs = simulated(noise=0.001, token_effect=-0.25, layers=(1, 2))
    named = {
        (row["first"].value, row["second"].value): row for row in table(compared(results(runs)), "worth")
    }
    row = named["1L_128d_1tok", "1L_128d_2tok"]
    assert row["worth"].value == pytest.approx(math.exp(0.5), rel=0.02)
    assert row["worth"].low < math.exp(0.5) < row["worth"].high
    assert row["worth_verdict"].value == Finding("worth-more")
    assert row["worth_first"].value / row["worth_second"].value == pytest.approx(row["worth"].value)
    assert named["1L_128d_1tok", "2L_128d_1tok"]["worth_verdict"].value == Finding("worth-undecided")
    kinds = [replace(run, kind="other") if run.tokens == 2 else run for run in runs]
    both = table(compared(results(kinds)), "worth")[-1]
    assert (both["first"].value, both["second"].value) == ("cvfp", "other")
    assert both["worth"].value == pytest.approx(math.exp(0.5), rel=0.02)
    # Another study, other data: independent lines.
    moved = [replace(run, study="later", data_fingerprint="other") for run in runs if run.tokens == 2]
    apart = table(compared(results([run for run in runs if run.tokens == 1]), results(moved)), "worth")
    assert len(apart) == 6
    assert apart[1]["worth"].value == pytest.approx(math.exp(0.5), rel=0.02)
    assert apart[1]["worth"].low < math.exp(0.5) < apart[1]["worth"].high


def test_no_size_of_a_crossing_is_one_that_no_text_can_have() -> None:
    made = compared(published(MATRIX))
    row = next(
        row
        for row in table(made, "pair-lines")
        if (row["first"].value, row["second"].value) == ("1L_768d_1tok", "1L_768d_3tok")
    )
    crossing = row["crossing"].value
    assert isinstance(crossing, Finding)
    assert crossing.values["high"] is None
    assert crossing.values["high_reason"] == Finding("size-beyond", {"limit": 1e18})
    text = render_plain(made, load_language("en"))
    shown = next(line for line in text.splitlines() if re.search(r"1L_768d_1tok +1L_768d_3tok +paired", line))
    assert re.search(r"[\d,]+ \[[\d,]+, beyond 1×10¹⁸\]$", shown)
    assert "below 1" in text
    assert not re.search(r"\d(,\d{3}){6}", text)
    assert not re.search(r"\d(,\d{3}){6}", render_plain(made, load_language("ja")))
    sizes = [
        cell["crossing"].value.values.get(key)
        for cell in table(made, "pair-lines")
        for key in ("x", "low", "high")
    ]
    assert all(size is None or 1 <= size <= 1e18 for size in sizes)


@pytest.mark.parametrize(
    ("counts", "pattern"), [((49_536, 173_000), r"\d{1,3}(,\d{3})*"), ((200_000, 3_000_000), r"\d+\.\d\dM")]
)
def test_a_column_of_parameters_has_one_format(counts: tuple[int, int], pattern: str) -> None:
    runs = [
        replace(
            run,
            parameters=Parameters(counts[run.tokens != 1], counts[0] // 2, None),
            val_ppl=(run.val_ppl or 0.0) / (run.tokens or 1),
        )
        for run in simulated(layers=(1,))
    ]
    for made, key, name in (
        (compared(results(runs)), "summary", "phase1_parameters"),
        (report(results(runs)), "pareto-parameters", "cost_parameters"),
    ):
        found = next(
            block
            for section in made.sections
            for block in section.blocks
            if isinstance(block, Table) and block.key == key
        )
        index = [column.key for column in found.columns].index(name)
        shown = [load_language("en").figure(row[index], found.columns[index].kind) for row in found.rows]
        assert len(shown) == 2
        assert all(re.fullmatch(pattern, text) for text in shown)


def other_data(**changes: object) -> list:
    return [
        replace(run, study="other", run_id=f"other-{run.run_id}", **changes)
        for run in simulated(layers=(1,), tokens=(1,), seed=2)
    ]


def summary_of(
    runs: list, tokenizer: str = "bpe:4096", validation: str = "last:40", fingerprint: str = ""
) -> Results:
    return results(
        runs,
        data={
            "tokenizer": {"name": tokenizer, "fingerprint": fingerprint or tokenizer},
            "validation": {"source": validation, "fingerprint": validation},
        },
    )


def test_other_data_are_compared_as_independent_lines_with_a_warning() -> None:
    here = simulated(layers=(1,), tokens=(1,))
    made, warnings = build_comparison(
        [summary_of(here), summary_of(other_data(data_fingerprint="zzz"))], names=["a", "b"]
    )
    assert [warning.code for warning in warnings] == ["data-differ"]
    row = table(made, "pair-lines")[0]
    assert row["method"].value == Finding("pair-independent")
    line1, line2 = (
        np.polyfit(np.log([run.train_tokens for run in runs]), np.log([run.val_ppl for run in runs]), 1)
        for runs in (here, other_data())
    )
    assert row["slope_difference"].value == pytest.approx(line2[0] - line1[0])
    with pytest.raises(KeyError):
        table(made, "pair-differences")


def test_other_tokenizers_compare_by_bits_per_byte_alone() -> None:
    here = simulated(layers=(1,), tokens=(1,))
    there = other_data(data_fingerprint="zzz", val_tokens=30000)
    made, warnings = build_comparison(
        [summary_of(here), summary_of(there, tokenizer="gpt2")], names=["a", "b"]
    )
    assert "tokenizer-differ" in {warning.code for warning in warnings}
    assert "validation-differ" not in {warning.code for warning in warnings}
    row = table(made, "pair-bits")[0]
    last = max(here, key=lambda run: run.samples or 0)
    assert row["bits_first"].value == pytest.approx((last.val_loss or 0) / math.log(2) * 19999 / 91234)
    for absent in ("pair-differences", "pair-lines", "pair-ratios"):
        with pytest.raises(KeyError):
            table(made, absent)


def test_other_validation_text_is_noticed() -> None:
    here = simulated(layers=(1,), tokens=(1,))
    for there in (
        summary_of(other_data(val_bytes=5)),
        summary_of(other_data(), validation="train_sft:0-9"),
    ):
        _, warnings = build_comparison([summary_of(here), there], names=["a", "b"])
        assert "validation-differ" in {warning.code for warning in warnings}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ["data-unknown", "data-differ", "tokenizer-differ", "validation-differ"])
def test_warnings_of_one_kind_are_summed_from_three_on(code: str, language: str) -> None:
    catalogue = load_language(language)

    def warning(i: int) -> Finding:
        values = {
            "first": f"a{i}",
            "second": f"b{i}",
            "first_tokenizer": "bpe:1",
            "second_tokenizer": f"t{i}",
        }
        return Finding(code, values, "warning")

    other = Finding("data-differ" if code != "data-differ" else "data-unknown", warning(7).values, "warning")
    assert summed([warning(0), other, warning(1)]) == (warning(0), warning(1), other)
    many = summed([*(warning(i) for i in range(3)), other])
    assert len(many) == 2
    assert many[1] == other
    sentence = catalogue.sentence(many[0])
    for words in ("3", "a0", "b0", *(("t2",) if code == "tokenizer-differ" else ())):
        assert words in sentence


def test_one_file_of_one_study_gives_no_warning() -> None:
    _, warnings = build_comparison([full_summary(simulated())], names=["a"])
    assert warnings == ()


def test_names_that_are_not_there_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no configuration '1L_768d_2tk'.*Did you mean 1L_768d_2tok"):
        compared(published(MATRIX), configs=("1L_768d_2tk",))
    with pytest.raises(InputError, match="There are baseline"):
        compared(published(ARCHITECTURES), configs=("zzz",))


def test_one_configuration_says_that_there_is_nothing_to_compare() -> None:
    made = compared(published(MATRIX), configs=("1L_768d_1tok",))
    assert made.sections[1].omitted == Finding("pairs-one-configuration", {}, "note")


def test_nothing_to_compare_at_all_is_an_error() -> None:
    failed = [replace(run, status="failed", val_ppl=None) for run in simulated()]
    with pytest.raises(InputError, match="No finished run"):
        compared(results(failed))


def test_x_needs_to_be_known() -> None:
    with pytest.raises(InputError, match="--x samples"):
        compared(results([replace(run, samples=None) for run in simulated()]), x="samples")


def test_parameters_of_a_law_that_has_too_few_sizes_are_told() -> None:
    made = compared(results(simulated(samples=(50,))), law="exp-decay")
    told = [finding for finding in made.findings() if finding.code == "law-needs-sizes"]
    assert "exp-decay" in {finding.values["law"] for finding in told}


@given(
    st.floats(0.1, 50),
    st.floats(0.1, 50),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_the_change_of_a_parameter_reduces_to_the_ratio_and_widens_with_either(
    first: float, second: float, below: float, above: float
) -> None:
    one = Estimate(first, first * (1 - below), first * (1 + above))
    two = Estimate(second, second * (1 - below), second * (1 + above))
    change = change_of(one, two)
    assert change.value == pytest.approx(second / first - 1)
    assert change.low < change.value < change.high
    sharper = change_of(Estimate(first, first, first), two)
    assert change.low <= sharper.low
    assert sharper.high <= change.high
    assert sharper.low == pytest.approx(two.low / first - 1, abs=1e-9)
    opened = change_of(Estimate(first, None, None), two)
    assert (opened.low, opened.high) == (None, None)
    negative = change_of(
        Estimate(-first, -first * 1.1, -first * 0.9), Estimate(-second, -second * 1.1, -second * 0.9)
    )
    assert negative.value == pytest.approx(second / first - 1)
    assert negative.low < negative.value < negative.high


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_format_shows_the_same_pairs(language: str) -> None:
    made = compared(published(CONTEXT_DIM), law="saturating", x="samples")
    catalogue = load_language(language)
    for text in (markdown(made, language), render_plain(made, catalogue)):
        assert "1L_256d_1tok" in text
        assert "-0.5%" in text
        assert "53.5%" in text
    assert 122795.0 in data_numbers(made) or 1600 in data_numbers(made)


def test_plain_tables_are_aligned_and_hold_no_control_characters() -> None:
    runs = [replace(run, config=f"{run.config}\x1b[31m") for run in simulated()]
    text = render_plain(compared(results(runs)), load_language("ja"))
    assert "\x1b" not in text
    from wcwidth import wcswidth

    rule = next(i for i, line in enumerate(text.splitlines()) if line.startswith("---"))
    lines = text.splitlines()
    rows = lines[rule + 1 : rule + 5]
    assert len({wcswidth(row) for row in rows} | {wcswidth(lines[rule])}) <= 2


def test_csv_is_tidy_and_complete() -> None:
    made = compared(published(MATRIX))
    rows = list(csv.DictReader(io.StringIO(render_csv(made))))
    alpha = [row for row in rows if row["table"] == "summary" and row["column"] == "alpha"]
    assert len(alpha) == 9
    assert float(alpha[0]["value"]) == pytest.approx(-0.5461, abs=1e-4)
    assert float(alpha[0]["low"]) < float(alpha[0]["value"]) < float(alpha[0]["high"])
    assert [row["mark"] for row in alpha].count("tied") == 8
    at = [row for row in rows if row["table"] == "pair-differences" and row["column"] == "difference-at@500"]
    assert len(at) == 36


def test_csv_cells_cannot_become_formulas() -> None:
    runs = [replace(run, config="=HYPERLINK(1)") for run in simulated(layers=(1,), tokens=(1, 2))]
    for line in render_csv(compared(results(runs))).splitlines()[1:]:
        assert not line.split(",")[1].lstrip('"').startswith("=")


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_plot_is_drawn(form: str) -> None:
    made = compared(published(MATRIX))
    data = render_plot(made, load_language("ja"), form)
    assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])
    assert len(data) > 5000


def test_a_plot_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"Name a \.png"):
        plot_format(Path("x.bmp"))


def test_runs_that_were_still_improving_are_said_to_be_in_report_and_comparison() -> None:
    ended = [
        replace(run, best_epoch=10, epochs=10, stopped_by="epochs") if run.tokens == 1 else run
        for run in simulated()
    ]
    labels = tuple(dict.fromkeys(run.config for run in ended if run.tokens == 1))
    sources = full_summary(ended)
    for made in (report(sources), compared(sources)):
        found = findings(made)["still-improving"]
        assert (found.values["configs"], found.severity) == (labels, "warning")
        assert found.values["count"] == sum(run.tokens == 1 for run in ended)
        for language in LANGUAGES:
            assert labels[0] in load_language(language).sentence(found)
    assert findings(report(sources))["fit-still-improving"].values["configs"] == labels
    assert "still-improving" not in codes(compared(full_summary(list(simulated()))))


def test_two_tokenizers_of_one_name_are_told_apart() -> None:
    files = [
        summary_of(runs, fingerprint=fingerprint)
        for runs, fingerprint in (
            (simulated(layers=(1,), tokens=(1,)), "aaaa1111ff"),
            (other_data(), "bbbb2222ff"),
        )
    ]
    _, warnings = build_comparison(files, names=["a", "b"])
    values = next(warning.values for warning in warnings if warning.code == "tokenizer-differ")
    assert values["first_tokenizer"] == "bpe:4096 [aaaa1111]"
    assert values["second_tokenizer"] == "bpe:4096 [bbbb2222]"
