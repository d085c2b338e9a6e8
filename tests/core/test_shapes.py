"""Parameter counts and widths against method.md's table and the studies' totals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.core.config import HeadConfig, ModelConfig
from cvfp_cli.core.model import ContextBlock, token_model
from cvfp_cli.core.shapes import context_widths, parameter_counts, token_widths

PUBLISHED = [
    (ModelConfig(1, 768, 1), 1_181_952, 1_181_952),
    (ModelConfig(3, 768, 1), 3_545_856, 3_545_856),
    (ModelConfig(3, 768, 3), 7_084_800, 17_775_616),
    (ModelConfig(6, 768, 1), 7_091_712, 7_091_712),
    (ModelConfig(6, 768, 1, "first_layer"), 15_394_304, 8_566_272),
    (ModelConfig(3, 1536, 1, "first_layer"), 20_730_880, 5_905_152),
]


@pytest.mark.parametrize(("model", "context", "token"), PUBLISHED)
def test_counts_reach_the_published_ones(model: ModelConfig, context: int, token: int) -> None:
    counts = parameter_counts(model, HeadConfig(), 768, 50257)
    assert (counts.context_block, counts.token_block) == (context, token)


@pytest.mark.parametrize(("layers", "dim", "token"), [(6, 768, 7_681_536), (3, 1536, 5_905_152)])
def test_early_token_block_counts(layers: int, dim: int, token: int) -> None:
    model = ModelConfig(layers, dim, 2, token_block="early")
    assert parameter_counts(model, HeadConfig(), 768, 50257).token_block == token


@pytest.mark.parametrize(("layers", "total"), [(3, 84_338_257), (6, 91_429_969)])
def test_totals_with_an_untied_head(layers: int, total: int) -> None:
    head = HeadConfig(weights="untied", bias="zero")
    assert parameter_counts(ModelConfig(layers, 768, 1), head, 768, 50257).total == total


models = st.builds(
    ModelConfig,
    layers=st.integers(1, 6),
    context_dim=st.integers(1, 24),
    tokens=st.integers(1, 4),
    token_input=st.sampled_from(["all_layers", "first_layer"]),
    token_block=st.sampled_from(["standard", "early"]),
) | st.builds(
    ModelConfig,
    context_dim=st.integers(1, 24),
    tokens=st.integers(1, 4),
    token_block=st.just("mlp"),
    token_hidden=st.integers(1, 30),
)


@given(models, st.integers(1, 16))
def test_counts_are_those_of_the_blocks_that_are_built(model: ModelConfig, embed_dim: int) -> None:
    counts = parameter_counts(model, HeadConfig(), embed_dim, 100)
    built = [
        sum(p.numel() for p in block(model, embed_dim).parameters()) for block in (ContextBlock, token_model)
    ]
    assert [counts.context_block, counts.token_block] == built


@given(models, st.integers(1, 16))
def test_widths_fall_to_the_ends_the_method_names(model: ModelConfig, embed_dim: int) -> None:
    u, v = context_widths(model, embed_dim), token_widths(model, embed_dim)
    assert (u[0], u[-1]) == (model.context_dim, model.context_dim)
    assert (v[0], v[-1]) == (model.tokens * embed_dim, embed_dim)
    assert v == sorted(v, reverse=True)
    assert u[1:] == sorted(u[1:], reverse=True)
