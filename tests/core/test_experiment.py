"""Whole experiments: determinism, resumption, every head and start, divergence, memory."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cvfp_cli.core import experiment as experiment_module
from cvfp_cli.core.config import (
    Execution,
    ExperimentConfig,
    HeadConfig,
    ModelConfig,
    Phase1Config,
    Phase2Config,
)
from cvfp_cli.core.experiment import Outcome, run_experiment
from cvfp_cli.core.memory import MemoryPlan, plan
from cvfp_cli.core.result import Epoch, ExperimentData, Iteration, RunResult
from cvfp_cli.errors import InputError, WorkError


def text(length: int, seed: int) -> np.ndarray:
    """A Markov chain over 40 tokens, four successors each, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    successors = np.random.default_rng(0).integers(0, 40, (40, 4))
    ids = [0]
    for _ in range(length - 1):
        ids.append(int(successors[ids[-1], generator.integers(4)]))
    return np.array(ids, dtype=np.int64)


DATA = ExperimentData(
    train_ids=text(1500, 1),
    val_ids=text(300, 2),
    val_boundaries=np.arange(0, 301, 30),
    val_bytes=900,
    table=np.random.default_rng(3).standard_normal((40, 16)).astype(np.float32),
)
CONFIG = ExperimentConfig(
    ModelConfig(2, 12, 2),
    HeadConfig(logit_scale=0.3, learn_logit_scale=True, bias="unigram"),
    Phase1Config(batch_tokens=400, max_iterations=8),
    Phase2Config(batch_tokens=32, epochs=4, patience=0, learning_rate=0.02),
)
CPU = Execution("cpu")


def run(config: ExperimentConfig = CONFIG, **given: Any) -> Outcome:
    return run_experiment(config, DATA, given.pop("execution", CPU), **given)


def figures(outcome: Outcome) -> object:
    return without_times(outcome.result)


def without_times(result: RunResult) -> RunResult:
    stages = tuple(replace(stage, seconds=0.0) for stage in result.stages)
    return replace(result, stages=stages, peak_memory_bytes=0)


def test_learns_more_than_the_unigram_and_reports_its_best_epoch() -> None:
    events: list[object] = []
    result = run(progress=events.append).result
    epochs = [event for event in events if isinstance(event, Epoch)]
    iterations = [event for event in events if isinstance(event, Iteration)]
    assert result.val_ppl is not None
    assert result.val_ppl < 0.5 * result.unigram_ppl
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    assert (result.best_epoch, result.val_ppl, result.train_ppl) == (best.epoch, best.val_ppl, best.train_ppl)
    assert result.own["phase1_iterations"] == len(iterations) == iterations[-1].iteration
    assert result.val_loss == pytest.approx(
        np.average(result.sample_losses, weights=result.sample_targets), rel=1e-6
    )
    assert sum(result.sample_targets) == 299


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, again, other = run(), run(), run(replace(CONFIG, seed=7))
    assert figures(first) == figures(again)
    assert all(torch.equal(value, again.weights[key]) for key, value in first.weights.items())
    assert first.result.val_ppl != other.result.val_ppl


class Memory:
    """A checkpoint that keeps deep copies, and breaks the run after some saves."""

    def __init__(self, break_after: int = 10**9) -> None:
        self.kept: dict[str, Any] | None = None
        self.saves = 0
        self.break_after = break_after

    def load(self) -> dict[str, Any] | None:
        return self.kept

    def save(self, state: dict[str, Any]) -> None:
        import copy

        self.kept = copy.deepcopy(state)
        self.saves += 1
        if self.saves == self.break_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("break_after", [1, 5, 8, 10])
@pytest.mark.parametrize("contexts", ["phase1", "recurrence"])
def test_goes_on_after_a_break_with_the_same_bits(break_after: int, contexts: str) -> None:
    config = replace(CONFIG, phase2=replace(CONFIG.phase2, train_contexts=contexts))
    whole = run(config)
    memory = Memory(break_after)
    with pytest.raises(KeyboardInterrupt):
        run(config, checkpoint=memory)
    broken = run(config, checkpoint=memory)
    assert figures(whole) == figures(broken)
    assert all(torch.equal(value, broken.weights[key]) for key, value in whole.weights.items())


@pytest.mark.parametrize(
    ("model", "head", "phase1", "phase2"),
    [
        ({"token_input": "first_layer"}, {}, {}, {}),
        ({"token_block": "early"}, {}, {"start": "sequential"}, {"train_contexts": "recurrence"}),
        ({}, {"weights": "untied", "bias": "zero"}, {"loss_over": "stream", "diversity_weight": 0.5}, {}),
        ({}, {"table": "trained"}, {}, {}),
        (
            {"activation": "gelu", "initialisation": "xavier", "tokens": 1, "layers": 1},
            {},
            {"diversity": "oacd", "diversity_weight": 1.0, "grad_clip": 2.0, "min_improvement": 0.01},
            {"min_improvement": 0.4, "patience": 1},
        ),
    ],
)
def test_every_recipe_s_ways_run(model: dict, head: dict, phase1: dict, phase2: dict) -> None:
    config = ExperimentConfig(
        replace(CONFIG.model, **model),
        replace(CONFIG.head, **head),
        replace(CONFIG.phase1, **phase1),
        replace(CONFIG.phase2, **phase2),
    )
    outcome = run(config)
    result = outcome.result
    assert result.val_ppl is not None
    assert result.val_ppl < result.unigram_ppl
    assert 0 < (result.own["val_effective_rank"] or 0) <= 1
    trained_matrix = head.get("weights") == "untied" or head.get("table") == "trained"
    assert ("head.weight" in outcome.weights) == trained_matrix


def test_weights_are_those_of_the_best_epoch() -> None:
    """A learning rate that overshoots: later epochs are worse, and must not be what is kept."""
    config = replace(CONFIG, phase2=replace(CONFIG.phase2, epochs=6, learning_rate=0.05))
    result = run(config)
    best = result.result.best_epoch
    assert best is not None
    cut = run(replace(config, phase2=replace(config.phase2, epochs=best)))
    assert cut.result.val_ppl == result.result.val_ppl
    assert all(torch.equal(value, cut.weights[key]) for key, value in result.weights.items())


def test_a_run_that_diverges_says_so_and_has_no_figures() -> None:
    result = run(replace(CONFIG, phase2=replace(CONFIG.phase2, learning_rate=1e38))).result
    assert result.stopped_by == "diverged"
    broken = run(replace(CONFIG, phase1=replace(CONFIG.phase1, noise=1e38))).result
    assert (broken.stopped_by, broken.val_ppl, broken.epochs) == ("diverged", None, 0)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="token 40"):
        run_experiment(CONFIG, replace(DATA, train_ids=np.array([1, 40, 2])), CPU)
    with pytest.raises(InputError, match="validation stream has 1 token"):
        run_experiment(CONFIG, replace(DATA, val_ids=np.array([1])), CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError("Unable to allocate 8 GiB"),
    ],
)
def test_out_of_memory_starts_again_in_smaller_pieces(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    budgets: list[int] = []
    real = experiment_module._Run.outcome

    def starved(self: Any) -> Outcome:
        budgets.append(self.execution.memory_bytes)
        if self.execution.memory_bytes > 2**28:
            raise error
        return real(self)

    monkeypatch.setattr(experiment_module._Run, "outcome", starved)
    told: list[str] = []
    outcome = run(execution=Execution("cpu", memory_bytes=2**30), notify=told.append)
    assert budgets == [2**30, 2**29, 2**28]
    assert len(told) == 2
    assert outcome.result.val_ppl == run(execution=Execution("cpu", memory_bytes=2**28)).result.val_ppl


@pytest.mark.parametrize("contexts", ["phase1", "recurrence"])
def test_contexts_on_the_host_change_not_a_bit(monkeypatch: pytest.MonkeyPatch, contexts: str) -> None:
    """A CPU is its own host, so the plan is told to cut a stream in two."""
    config = replace(
        CONFIG, phase2=replace(CONFIG.phase2, train_contexts=contexts), effective_rank_tokens=900
    )
    whole = run(config)
    planned = experiment_module._Run.plan_for
    cut = lambda *given: replace(planned(*given), device_rows=700)  # noqa: E731
    monkeypatch.setattr(experiment_module._Run, "plan_for", staticmethod(cut))
    parted = run(config)
    assert parted.result.execution_path["pieces"]["device_rows"] == 700
    assert figures(parted) == replace(
        without_times(whole.result), execution_path=parted.result.execution_path
    )
    assert all(torch.equal(value, parted.weights[key]) for key, value in whole.weights.items())


def test_effective_rank_is_measured_on_as_many_random_tokens_as_asked() -> None:
    ranks = [
        run(replace(CONFIG, effective_rank_tokens=tokens)).result.own["train_effective_rank"]
        for tokens in (0, 1500, 5, 5)
    ]
    assert ranks[0] == ranks[1]
    assert ranks[2] == ranks[3] != ranks[0]
    assert ranks[2] is not None
    assert ranks[2] <= 5 / CONFIG.model.context_dim + 1e-6  # five rows have five singular values


GB = 10**9


def planned_on(device_bytes: int | None, train_tokens: int, config: ExperimentConfig) -> MemoryPlan:
    sizes = {"val_tokens": 20_000, "vocab_size": 50_257, "embed_dim": 768}
    return plan(
        config,
        Execution("cuda", "bf16", device_bytes=device_bytes),
        train_tokens=train_tokens,
        **sizes,
    )


WIDE = ExperimentConfig(ModelConfig(1, 768, 1))


def test_contexts_beyond_the_device_are_planned_for_the_host() -> None:
    whole = planned_on(None, 10_000_000, WIDE)
    assert (whole.device_rows, whole.host_bytes) == (10_000_001, 0)
    parted = planned_on(24 * GB, 10_000_000, WIDE)
    assert 0.75 * 24 * GB < parted.peak_bytes < 0.86 * 24 * GB
    assert parted.host_bytes + 4 * 768 * parted.device_rows == 4 * 768 * 10_000_001
    assert parted.phase1_tokens == whole.phase1_tokens
    assert planned_on(24 * GB, 500_000, WIDE) == planned_on(None, 500_000, WIDE)
    assert planned_on(2 * GB, 10_000_000, WIDE).device_rows == 0


def test_what_the_recurrence_writes_to_stays_on_the_device() -> None:
    """And is counted: twice beside what phase 1 kept."""
    true = replace(WIDE, phase2=replace(WIDE.phase2, train_contexts="recurrence"))
    counted = planned_on(24 * GB, 10_000_000, true)
    assert counted.host_bytes == 0
    assert counted.held_bytes - planned_on(None, 10_000_000, WIDE).held_bytes == 2 * 4 * 768 * 10_000_001


def test_any_other_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> Outcome:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(experiment_module._Run, "outcome", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run()


def test_not_enough_memory_at_all_says_what_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(self: Any) -> Outcome:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(experiment_module._Run, "outcome", starved)
    with pytest.raises(WorkError, match="alone take"):
        run()


def test_pieces_follow_from_the_budget_and_change_figures_only_by_rounding() -> None:
    sizes = {"train_tokens": 1500, "val_tokens": 300, "vocab_size": 40, "embed_dim": 16}
    small, large = Execution("cpu", memory_bytes=60_000), Execution("cpu", memory_bytes=2**31)
    plans = [plan(CONFIG, execution, **sizes) for execution in (small, large)]
    assert plans[0].phase1_tokens < plans[1].phase1_tokens
    assert plans[0].phase2_tokens < plans[1].phase2_tokens == CONFIG.phase2.batch_tokens
    outcomes = [run(execution=execution).result for execution in (small, large)]
    assert outcomes[0].val_ppl == pytest.approx(outcomes[1].val_ppl, rel=1e-3)
    assert outcomes[0].execution_path["pieces"] == plans[0].as_dict()


def test_a_loss_beyond_all_reason_is_no_figure_however_finite_it_is() -> None:
    """A learning rate that throws the head's logits away: finite losses of thousands of nats."""
    config = replace(CONFIG, phase2=replace(CONFIG.phase2, learning_rate=1000.0))
    outcome = run(config)
    result = outcome.result
    assert (result.stopped_by, result.epochs) == ("diverged", 4)
    assert (result.val_ppl, result.val_loss, result.train_ppl, result.val_accuracy) == (None,) * 4
    assert (result.best_epoch, result.val_loss_se, result.sample_losses) == (None, None, ())
    assert result.reason.startswith("the best validation loss, ")
    assert result.reason.endswith("nats, is more than 20 above that of a uniform guess, 3.689")
    # Phase 1 did not diverge, and its figures stand.
    assert result.own["val_effective_rank"] > 0


def test_what_ended_phase_1_and_its_rates() -> None:
    result = run(replace(CONFIG, phase1=replace(CONFIG.phase1, max_iterations=3))).result
    first, *rates = result.own["phase1_rate_by_iteration"]
    assert (first, len(rates), rates[-1]) == (None, 2, result.own["phase1_rate"])
    assert result.own["phase1_stopped_by"] == "iterations"


def test_the_last_table_is_told_apart_by_its_whole_device() -> None:
    last = experiment_module._LastTable()
    here = last.on(torch.device("meta:0"), DATA.table)
    assert last.on(torch.device("meta:0"), DATA.table) is here
    assert last.on(torch.device("meta:1"), DATA.table) is not here
