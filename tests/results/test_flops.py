"""Operations of runs whose file has no key for them, and of every kind of model against torch's own counter."""

import pytest

from cvfp_cli.core.baselines.config import TransformerConfig
from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.learners import CVFP, TRANSFORMER, Sizes
from cvfp_cli.learners.base import flops_of
from cvfp_cli.learners.cvfp import EvaluationConfig
from cvfp_cli.results import Parameters, Run, StageRecord
from cvfp_cli.results.flops import with_flops

SIZES = Sizes(1000, 300, 50, 8)
DATA = {"tokenizer": {"vocab_size": 50}}


def older(iterations: int, epochs: int) -> Run:
    counts = CVFP.parameters(CVFP.config(tables(), 42), SIZES)
    return Run(
        config="2L_16d_2tok",
        layers=2,
        context_dim=16,
        tokens=2,
        samples=10,
        train_tokens=1000,
        val_tokens=300,
        embed_dim=8,
        parameters=Parameters(counts.context_block, counts.token_block, counts.total),
        stages=(
            StageRecord("phase1", iterations, 1.0),
            StageRecord("contexts", 0, 1.0),
            StageRecord("phase2", epochs, 1.0),
        ),
    )


def tables() -> dict[str, object]:
    return {
        "model": ModelConfig(layers=2, tokens=2, context_dim=16),
        "head": HeadConfig(),
        "phase1": Phase1Config(),
        "phase2": Phase2Config(),
        "evaluation": EvaluationConfig(),
    }


@pytest.mark.parametrize("iterations", [1, 7])
def test_an_older_run_has_the_operations_that_its_learner_would_record(iterations: int) -> None:
    stages = CVFP.stages(CVFP.config(tables(), 42), SIZES)
    expected = flops_of(stages, {"phase1": iterations, "phase2": 3})
    assert with_flops(older(iterations, 3), DATA).flops == pytest.approx(expected, rel=1e-12)


def test_nothing_is_made_up_where_the_file_does_not_tell() -> None:
    run = older(7, 3)
    assert with_flops(run, {}).flops is None
    assert with_flops(run, {"tokenizer": {}}).flops is None


def test_an_epoch_of_a_network_is_what_torch_counts() -> None:
    """All products but attention's own, of which a short window has few; torch counts neither biases nor norms."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    config = TRANSFORMER.config({"transformer": TransformerConfig(width=64, layers=2, heads=2, window=4)}, 42)
    sizes = Sizes(64, 32, 96, 64)
    body = TRANSFORMER.body()(config.settings, sizes.embed_dim)
    table = torch.randn(sizes.vocab_size, sizes.embed_dim)  # frozen and tied

    def counted(tokens: int, *, training: bool) -> int:
        embedded = torch.randn(tokens // 4, 4, sizes.embed_dim, requires_grad=training)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
            logits = body(embedded, None)[0] @ table.T
            if training:
                logits.sum().backward()
        return counter.get_total_flops()

    whole = counted(sizes.train_tokens, training=True) + counted(sizes.val_tokens, training=False)
    assert flops_of(TRANSFORMER.stages(config, sizes), {"training": 1}) == pytest.approx(whole, rel=0.05)
