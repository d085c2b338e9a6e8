"""A finding's sentence changes when its input flips, in both languages."""

from dataclasses import replace

import pytest
from report_cases import LANGUAGES, findings, full_summary, report, results, simulated, table, with_failures

from cvfp_cli.reports.model import Report
from cvfp_cli.reports.text import load_language
from cvfp_cli.results.schema import Run

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

SEEDS = (0, 1, 2)
WIDE = {"layers": (1, 2, 3), "tokens": (1, 2, 3), "seeds": SEEDS, "noise": 0.005}


def flat(runs: list[Run], **changes: object) -> list[Run]:
    return [replace(run, **changes) for run in runs]


FLIPS = {
    "ppl decided or not": (
        lambda: report(results(simulated(seeds=SEEDS, token_effect=-0.3, layer_effect=0.3))),
        "lowest-ppl-best",
        lambda: report(results(simulated(seeds=SEEDS, token_effect=0.0, noise=0.05))),
        "lowest-ppl-tied",
    ),
    "ppl without noise": (
        lambda: report(results(simulated(samples=(100,), seeds=SEEDS))),
        "noise-seeds",
        lambda: report(results(simulated(samples=(100,)))),
        "lowest-ppl-unknown",
    ),
    "slopes differ or not": (
        lambda: report(results(simulated(**WIDE, slope_step=0.1))),
        "equal-slopes-rejected",
        lambda: report(results(simulated(**WIDE))),
        "equal-slopes-kept",
    ),
    "pairs differ or not": (
        lambda: report(results(simulated(**WIDE, slope_step=0.1))),
        "slope-pairs-differ",
        lambda: report(results(simulated(**WIDE))),
        "slope-pairs-none",
    ),
    "levels differ or not": (
        lambda: report(results(simulated(token_effect=-0.3, noise=0.01))),
        "equal-levels-rejected",
        lambda: report(results(simulated(token_effect=0.0, noise=0.2))),
        "equal-levels-kept",
    ),
    "depth costs or helps": (
        lambda: report(results(simulated(**WIDE, layer_effect=0.05))),
        "hypothesis-depth-supported",
        lambda: report(results(simulated(**WIDE, layer_effect=-0.05))),
        "hypothesis-depth-contradicted",
    ),
    "depth not decided": (
        lambda: report(results(simulated(**WIDE, layer_effect=0.05))),
        "hypothesis-depth-supported",
        lambda: report(results(simulated(layers=(1, 2, 3), tokens=(1, 2, 3), noise=0.3))),
        "hypothesis-depth-undecided",
    ),
    "richer input helps or hurts": (
        lambda: report(results(simulated(**WIDE, token_effect=-0.1))),
        "hypothesis-richer-input-supported",
        lambda: report(results(simulated(**WIDE, token_effect=0.1))),
        "hypothesis-richer-input-contradicted",
    ),
    "third token adds nothing or much": (
        lambda: report(results(simulated(**WIDE, token_effect=0.0))),
        "hypothesis-third-token-supported",
        lambda: report(results(simulated(**WIDE, token_effect=-0.1))),
        "hypothesis-third-token-contradicted",
    ),
    "recommended or not": (
        lambda: report(results(simulated(seeds=SEEDS, token_effect=-0.3, layer_effect=0.3))),
        "recommend-ppl",
        lambda: report(results(simulated(seeds=SEEDS, token_effect=0.0, noise=0.05))),
        "undecided-ppl-tied",
    ),
    "steepest or not": (
        lambda: report(results(simulated(layers=(1, 2), tokens=(1,), seeds=SEEDS, slope_step=0.2))),
        "recommend-alpha",
        lambda: report(results(simulated(layers=(1, 2), tokens=(1,), seeds=SEEDS))),
        "undecided-alpha-tied",
    ),
    "large data": (
        lambda: report(results(simulated(layers=(1, 2), tokens=(1,), seeds=SEEDS, slope_step=0.2))),
        "recommend-large",
        lambda: report(results(simulated(layers=(1, 2), tokens=(1,), seeds=SEEDS, noise=0.1))),
        "undecided-large-tied",
    ),
    "balance": (
        lambda: report(results(simulated(seeds=SEEDS, token_effect=-0.3, layer_effect=0.3))),
        "recommend-balance",
        lambda: report(results(simulated(seeds=SEEDS, token_effect=0.0, noise=0.05))),
        "undecided-balance-tied",
    ),
    "default needs parameters": (
        lambda: report(results(simulated(seeds=SEEDS))),
        "recommend-default",
        lambda: report(results(flat(simulated(seeds=SEEDS), parameters=Run.parameters))),
        "undecided-default-absent",
    ),
    "one best needs no parameters": (
        lambda: report(
            results(
                flat(simulated(seeds=SEEDS, token_effect=-0.3, layer_effect=0.3), parameters=Run.parameters)
            )
        ),
        "recommend-default-unpriced",
        lambda: report(results(flat(simulated(seeds=SEEDS), parameters=Run.parameters))),
        "undecided-default-absent",
    ),
    "converged or not": (
        lambda: report(results(simulated())),
        "all-converged",
        lambda: report(results(flat(simulated(), phase1_converged=False))),
        "not-converged",
    ),
    "convergence unknown": (
        lambda: report(results(simulated())),
        "all-converged",
        lambda: report(results(flat(simulated(), phase1_converged=None))),
        "convergence-unrecorded",
    ),
    "a step gets worse or none": (
        lambda: report(results(simulated())),
        "no-worse-steps",
        lambda: report(
            results([replace(run, val_ppl=9e9) if run.samples == 400 else run for run in simulated()])
        ),
        "worse-steps",
    ),
    "unigram beaten or not": (
        lambda: report(results(simulated())),
        "unigram-beaten",
        lambda: report(results(flat(simulated(), unigram_ppl=2.0))),
        "unigram-not-beaten",
    ),
    "recipe changed or not": (
        lambda: report(full_summary(simulated())),
        "recipe-overridden",
        lambda: report(results(simulated(), recipe={"name": "demo", "overrides": {}, "resolved": {}})),
        "recipe-unchanged",
    ),
    "times known or not": (
        lambda: report(results(simulated())),
        "total-time",
        lambda: report(results(flat(simulated(), seconds=Run.seconds, stages=()))),
        "time-unrecorded",
    ),
    "runs failed": (
        lambda: report(results(with_failures(simulated()))),
        "runs-failed",
        lambda: report(results(simulated())),
        "run-count",
    ),
    "gap": (
        lambda: report(
            results(
                [
                    replace(
                        run, train_ppl=run.val_ppl * (0.2 if run.layers == 1 else 0.9) * (1 + run.seed / 100)
                    )
                    for run in simulated(tokens=(1,), seeds=SEEDS)
                ]
            )
        ),
        "smallest-gap-best",
        lambda: report(
            results(
                [
                    replace(run, train_ppl=run.val_ppl * (1 + run.seed / 100) * (0.9 + run.layers / 1e5))
                    for run in simulated(seeds=SEEDS)
                ]
            )
        ),
        "smallest-gap-tied",
    ),
}


def sentence(made: Report, code: str, language: str) -> str:
    found = findings(made)
    assert code in found, sorted(found)
    return load_language(language).sentence(found[code])


@pytest.mark.parametrize("name", FLIPS)
def test_the_sentence_flips_with_its_input(name: str) -> None:
    first, code, second, other = FLIPS[name]
    one, two = first(), second()
    assert code not in findings(two)
    for language in LANGUAGES:
        assert sentence(one, code, language) != sentence(two, other, language)
        assert sentence(two, other, language)


def test_the_figures_in_a_sentence_follow_the_data() -> None:
    low = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.3)))
    high = report(
        results(
            [replace(run, val_ppl=run.val_ppl * 2) for run in simulated(seeds=(0, 1, 2), token_effect=-0.3)]
        )
    )
    for language in LANGUAGES:
        assert sentence(low, "total-change", language) == sentence(high, "total-change", language)
        assert sentence(low, "lowest-ppl-tied", language) != sentence(high, "lowest-ppl-tied", language)


def test_an_earlier_study_that_is_better_worse_or_the_same() -> None:
    earlier = [
        replace(run, study="old", run_id=f"old-{run.run_id}")
        for run in simulated(layers=(1,), tokens=(1,), noise=0.001)
    ]
    here = simulated(layers=(1,), tokens=(1,), noise=0.001, seed=9)
    codes = {}
    for name, factor in (("lower", 0.8), ("higher", 1.25), ("undecided", 1.0)):
        now = [replace(run, val_ppl=run.val_ppl * factor) for run in here]
        made = report(results(now), earlier=results(earlier), earlier_name="old.json")
        codes[name] = next(
            code for code in findings(made) if code.startswith(("previous-l", "previous-h", "previous-u"))
        )
    assert codes == {name: f"previous-{name}" for name in codes}


@pytest.mark.parametrize(
    ("study", "here", "there"),
    [
        ("old", "1L_128d_1tok (simulated)", "1L_128d_1tok (old)"),
        ("simulated", "1L_128d_1tok (results/summary.json)", "1L_128d_1tok (old.json)"),
    ],
)
def test_configurations_of_one_name_are_told_apart_from_the_earlier_study_s(
    study: str, here: str, there: str
) -> None:
    runs = [replace(run, study="simulated") for run in simulated(layers=(1,), tokens=(1,))]
    earlier = [replace(run, study=study, run_id=f"old-{run.run_id}", data_fingerprint=None) for run in runs]
    made = report(results(runs), earlier=results(earlier), earlier_name="old.json")
    found = findings(made)
    verdict = found["previous-undecided"].values
    assert (verdict["config"], verdict["previous"]) == (here, there)
    # Two files are two files, whatever their configurations are called.
    unknown = found["data-unknown"].values
    assert (unknown["first"], unknown["second"]) == (there, here)


def test_the_pareto_set_says_which_steps_are_beyond_the_noise() -> None:
    made = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.3, noise=0.01)))
    steps = [row["beyond_noise"].value for row in table(made, "pareto-parameters")]
    assert steps[0] == "first"
    assert "yes" in steps
    close = report(results(simulated(seeds=(0, 1, 2), token_effect=-0.001, noise=0.05, samples=(50, 400))))
    assert {row["beyond_noise"].value for row in table(close, "pareto-parameters")} <= {"first", "no"}
