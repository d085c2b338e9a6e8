"""Sentences on data of unusual shapes: flat, rising, repeated exactly, of other axes, of one size each, unfinished."""

import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from report_cases import (
    LANGUAGES,
    findings,
    full_summary,
    markdown,
    report,
    results,
    simulated,
    table,
)

from cvfp_cli.reports.comparability import summed
from cvfp_cli.reports.compare import build_comparison, with_summed_warnings
from cvfp_cli.reports.model import Heatmap, Report
from cvfp_cli.reports.plain import render_plain
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Run

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

ALL = ("all",)


def reshaped(runs: list[Run], ppl: Callable[[Run], float]) -> list[Run]:
    """The same runs with other perplexities."""
    return [
        replace(run, val_ppl=ppl(run), val_loss=math.log(ppl(run)), train_ppl=0.6 * ppl(run)) for run in runs
    ]


def flat() -> Report:
    return report(results(reshaped(simulated(), lambda run: 300.0)), laws_fitted=ALL)


def rising() -> Report:
    return report(results(reshaped(simulated(), lambda run: 1e6 / (run.val_ppl or 1.0))), laws_fitted=ALL)


def exact_repeats() -> list[Run]:
    return [
        replace(run, seed=seed, run_id=f"{run.run_id}-{seed}") for run in simulated() for seed in (0, 1, 2)
    ]


def on_another_axis() -> list[Run]:
    """Three values of an axis; the last ones alone would have other figures."""
    return [
        replace(
            run,
            config=f"{run.config}_{weight}",
            run_id=f"{run.run_id}-{weight}",
            axes={**run.axes, "phase1.diversity_weight": weight},
        )
        for weight in (0, 0.5, 1)
        for run in reshaped(
            simulated(tokens=(1,), layers=(1, 2, 3)), lambda run, w=weight: (run.val_ppl or 1) * (1 + w)
        )
    ]


def one_size_each() -> Report:
    runs = simulated(layers=(1,), tokens=(1,), samples=(100,))
    return report(results(runs + simulated(layers=(2,), tokens=(1,), samples=(200,))), laws_fitted=ALL)


def none_finished() -> Report:
    runs = [replace(run, status="diverged", reason="not finite", val_ppl=None) for run in simulated()]
    return report(full_summary(runs))


def codes(made: Report) -> set[str]:
    return {finding.code for finding in made.findings()}


def verdict(made: Report, purpose: str) -> str:
    row = next(row for row in table(made, "recommendations") if row["purpose"].value == purpose)
    return str(row["recommendation"].value.code)


def answers(made: Report) -> dict[str, str]:
    return {str(row["question"].value): row["answer"].value.code for row in table(made, "checklist")}


@pytest.mark.parametrize("made", [flat, rising], ids=["flat", "rising"])
def test_where_no_line_falls_none_is_the_steepest(made: Callable[[], Report]) -> None:
    found = made()
    assert "steepest-none" in codes(found)
    assert "steepest-mean-none" in codes(found)
    assert verdict(found, "data-efficiency") == "no-slope-falls"
    for language in LANGUAGES:
        assert not re.search(r"steepest|急峻", markdown(found, language))


def test_flat_data_show_no_effect_and_are_not_called_too_few() -> None:
    found = flat()
    assert "hypothesis-richer-input-undecided" in codes(found)
    assert {code for code in codes(found) if code.startswith("surface-A")} == {"surface-A-none-differs"}
    assert "equal-lines-exact" in codes(found)
    assert "equal-lines-untested" not in codes(found)
    assert "changes by 0.0%." in markdown(found)


def test_rising_data_have_changes_with_a_sign_and_no_falls_below_zero() -> None:
    found = rising()
    text = markdown(found)
    assert "Change of PPL per doubling" in text
    assert "PPL falls per" not in text
    power = next(row for row in table(found, "changes") if row["law"].value == "power")
    change = power["change_per_doubling"]
    assert change.low < change.value < change.high
    assert change.value == pytest.approx(100 * (2**0.5 - 1), abs=3)
    assert table(report(results(simulated())), "reductions")


def test_repeats_that_agree_exactly_are_no_noise_of_zero() -> None:
    found = report(results(exact_repeats()))
    assert "lowest-ppl-tied" in codes(found)
    assert {f.values["column"] for f in found.findings() if f.code == "noise-lines"} >= {"best_ppl"}
    one_size = report(results(simulated(samples=(50,), seeds=(0, 1, 2))))
    assert "best_ppl" in {f.values["column"] for f in one_size.findings() if f.code == "noise-seeds"}


def test_every_value_of_another_axis_has_its_heatmap_and_its_effect() -> None:
    found = report(results(on_another_axis()))
    boxes = [
        block
        for section in found.sections
        for block in section.blocks
        if isinstance(block, Heatmap) and block.key == "best_ppl"
    ]
    assert len(boxes) == 3
    assert len({box.cells[0][0].value for box in boxes}) == 3
    for language in LANGUAGES:
        assert "phase1.diversity_weight 0.5" in markdown(found, language)
    steps = {
        (row["factor"].value, row["step"].value.values.get("to")): row["ppl_change"].value
        for row in table(found, "factors")
    }
    assert steps["phase1.diversity_weight", 0.5] == pytest.approx(0.5, abs=0.03)
    assert steps["phase1.diversity_weight", 1] == pytest.approx(1 / 3, abs=0.03)


def test_as_many_parameters_are_decided_by_perplexity() -> None:
    found = report(results(on_another_axis()))
    default = next(row for row in table(found, "recommendations") if row["purpose"].value == "default")
    best = table(found, "pareto-parameters")[0]
    assert default["recommendation"].value.values["config"] == best["config"].value


def test_one_best_configuration_is_not_among_one() -> None:
    made = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.3, layer_effect=0.3)))
    assert verdict(made, "default") == "recommend-default-alone"
    assert "among the 1 " not in markdown(made)


def test_one_layer_is_written_as_one() -> None:
    made = report(results(simulated()))
    assert "are those of 1 layer." in markdown(made)
    assert "1 layers" not in markdown(made)


def test_equal_effective_ranks_are_one_figure_and_not_too_few() -> None:
    made = report(results(simulated(tokens=(1,), layers=(1, 2, 3))))
    assert "effective-rank-same" in codes(made)
    assert "hypothesis-rank-same" in codes(made)
    assert not re.search(r"between (\S+%) .*and \1", markdown(made))
    other = report(results(simulated()))
    assert {"effective-rank-range"} <= codes(other)
    assert "hypothesis-rank-same" not in codes(other)


def test_configurations_of_one_size_each_are_not_said_to_share_it() -> None:
    made = one_size_each()
    assert "only one size" not in markdown(made)
    assert verdict(made, "absolute-performance") == "undecided-ppl-alone"
    needs = [finding.values["least"] for finding in made.findings() if finding.code == "law-needs-sizes"]
    assert set(needs) == {2}
    assert "the files do not hold it" not in markdown(made)


def test_a_slope_of_one_configuration_is_said_to_be_the_only_one() -> None:
    runs = simulated(layers=(1,), tokens=(1,)) + simulated(layers=(2,), tokens=(1,), samples=(100,))
    assert verdict(report(results(runs)), "data-efficiency") == "undecided-alpha-alone"


def test_where_nothing_finished_the_checklist_speaks_of_what_was_tried() -> None:
    made = none_finished()
    found = answers(made)
    assert found["check-form"] == "check-no-fit"
    assert "check-variables" not in found
    assert found["check-seeds"] == "check-seeds"
    assert found["check-repetition"] == "check-epochs"
    assert "0 runs: " not in markdown(made)
    assert "- samples" not in markdown(made)


@pytest.mark.parametrize(("epochs", "code"), [(1, "check-epochs-once"), (2, "check-epochs")])
def test_one_epoch_is_no_repetition(epochs: int, code: str) -> None:
    made = report(results([replace(run, epochs=epochs) for run in simulated()]))
    assert answers(made)["check-repetition"] == code


def test_what_runs_say_of_themselves_is_said_once_whatever_the_laws() -> None:
    falling = (2.0, 1.5, 1.2, 1.1, 1.0)
    runs = [
        replace(
            run,
            stopped_by="epochs",
            best_epoch=5,
            val_ppl_by_epoch=tuple((run.val_ppl or 1.0) * factor for factor in falling),
        )
        for run in simulated()
    ]
    made = report(results(runs), laws_fitted=ALL)
    assert [f.code for f in made.findings()].count("fit-still-improving") == 1
    assert markdown(made).count("Small sizes need the most epochs") == 1


def test_one_factor_is_not_said_to_be_confused_with_itself() -> None:
    made = report(results(simulated(layers=(1, 2), tokens=(1,))))
    assert "factors-no-freedom" in codes(made)
    assert "factors-not-separable" not in codes(made)


def test_no_part_of_the_method_is_told_that_the_table_does_not_use() -> None:
    one = codes(report(results(simulated(samples=(100,)))))
    assert "factors-method-architecture" in one
    assert "factors-method-data" not in one
    several = codes(report(results(simulated())))
    assert {"factors-method-architecture", "factors-method-data", "factors-method-rank"} <= several


def test_a_law_that_cannot_be_compared_is_told_in_the_report_s_language() -> None:
    made, _ = build_comparison(
        [results(simulated(samples=(100,), seeds=(0, 1, 2)))], names=["x"], law="saturating"
    )
    text = render_plain(made, load_language("ja"))
    assert not re.search(r"a law needs|has 1 point", text)
    assert "saturating" in text


def two_studies() -> Report:
    here = simulated(tokens=(1,), layers=(1, 2, 3))
    there = [
        replace(run, study="second", run_id=f"b-{run.run_id}", data_fingerprint="other", val_bytes=99_999)
        for run in here
    ]
    return report(results(here), earlier=results(there), earlier_name="earlier.json")


def test_an_earlier_configuration_is_named_with_its_study_where_both_have_it() -> None:
    named = [finding.values for finding in two_studies().findings() if finding.code == "data-differ"]
    assert named
    assert all("(second)" in values["first"] and "(simulated)" in values["second"] for values in named)


def test_a_warning_about_many_pairs_is_one_line_and_others_stay_as_they_are() -> None:
    made = with_summed_warnings(two_studies())
    found = [finding.code for finding in made.findings()]
    assert found.count("data-differ-summed") == 1
    assert "data-differ" not in found
    law = findings(rising())["fit-rising"]
    assert summed([law] * 3) == (law,) * 3


def test_data_of_two_files_say_which_file_they_are_of_and_one_recipe_is_told_once() -> None:
    first = results(simulated(), data={"source": "pydocs", "tokenizer": {"name": "a", "fingerprint": "11"}})
    other = [replace(run, study="second", run_id=f"b-{run.run_id}") for run in simulated()]
    second = results(other, data={"source": "wiki"})
    made = report(first, second)
    keys = [row["key"].value for row in table(made, "data")]
    assert keys.count("file") == 2
    assert [f.code for f in made.findings()].count("recipe-unchanged") == 1
    assert "トークナイザーの指紋" in markdown(made, "ja")
    assert "file" not in [row["key"].value for row in table(report(full_summary(simulated())), "data")]


def of_another_kind() -> list[Run]:
    """A kind of model with one axis of its own, at two widths."""
    return [
        replace(
            run,
            config=f"wide_{(run.layers or 0) * 64}",
            run_id=f"other-{run.run_id}",
            kind="other",
            axes={"width": (run.layers or 0) * 64, "rate": 0.1},
            layers=None,
            tokens=None,
            context_dim=None,
        )
        for run in simulated(tokens=(1,))
    ]


def test_another_kind_of_model_takes_no_effect_away_and_adds_no_factor() -> None:
    alone, both = (report(results(runs)) for runs in (simulated(), simulated() + of_another_kind()))
    effects = [row["factor"].value for row in table(alone, "factors")]
    assert [row["factor"].value for row in table(both, "factors")] == effects
    asked = findings(both)["purpose"].values["factors"]
    assert set(asked) == {"layers", "tokens", "kind", "width"}


def test_which_layers_read_tokens_is_a_factor_too() -> None:
    first = [
        replace(
            run,
            token_input="first_layer",
            config=f"{run.config}_first",
            run_id=f"f-{run.run_id}",
            val_ppl=1.2 * (run.val_ppl or 1),
        )
        for run in simulated()
    ]
    rows = table(report(results(simulated() + first)), "factors")
    change = next(row["ppl_change"] for row in rows if row["factor"].value == "token_input")
    assert change.value == pytest.approx(0.2, abs=0.01)
