"""The parallel recurrence against a plain loop, for blocks that forget, keep and amplify."""

import math

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
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.core.config import ModelConfig
from cvfp_cli.core.model import Stream
from cvfp_cli.core.recurrence import true_contexts


@pytest.mark.parametrize("chunks", [1, 2, 5, 30, None])
def test_golden_contexts(golden: Golden, chunks: int | None) -> None:
    contexts, _ = true_contexts(golden.context_block, golden.stream(), chunks=chunks)
    agree(contexts, golden.tensors["sequential.contexts"])


def make(model: ModelConfig, length: int, seed: int, recurrent: float, dtype: torch.dtype = torch.float64):  # type: ignore[no-untyped-def]
    block = random_context_block(model, 5, seed, dtype, recurrent)
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(13, 5, generator=generator, dtype=torch.float64).to(dtype)
    ids = torch.randint(0, 13, (length,), generator=generator)
    return block, ids, table


@settings(max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(2, 10),
    st.integers(1, 3),
    st.sampled_from(["all_layers", "first_layer"]),
    st.integers(1, 400),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.5, 1.0, 5.0, 30.0]),
    st.integers(0, 2**31),
)
def test_equals_the_loop_in_float64(
    layers: int,
    dim: int,
    tokens: int,
    token_input: str,
    length: int,
    chunks: int,
    recurrent: float,
    seed: int,
) -> None:
    model = ModelConfig(layers, dim, tokens, token_input)
    block, ids, table = make(model, length, seed, recurrent)
    contexts, trace = true_contexts(block, Stream(ids, table, tokens), chunks=chunks)
    wanted = plain_recurrence(block, ids, table, tokens)
    assert contexts.shape == wanted.shape
    # Every context follows from the one before it, whatever the block.
    before = torch.cat([contexts.new_zeros(1, dim), contexts[:-1]])
    with torch.no_grad():
        after = plain_context_block(block, before, plain_windows(ids, table, tokens))[-1]
    torch.testing.assert_close(contexts, after, rtol=0, atol=1e-9)
    # Where a block amplifies, rounding grows with every step, in the loop as well: nothing more can be compared. From
    # weights of 1 on a few do (layers 2, width 7, seed 538).
    if recurrent < 1.0:
        torch.testing.assert_close(contexts, wanted, rtol=0, atol=1e-9)
    assert trace.tokens == length
    assert trace.largest_border_difference <= 1e-12


def test_a_block_that_keeps_runs_token_by_token_and_says_so() -> None:
    """c_t = LayerNorm(c_{t-1} + something tiny): differences never shrink, so nothing can be verified."""
    block, ids, table = make(ModelConfig(1, 6, 1), 4000, 3, 0.0)
    with torch.no_grad():
        block.layers[0].linear.weight.mul_(1e-6)
        block.layers[0].linear.bias.zero_()
    contexts, trace = true_contexts(block, Stream(ids, table, 1), chunks=20)
    torch.testing.assert_close(contexts, plain_recurrence(block, ids, table, 1), rtol=0, atol=1e-9)
    assert trace.single_steps >= 3000
    assert trace.growth == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("recurrent", [0.5, 5.0, 40.0])
def test_never_costs_more_than_two_loops(recurrent: float) -> None:
    """Batched steps are few, and after giving up the rest runs once: steps stay under twice the loop's."""
    block, ids, table = make(ModelConfig(1, 16, 1), 3000, 5, recurrent)
    _, trace = true_contexts(block, Stream(ids, table, 1))
    assert trace.steps + trace.single_steps <= 2 * trace.tokens
    assert trace.steps <= trace.tokens // 2


def test_trace_of_a_forgetting_block_in_float32() -> None:
    block, ids, table = make(ModelConfig(2, 32, 2), 3000, 7, 0.5, torch.float32)
    contexts, trace = true_contexts(block, Stream(ids, table, 2))
    assert trace.single_steps == 0
    assert trace.chunks > 10
    assert trace.steps < 3000 / 4
    assert trace.largest_border_difference <= 1e-6
    assert trace.growth is not None
    assert 0.0 < trace.growth < 1.0
    exact = plain_recurrence(block.double(), ids, table.double(), 2)
    assert float((contexts.double() - exact).abs().max()) < 1e-4


def test_failing_borders_are_run_again_from_the_right_state() -> None:
    """A block that forgets, but slower than the warm-up: every border fails at first, none in the end."""
    block, ids, table = make(ModelConfig(1, 8, 1), 2400, 11, 1.0)
    with torch.no_grad():
        block.layers[0].linear.weight.mul_(0.4)
    contexts, trace = true_contexts(block, Stream(ids, table, 1), chunks=4)
    assert trace.borders_rerun > 0
    assert trace.single_steps == 0
    torch.testing.assert_close(contexts, plain_recurrence(block, ids, table, 1), rtol=0, atol=1e-9)


def test_growth_is_the_factor_a_step() -> None:
    """With LayerNorm dominated by a fixed token part the difference shrinks by a known, measurable factor."""
    block, ids, table = make(ModelConfig(1, 24, 1), 6000, 13, 0.3)
    stream = Stream(ids, table, 1)
    _, trace = true_contexts(block, stream, chunks=30)
    # Measured directly: two runs from different contexts.
    tables = block.token_tables(stream.types)
    a = torch.zeros(1, 24, dtype=torch.float64)
    b = torch.randn(1, 24, dtype=torch.float64)
    begun = float((a - b).norm())
    steps = 32
    with torch.no_grad():
        for t in range(steps):
            parts = block.token_parts(tables, stream.window_types(slice(t, t + 1)))
            a, b = block.forward(a, parts)[-1], block.forward(b, parts)[-1]
    direct = math.pow(float((a - b).norm()) / begun, 1 / steps)
    assert trace.growth == pytest.approx(direct, rel=0.15)
