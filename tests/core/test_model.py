"""The blocks against their formulas written out, and against the golden forward passes."""

import math

import pytest
import torch
from core_cases import Golden, agree, plain_context_block, plain_windows, random_context_block
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_cli.core.config import ModelConfig
from cvfp_cli.core.model import ContextBlock, Stream, TokenBlock, initialise


def test_golden_windows_and_forward_passes(golden: Golden) -> None:
    stream = golden.stream()
    everything = slice(None)
    windows = stream.windows(everything)
    agree(windows, golden.tensors["windows"])
    block, context = golden.context_block, golden.tensors["forward.context_in"]
    with torch.no_grad():
        by_window = block.forward(context, windows)
        parts = block.token_parts(block.token_tables(stream.types), stream.window_types(everything))
        by_table = block.forward(context, parts)
        for i in range(golden.model.layers):
            agree(by_window[i], golden.tensors[f"forward.context.{i}"])
            agree(by_table[i], golden.tensors[f"forward.context.{i}"])
        agree(golden.token_block.forward(by_window, windows), golden.tensors["forward.token_out"])


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**31))
def test_windows_are_the_last_tokens_oldest_first(length: int, tokens: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 7, (length,), generator=generator)
    stream = Stream(ids, table, tokens)
    torch.testing.assert_close(stream.windows(slice(None)), plain_windows(ids, table, tokens))


@settings(max_examples=40)
@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 3),
    st.sampled_from(["all_layers", "first_layer"]),
    st.sampled_from(["relu", "gelu"]),
    st.integers(0, 2**31),
)
def test_token_tables_are_the_windows_product(
    layers: int, dim: int, tokens: int, token_input: str, activation: str, seed: int
) -> None:
    model = ModelConfig(layers, dim, tokens, token_input, activation=activation)
    block = random_context_block(model, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(11, 4, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 11, (20,), generator=generator)
    stream = Stream(ids, table, tokens)
    context = torch.randn(20, dim, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        wanted = plain_context_block(block, context, plain_windows(ids, table, tokens))
        parts = block.token_parts(block.token_tables(stream.types), stream.window_types(slice(None)))
        for got in (block.forward(context, parts), block.forward(context, stream.windows(slice(None)))):
            for u, right in zip(got, wanted, strict=True):
                torch.testing.assert_close(u, right)


def test_early_token_block_keeps_the_newest_token() -> None:
    model = ModelConfig(2, 6, 3, token_block="early")
    block = TokenBlock(model, 4).double()
    window = torch.randn(5, 12, dtype=torch.float64)
    contexts = [torch.randn(5, 6, dtype=torch.float64) for _ in range(2)]
    with torch.no_grad():
        for layer in block.layers:
            layer.linear.weight.zero_()
            layer.linear.bias.fill_(-1.0)  # ReLU gives 0, so only what is kept remains
        v = block.forward(contexts, window)
    newest = torch.nn.functional.layer_norm(window[:, 8:], (4,), eps=1e-5)
    torch.testing.assert_close(v, torch.nn.functional.layer_norm(newest, (4,), eps=1e-5))


@pytest.mark.parametrize("kind", [ContextBlock, TokenBlock])
def test_normal_initialisation_reaches_every_linear_map(kind: type) -> None:
    model = ModelConfig(3, 64, 2, "first_layer")
    block = kind(model, 48)
    initialise(block, model, torch.Generator().manual_seed(0))
    linear = [module for module in block.modules() if isinstance(module, torch.nn.Linear)]
    assert any(layer.residual is not None for layer in block.layers)
    for module in linear:
        spread = 0.1 / math.sqrt(2 * module.weight.numel())
        assert abs(float(module.weight.detach().std()) - 0.1) < 5 * spread
        assert 0.005 < float(module.bias.detach().std()) < 0.02
    for layer in block.layers:
        assert bool((layer.norm.weight == 1).all())
        assert bool((layer.norm.bias == 0).all())


def test_xavier_initialisation() -> None:
    model = ModelConfig(1, 64, 1, activation="gelu", initialisation="xavier")
    block = ContextBlock(model, 48)
    initialise(block, model, torch.Generator().manual_seed(0))
    linear = block.layers[0].linear
    bound = math.sqrt(6 / (112 + 64))
    assert 0.98 * bound < float(linear.weight.detach().abs().max()) <= bound
    assert float(linear.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert bool((linear.bias == 0).all())


def test_the_same_seed_draws_the_same_weights() -> None:
    model = ModelConfig(2, 8, 2)
    blocks = [ContextBlock(model, 4) for _ in range(3)]
    for block, seed in zip(blocks, (1, 1, 2), strict=True):
        initialise(block, model, torch.Generator().manual_seed(seed))
    first, again, other = (torch.nn.utils.parameters_to_vector(block.parameters()) for block in blocks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
