"""Phase 1 against the golden iterations, against autograd, and rule by rule."""

import math
from dataclasses import replace

import pytest
import torch
from core_cases import (
    Golden,
    agree,
    plain_context_block,
    plain_recurrence,
    plain_windows,
    random_context_block,
)
from torch import Tensor

from cvfp_cli.core.config import LossOver, ModelConfig, Phase1Config
from cvfp_cli.core.draws import normal_rows
from cvfp_cli.core.fixed_point import FixedPoint, FixedPointTrainer
from cvfp_cli.core.model import ContextBlock, Stream
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Event, Iteration

SILENT = lambda event: None  # noqa: E731


def trainer_of(
    block: ContextBlock,
    stream: Stream,
    config: Phase1Config,
    piece_tokens: int = 10**6,
    seed: int = 0,
    device_rows: int | None = None,
) -> FixedPointTrainer:
    return FixedPointTrainer(
        block,
        stream,
        config,
        seed,
        piece_tokens=piece_tokens,
        arithmetic=Arithmetic("cpu"),
        device_rows=device_rows,
    )


def after_tokens(state: FixedPoint) -> Tensor:
    """The context after each token, (N, D)."""
    return state.contexts.read(1, len(state.contexts))


@pytest.mark.parametrize("piece_tokens", [10**6, 50, 25, 7])
def test_golden_iterations(golden_trained: Golden, piece_tokens: int) -> None:
    case, given = golden_trained, golden_trained.figures["phase1"]
    config = Phase1Config(
        learning_rate=given["learning_rate"],
        noise=given["noise"],
        diversity_weight=given["diversity_weight"],
        batch_tokens=given["batch_tokens"],
        grad_clip=given["grad_clip"],
        convergence_mse=given["convergence_mse"],
        min_iterations=given["iterations"],
        max_iterations=given["iterations"],
    )
    trainer = trainer_of(case.context_block, case.stream(), config, piece_tokens)
    state = trainer.start()
    state.contexts.write(1, case.tensors["phase1.initial_contexts"])
    for wanted in given["log"]:
        trainer.iterate(state, SILENT)
        entry = state.log[-1]
        agree(entry.loss, wanted["loss"])
        agree(entry.mse, wanted["cvfp"])
        agree(entry.diversity, wanted["diversity"])
        agree(entry.rate, wanted["converged"])
    assert state.finished
    agree(after_tokens(state), case.tensors["phase1.final_contexts"])
    for key, value in case.context_block.state_dict().items():
        agree(value, case.tensors["phase1.after.context." + key.removeprefix("layers.")])


def small_problem(
    tokens: int = 2, token_input: str = "all_layers", activation: str = "relu", length: int = 47
):  # type: ignore[no-untyped-def]
    model = ModelConfig(2, 6, tokens, token_input, activation=activation)
    block = random_context_block(model, 4, 1)
    generator = torch.Generator().manual_seed(2)
    table = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 9, (length,), generator=generator)
    return block, ids, table


def plain_gradients(
    block: ContextBlock,
    ids: Tensor,
    table: Tensor,
    tokens: int,
    config: Phase1Config,
    previous: Tensor,
    noise: Tensor,
) -> tuple[list[Tensor], Tensor, float]:
    """One iteration by the words of method.md: autograd through every reduction."""
    given = torch.cat([previous[-1:], previous[:-1]]) + noise
    outputs = plain_context_block(block, given, plain_windows(ids, table, tokens))[-1]
    size = len(ids) if config.loss_over == "stream" else config.batch_tokens
    losses, logged = [], 0.0
    for y, before in zip(outputs.split(size), previous.split(size), strict=True):
        diversity = -(y - y.mean(0)).square().sum().sqrt() / len(y)
        if config.diversity == "oacd":
            diversity = diversity + 0.1 * y.mean(0).square().sum()
        loss = (1 - config.diversity_weight) * (
            y - before
        ).square().mean() + config.diversity_weight * diversity
        losses.append(loss)
        logged += float(loss.detach()) * len(y) / len(ids)
    total = sum(losses) / len(losses)
    parameters = list(block.parameters())
    return list(torch.autograd.grad(total, parameters)), outputs.detach(), logged


@pytest.mark.parametrize("piece_tokens", [10**6, 20, 10, 3])
@pytest.mark.parametrize("loss_over", ["batch", "stream"])
@pytest.mark.parametrize(
    ("diversity", "weight"), [("spread", 0.8), ("oacd", 1.0), ("oacd", 0.5), ("spread", 0.0)]
)
@pytest.mark.parametrize(
    ("tokens", "token_input", "activation"), [(2, "all_layers", "relu"), (3, "first_layer", "gelu")]
)
def test_gradients_are_those_of_autograd(
    piece_tokens: int,
    loss_over: str,
    diversity: str,
    weight: float,
    tokens: int,
    token_input: str,
    activation: str,
) -> None:
    """A last batch of 7 tokens against batches of 10, noise, every loss, pieces larger and smaller than a batch."""
    block, ids, table = small_problem(tokens, token_input, activation)
    config = Phase1Config(
        batch_tokens=10,
        loss_over=loss_over,
        diversity=diversity,
        diversity_weight=weight,
        noise=0.2,
        grad_clip=1e9,
    )
    trainer = trainer_of(block, Stream(ids, table, tokens), config, piece_tokens, seed=5)
    state = trainer.start()
    previous = torch.randn(47, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    state.contexts.write(1, previous)
    noise = normal_rows((5, "noise", 2), 0, 47, torch.empty(47, 6, dtype=torch.float64), 0.2)
    gradients, outputs, logged = plain_gradients(block, ids, table, tokens, config, previous, noise)
    trainer.iterate(state, SILENT)
    for parameter, wanted in zip(block.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(after_tokens(state), outputs, rtol=0, atol=1e-12)
    assert state.log[-1].loss == pytest.approx(logged, rel=1e-5)
    change = (outputs - previous).square().mean(1)
    assert state.log[-1].rate == pytest.approx(float((change < 0.03).double().mean()))


@pytest.mark.parametrize("loss_over", ["batch", "stream"])
def test_contexts_on_the_host_change_not_a_bit(loss_over: LossOver) -> None:
    found = []
    for device_rows in (None, 0, 1, 19, 48):
        block, ids, table = small_problem()
        config = Phase1Config(batch_tokens=10, noise=0.1, loss_over=loss_over)
        trainer = trainer_of(block, Stream(ids, table, 2), config, piece_tokens=9, device_rows=device_rows)
        state = trainer.start()
        for _ in range(3):
            trainer.iterate(state, SILENT)
        assert state.contexts.device_rows == (48 if device_rows is None else device_rows)
        found.append((after_tokens(state), [replace(entry, seconds=0.0) for entry in state.log]))
    for contexts, log in found[1:]:
        assert torch.equal(contexts, found[0][0])
        assert log == found[0][1]


def test_gradient_is_clipped_once_to_the_norm() -> None:
    block, ids, table = small_problem()
    norms = []
    for clip in (1e9, 1e-3):
        fresh = random_context_block(ModelConfig(2, 6, 2), 4, 1)
        fresh.load_state_dict(block.state_dict())
        trainer = trainer_of(fresh, Stream(ids, table, 2), Phase1Config(batch_tokens=10, grad_clip=clip))
        trainer.iterate(trainer.start(), SILENT)
        norms.append(torch.stack([p.grad.norm() for p in fresh.parameters() if p.grad is not None]).norm())
    assert float(norms[0]) > 1e-3
    assert float(norms[1]) == pytest.approx(1e-3, rel=1e-2)


def test_start_is_random_or_the_untrained_recurrence() -> None:
    block, ids, table = small_problem(length=3000)
    stream = Stream(ids, table, 2)
    random = trainer_of(block, stream, Phase1Config()).start()
    assert float(after_tokens(random).std()) == pytest.approx(0.01, rel=0.05)
    sequential = trainer_of(block, stream, Phase1Config(start="sequential")).start()
    torch.testing.assert_close(
        after_tokens(sequential), plain_recurrence(block, ids, table, 2), rtol=0, atol=1e-9
    )
    assert [state.iterations for state in (random, sequential)] == [1, 1]


def judged(config: Phase1Config, rates: list[float]) -> FixedPoint:
    """Apply the stopping rules to a sequence of rates from iteration 2 on, until they stop."""
    block, ids, table = small_problem()
    trainer = trainer_of(block, Stream(ids, table, 2), config)
    state = trainer.start()
    for rate in rates:
        entry = Iteration(state.iterations + 1, 0.0, 0.0, 0.0, rate, 0.0)
        trainer._judge(state, entry)
        state.log.append(entry)
        if state.finished:
            break
    return state


def test_stops_when_the_ratio_is_reached_but_not_before_the_minimum() -> None:
    config = Phase1Config(min_iterations=5, max_iterations=10, converged_ratio=0.9)
    early = judged(config, [0.95] * 9)
    assert (early.iterations, early.converged, early.stopped_by) == (5, True, "ratio")
    late = judged(config, [0.1, 0.2, 0.3, 0.4, 0.5, 0.91, 0.95])
    assert (late.iterations, late.converged) == (7, True)
    fallen = judged(config, [0.95, 0.95, 0.1, 0.1, 0.95])
    assert (fallen.iterations, fallen.converged) == (6, True)


def test_stops_at_the_limit_unconverged() -> None:
    state = judged(Phase1Config(max_iterations=8), [0.5] * 20)
    assert (state.iterations, state.converged, state.stopped_by) == (8, False, "iterations")


def test_december_rule_wants_two_small_steps_in_a_row_above_one_half() -> None:
    config = Phase1Config(
        min_iterations=3,
        max_iterations=60,
        converged_ratio=0.9,
        min_improvement=0.01,
        improvement_from=0.5,
        improvement_patience=2,
    )
    below = judged(config, [0.4, 0.401, 0.402, 0.403] + [0.45] * 3 + [0.95])
    assert (below.iterations, below.converged) == (9, True)
    broken = judged(config, [0.5, 0.505, 0.6, 0.605, 0.606])
    assert (broken.iterations, broken.converged) == (6, False)
    off = judged(replace(config, min_improvement=0.0), [0.6] * 10 + [0.95])
    assert (off.iterations, off.converged) == (12, True)


def test_pieces_change_nothing_but_rounding() -> None:
    figures = []
    for piece_tokens in (10**6, 10, 4):
        block, ids, table = small_problem()
        config = Phase1Config(batch_tokens=10, max_iterations=6)
        trainer = trainer_of(block, Stream(ids, table, 2), config, piece_tokens)
        state = trainer.start()
        while not state.finished:
            trainer.iterate(state, SILENT)
        figures.append(after_tokens(state).clone())
    torch.testing.assert_close(figures[0], figures[1], rtol=0, atol=1e-9)
    torch.testing.assert_close(figures[0], figures[2], rtol=0, atol=1e-6)


def test_goes_on_from_a_snapshot_with_the_same_bits() -> None:
    def run(break_after: int | None) -> FixedPoint:
        block, ids, table = small_problem()
        stream = Stream(ids, table, 2)
        config = Phase1Config(batch_tokens=10, max_iterations=8, min_iterations=8)
        trainer = trainer_of(block, stream, config)
        state = trainer.start()
        while not state.finished:
            trainer.iterate(state, SILENT)
            if state.iterations == break_after:
                saved = trainer.snapshot(state)
                trainer = trainer_of(random_context_block(ModelConfig(2, 6, 2), 4, 99), stream, config)
                state = trainer.restore(saved)
        return state

    whole, broken = run(None), run(4)
    assert torch.equal(after_tokens(whole), after_tokens(broken))
    assert [e.loss for e in whole.log] == [e.loss for e in broken.log]


def test_reports_every_iteration_and_all_its_tokens() -> None:
    block, ids, table = small_problem()
    trainer = trainer_of(block, Stream(ids, table, 2), Phase1Config(batch_tokens=10), piece_tokens=20)
    events: list[Event] = []
    trainer.iterate(trainer.start(), events.append)
    assert sum(event.tokens for event in events if not isinstance(event, Iteration)) == 47
    assert isinstance(events[-1], Iteration)


def test_equal_outputs_have_no_spread_to_pull_apart() -> None:
    """A batch of one token: ‖y − mean‖ is 0, its gradient 0 and not NaN."""
    block, ids, table = small_problem(length=11)
    trainer = trainer_of(block, Stream(ids, table, 2), Phase1Config(batch_tokens=10))
    state = trainer.start()
    trainer.iterate(state, SILENT)
    assert all(bool(torch.isfinite(p).all()) for p in block.parameters())
    assert math.isfinite(state.log[-1].loss or math.nan)
