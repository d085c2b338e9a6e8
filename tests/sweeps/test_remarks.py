"""What a command says of runs that learned nothing, or that a limit cut short."""

from dataclasses import replace
from pathlib import Path

from sweep_fakes import plan_for, sweep_into, tiny_recipe

from cvfp_cli.recipes import Recipe, load_recipe
from cvfp_cli.results import Run
from cvfp_cli.sweeps.remarks import remarks

GOOD = Run(
    "1L_8d_1tok", 1, 8, 1, 50, 600, seed=42, val_ppl=100.0, unigram_ppl=900.0, best_epoch=3, epochs=4,
    stopped_by="patience",
)  # fmt: skip
USELESS = replace(GOOD, val_ppl=900.0)
IMPROVING = replace(GOOD, best_epoch=10, epochs=10, stopped_by="epochs")


def said(runs: list[Run], recipe: Recipe) -> dict[str, str]:
    return {note.code: note.message for note in remarks(runs, recipe)}


def test_nothing_is_said_of_runs_that_ended_well() -> None:
    failed = replace(GOOD, status="failed", val_ppl=None)
    worse = replace(GOOD, best_epoch=9, epochs=10, stopped_by="epochs")
    unknown = replace(GOOD, unigram_ppl=None, val_ppl=5000.0)
    assert said([GOOD, failed, worse, unknown], load_recipe()) == {}


def test_a_run_no_better_than_the_unigram_model_is_told_what_would_help() -> None:
    fixed = said([GOOD, USELESS], load_recipe())["unigram-not-beaten"]
    assert fixed.startswith("1 of 2 runs is no better than the unigram model, so nothing was learned: ")
    assert "1L_8d_1tok at 50 samples, seed 42." in fixed
    assert "--set head.logit_scale=0.05 --set head.learn_logit_scale=true --set head.bias=unigram" in fixed
    demo = load_recipe("demo")  # whose head is that one
    assert said([USELESS], demo)["unigram-not-beaten"].endswith("or a lower phase2.learning_rate.")
    short = replace(IMPROVING, val_ppl=1000.0)
    assert "More epochs would help" in said([short], demo)["unigram-not-beaten"]
    no_number = replace(USELESS, val_ppl=None)  # a PPL that no number holds
    assert "unigram-not-beaten" in said([no_number], demo)


def test_a_run_still_improving_at_its_limit_is_told_how_to_go_on() -> None:
    runs = [replace(IMPROVING, seed=seed) for seed in range(5)]
    message = said(runs, load_recipe())["still-improving"]
    assert message.startswith("5 of 5 runs are still improving at the limit of 10 epochs: ")
    assert "; and 2 more. --set phase2.epochs=20" in message


def test_phase_1_still_converging_at_its_limit_is_said_too() -> None:
    cut = replace(
        GOOD,
        phase1_iterations=40,
        phase1_converged=False,
        phase1_stopped_by="iterations",
        phase1_rate_by_iteration=(None, 0.2, 0.3),
    )
    message = said([cut, replace(cut, seed=43)], load_recipe())["still-converging"]
    assert message.startswith(
        "2 of 2 runs were still converging when phase 1 ended at its limit of 40 iterations: "
    )
    assert said([cut], load_recipe())["still-converging"].startswith("the run was still converging when ")
    assert said([replace(cut, phase1_rate_by_iteration=(None, 0.3, 0.2))], load_recipe()) == {}
    assert said([replace(cut, phase1_stopped_by="improvement")], load_recipe()) == {}
    assert said([replace(cut, phase1_rate_by_iteration=None)], load_recipe()) == {}


def test_validation_tokens_are_held_against_the_recipes(tmp_path: Path) -> None:
    same, _ = plan_for(tiny_recipe(validation__expected_tokens=36), tmp_path / "same")
    assert same.notes == ()
    other, _ = plan_for(tiny_recipe(validation__expected_tokens=31024), tmp_path / "other")
    (note,) = other.notes
    assert (note.code, note.severity) == ("validation-tokens-unexpected", "warning")
    assert note.message.startswith("The validation text has 36 tokens, and demo expects 31,024: ")


def test_what_decides_no_figure_makes_no_other_study(tmp_path: Path) -> None:
    """Runs keep their names where a recipe learns what to expect, or says how a head starts that it has not."""
    plain, _ = plan_for(tiny_recipe(), tmp_path / "a")
    expecting, _ = plan_for(tiny_recipe(validation__expected_tokens=36), tmp_path / "b")
    assert plain.identity == expecting.identity
    assert "start" not in plain.identity["head"]
    starts = [
        plan_for(tiny_recipe(head__weights="untied", head__start=start), tmp_path / start)[0]
        for start in ("zero", "uniform")
    ]
    assert starts[0].jobs[0].run_id != starts[1].jobs[0].run_id


def test_a_folder_keeps_what_ended_its_runs(tmp_path: Path) -> None:
    ended = sweep_into(tmp_path / "out")
    assert {run.still_improving for run in ended.runs} == {True}
    assert {run.still_converging for run in ended.runs if run.tokens == 1} == {True}
    assert all("still-improving" in {note["code"] for note in fit["warnings"]} for fit in ended.fits)
