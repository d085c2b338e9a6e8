"""The mean of the seeds' probabilities as a run of its own, against probabilities written out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_fakes import FakeOutcome, Recorder, fake_run, sweep_into, tiny_recipe, without_times

from cvfp_cli.sweeps.ensembles import mixed
from cvfp_cli.sweeps.session import Ended

TARGETS = 35  # of the stand-in's validation


def losses_of(seed: int, samples: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng([seed, samples]).exponential(3.0, TARGETS).astype(np.float32).astype(float)


def run_with_losses(config: Any, data: Any, *rest: Any, **named: Any) -> FakeOutcome:
    """The stand-in's figures, with a loss for each target."""
    made = fake_run(config, data, *rest, **named).result
    losses = losses_of(config.seed, len(data.train_ids))
    return FakeOutcome(replace(made, target_losses=losses, val_loss=float(losses.mean())))


def recipe(seeds: list[int], **more: Any) -> Any:
    return tiny_recipe(grid__layers=[1], data__samples=[2, 4], runs__seeds=seeds, runs__ensemble=True, **more)


def ensembles(ended: Ended) -> list[Any]:
    return [run for run in ended.runs if run.kind == "ensemble"]


def test_a_mean_of_probabilities_written_out() -> None:
    p = np.array([[0.5, 0.1, 1e-300], [0.25, 0.3, 1e-310]])
    assert np.exp(-mixed([-np.log(row) for row in p]))[:2] == pytest.approx([0.375, 0.2], rel=1e-12)
    assert mixed([-np.log(row) for row in p])[2] == pytest.approx(-np.log(p[:, 2].mean()), rel=1e-12)


def test_each_configuration_and_size_has_one_with_what_it_costs(tmp_path: Path) -> None:
    ended = sweep_into(tmp_path / "out", recipe([5, 6, 7]), run=run_with_losses)
    made = ensembles(ended)
    assert [(run.config, run.samples) for run in made] == [
        ("1L_8d_1tok x3", 2), ("1L_8d_2tok x3", 2), ("1L_8d_1tok x3", 4), ("1L_8d_2tok x3", 4)
    ]  # fmt: skip
    assert len(ended.fits) == 4  # the ensembles have laws of their own
    for run in made:
        members = [
            one for one in ended.here if (one.config + " x3", one.samples) == (run.config, run.samples)
        ]
        tokens = members[0].train_tokens
        mean = np.mean([np.exp(-losses_of(seed, tokens)) for seed in (5, 6, 7)], axis=0)
        assert run.val_loss == pytest.approx(float(-np.log(mean).mean()), rel=1e-12)
        assert run.val_ppl == pytest.approx(float(np.exp(-np.log(mean).mean())), rel=1e-12)
        by_sample = np.split(-np.log(mean), [12, 24])
        assert run.sample_losses == pytest.approx([part.mean() for part in by_sample], rel=1e-9)
        assert run.parameters.total == 3 * members[0].parameters.total
        assert run.parameters.body == 3 * members[0].parameters.body
        assert run.flops == pytest.approx(sum(one.flops for one in members))
        assert run.total_seconds == pytest.approx(sum(one.total_seconds for one in members))
        assert (run.seed, run.val_accuracy, run.epochs, run.train_ppl) == (None, None, None, None)


def test_finished_runs_are_not_trained_again_for_it_and_others_may_join(tmp_path: Path) -> None:
    alone = replace(recipe([5, 6]), runs=replace(recipe([5, 6]).runs, ensemble=False))
    assert ensembles(sweep_into(tmp_path / "out", alone, run=run_with_losses)) == []
    watcher = Recorder()
    first = ensembles(sweep_into(tmp_path / "out", recipe([5, 6]), run=run_with_losses, watcher=watcher))
    assert watcher.names() == []
    assert [run.config for run in first] == ["1L_8d_1tok x2", "1L_8d_2tok x2"] * 2
    again = ensembles(sweep_into(tmp_path / "out", recipe([5, 6]), run=run_with_losses))
    assert [without_times(run) for run in again] == [without_times(run) for run in first]
    more = ensembles(sweep_into(tmp_path / "out", recipe([5, 6, 7]), run=run_with_losses))
    assert sorted({run.config for run in more}) == [
        "1L_8d_1tok x2", "1L_8d_1tok x3", "1L_8d_2tok x2", "1L_8d_2tok x3"
    ]  # fmt: skip


def test_without_all_members_there_is_none_and_the_reason_is_said(tmp_path: Path) -> None:
    def failing(config: Any, data: Any, *rest: Any, **named: Any) -> FakeOutcome:
        if (config.model.tokens, config.seed, len(data.train_ids)) == (2, 6, 24):
            raise MemoryError
        return run_with_losses(config, data, *rest, **named)

    told: list[str] = []
    ended = sweep_into(tmp_path / "out", recipe([5, 6]), run=failing, warn=told.append)
    assert [(run.config, run.samples) for run in ensembles(ended)].count(("1L_8d_2tok x2", 2)) == 0
    assert len(ensembles(ended)) == 3
    assert told == ["no ensemble of 1L_8d_2tok at 2 samples: 1 run of 2 ended without figures."]
    (tmp_path / "out" / "runs" / "1L_8d_1tok_s4_seed6" / "losses.npy").write_bytes(b"torn")
    for left in (tmp_path / "out" / "runs").glob("*x2*"):
        (left / "result.json").unlink()
    told.clear()
    ended = sweep_into(tmp_path / "out", recipe([5, 6]), run=run_with_losses, warn=told.append)
    assert len(ensembles(ended)) == 3
    assert "1L_8d_1tok at 4 samples: seed 6 has no losses.npy" in told[0]


def test_one_seed_is_no_ensemble(tmp_path: Path) -> None:
    told: list[str] = []
    assert ensembles(sweep_into(tmp_path / "out", recipe([5]), run=run_with_losses, warn=told.append)) == []
    assert told == ["no ensemble: it takes two seeds or more of a configuration (--seeds 42-44)."]
