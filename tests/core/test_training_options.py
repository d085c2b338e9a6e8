"""Weight decay, dropout and a trained table, against torch's own and plain autograd; and whole runs with blocks."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from core_cases import agree, random_context_block
from test_experiment import CONFIG, DATA, Memory, figures, run
from test_prediction import from_zero, head_of
from torch import nn
from torch.nn import functional as F

from cvfp_cli.core.config import ExperimentConfig, HeadConfig, ModelConfig, Phase2Config
from cvfp_cli.core.draws import dropout_factors
from cvfp_cli.core.model import Stream, TokenBlock, initialise
from cvfp_cli.core.optimiser import Adam, rate_share
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts, Pieces, PredictionTrainer
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.shapes import dropout_widths


def test_weight_decay_is_adamws() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(7, 3)) for _ in range(2))
    mine, reference = Adam([ours], 0.01, 0.3), torch.optim.AdamW([theirs], 0.01, weight_decay=0.3)
    for _ in range(5):
        ours.grad = torch.randn(7, 3)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    agree(ours.detach(), theirs.detach(), 1e-6)


def test_a_linear_schedule_is_adamws_with_falling_rates() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(7, 3)) for _ in range(2))
    mine = Adam([ours], torch.tensor(0.01), 0.3)
    reference = torch.optim.AdamW([theirs], 0.01, weight_decay=0.3)
    falling = torch.optim.lr_scheduler.LambdaLR(reference, lambda step: 1 - step / 8)
    for step in range(8):
        assert isinstance(mine.learning_rate, torch.Tensor)
        mine.learning_rate.fill_(0.01 * rate_share("linear", step / 8))
        ours.grad = torch.randn(7, 3)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
        falling.step()
    agree(ours.detach(), theirs.detach(), 1e-6)
    assert rate_share("constant", 0.7) == 1.0


def test_learning_rates_fall_over_all_epochs() -> None:
    config = Phase2Config(
        schedule="linear", epochs=2, batch_tokens=20, embedding="trained", embedding_learning_rate=0.01
    )
    trainer = trainer_with(config, Pieces(53, 53), HeadConfig())
    seen: list[float] = []
    for epoch in (1, 2):
        trainer._train(epoch, lambda event: seen.append(float(trainer.optimisers[1].learning_rate)))
    done = [0, 20, 40, 53, 73, 93]  # of 2 · 53 targets
    assert seen == pytest.approx([0.01 * (1 - at / 106) for at in done], rel=1e-5)
    assert float(trainer.optimisers[0].learning_rate) == pytest.approx(seen[-1] / 10, rel=1e-5)


def test_dropout_keeps_the_mean_and_depends_on_its_key_alone() -> None:
    whole = dropout_factors((1, "x"), torch.empty(9000, 5), 0.4)
    assert whole.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert float((whole == 0).float().mean()) == pytest.approx(0.4, abs=0.01)
    assert torch.equal(whole, dropout_factors((1, "x"), torch.empty(9000, 5), 0.4))
    assert not torch.equal(whole, dropout_factors((2, "x"), torch.empty(9000, 5), 0.4))


def trainer_with(config: Phase2Config, pieces: Pieces, head: HeadConfig) -> PredictionTrainer:
    model = ModelConfig(1, 6, 2)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(11, 4, generator=generator, dtype=torch.float64)
    block = random_context_block(model, 4, 1)
    token = TokenBlock(model, 4, config)
    initialise(token, model, torch.Generator().manual_seed(2))
    stream = Stream(torch.randint(0, 9, (54,), generator=generator), table, 2)
    frozen = FrozenContexts(
        block, stream, from_zero(true_contexts(block, stream)[0]), Arithmetic("cpu"), config
    )
    embedding = nn.Parameter(table.clone()) if config.embedding == "trained" else None
    made = head_of(head, table)
    if embedding is not None and head.weights == "tied":
        made.weight = embedding
    return PredictionTrainer(
        token.double(), made, frozen, frozen, config, pieces=pieces, arithmetic=Arithmetic("cpu"),
        embedding=embedding, seed=5, dropout=dropout_widths(model, config, 4),
    )  # fmt: skip


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(weights="untied", start="uniform")])
@pytest.mark.parametrize("pieces", [Pieces(53, 53), Pieces(9, 4)])
def test_gradients_with_dropout_and_a_trained_table(head: HeadConfig, pieces: Pieces) -> None:
    """The masks by their definition, the windows from the table by plain indexing, and autograd over the whole batch."""
    config = Phase2Config(
        batch_tokens=53, grad_clip=1e9, embedding="trained",
        dropout_input=0.3, dropout_context=0.2, dropout_head=0.5,
    )  # fmt: skip
    trainer = trainer_with(config, pieces, head)
    stream, table = trainer.train.stream, trainer.embedding
    assert table is not None

    def mask(name: str, width: int, share: float) -> torch.Tensor:
        return dropout_factors((5, "dropout", name, 3, 0), torch.empty(53, width, dtype=torch.float64), share)

    rows = F.layer_norm(table, (4,), eps=1e-5)[stream.ids]
    earlier = torch.cat([rows.new_zeros(1, 4), rows[:-1]])
    window = torch.cat([earlier, rows], 1)[:53]
    contexts, types, targets = next(trainer.train.batches(53))
    u = trainer.train.layers(contexts, types)[0] * mask("context-0", 6, 0.2)
    v = trainer.token_block.forward([u], window * mask("input", 8, 0.3)) * mask("head", 4, 0.5)
    loss = F.cross_entropy(v @ trainer.head.weight.T, targets)
    wanted = torch.autograd.grad(loss, trainer.parameters)
    got = trainer._step((contexts, types, targets), (3, 0))
    assert float(got) == pytest.approx(float(loss.detach()), rel=1e-10)
    for parameter, gradient in zip(trainer.parameters, wanted, strict=True):
        assert parameter.grad is not None
        agree(parameter.grad, gradient, 1e-7)


def test_the_table_has_a_learning_rate_of_its_own() -> None:
    config = Phase2Config(embedding="trained", embedding_learning_rate=0.5, learning_rate=0.001)
    trainer = trainer_with(config, Pieces(53, 53), HeadConfig())
    assert [optimiser.learning_rate for optimiser in trainer.optimisers] == [0.001, 0.5]
    assert len(trainer.optimisers[1].parameters) == 1
    assert len({id(p) for p in trainer.parameters}) == len(trainer.parameters)


ONE = ModelConfig(1, 12, 1)
TWO = replace(ONE, blocks=(12, 8))
RECURRENCE = replace(CONFIG.phase2, train_contexts="recurrence")
WAYS: dict[str, dict[str, Any]] = {
    "before": {"phase2": replace(CONFIG.phase2, context="before")},
    "zero": {"phase2": replace(CONFIG.phase2, context="zero")},
    "skip": {"phase1": replace(CONFIG.phase1, skip=True), "phase2": RECURRENCE},
    "blocks": {"model": TWO},
    "slices": {"model": TWO, "phase1": replace(CONFIG.phase1, slices=True), "phase2": replace(RECURRENCE, past_count=2)},
    "cascade": {"model": replace(TWO, cascade=True), "phase2": replace(RECURRENCE, context="before")},
    "mlp": {
        "model": replace(ONE, tokens=3, token_block="mlp", token_hidden=20),
        "phase2": replace(
            CONFIG.phase2, context="before", shuffle=True, schedule="linear", dropout_hidden=0.2, dropout_head=0.1, embedding="trained"
        ),
    },
    "options": {
        "phase2": replace(
            CONFIG.phase2, weight_decay=0.1, dropout_input=0.1, dropout_head=0.2, dropout_context=0.1,
            embedding="trained", embedding_learning_rate=0.001,
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_runs_and_goes_on_after_a_break_with_the_same_bits(way: str) -> None:
    config = replace(CONFIG, **WAYS[way])
    whole = run(config)
    assert whole.result.val_ppl is not None
    assert whole.result.val_ppl < whole.result.unigram_ppl
    assert whole.result.own["growth"] > 0
    memory = Memory(10 if config.model.blocks else 3)
    with pytest.raises(KeyboardInterrupt):
        run(config, checkpoint=memory)
    assert figures(run(config, checkpoint=memory)) == figures(whole)


def test_without_phase_1_its_figures_are_absent() -> None:
    result = run(replace(CONFIG, **WAYS["skip"])).result
    assert not any(key.startswith("phase1") for key in result.own)
    assert [stage.name for stage in result.stages] == ["contexts", "phase2"]
    assert result.own["train_effective_rank"] is None


def phase1_of(config: ExperimentConfig) -> dict[str, torch.Tensor]:
    short = replace(config.phase2, epochs=1)
    return run(replace(config, phase2=short)).weights


def test_block_1_without_slices_is_a_run_of_one_block() -> None:
    alone = phase1_of(replace(CONFIG, model=ONE))
    both = phase1_of(replace(CONFIG, model=TWO))
    cascade = phase1_of(replace(CONFIG, model=replace(TWO, cascade=True)))
    for key, value in alone.items():
        if key.startswith("context."):
            name = key.replace("context.", "context.blocks.0.")
            assert torch.equal(value, both[name])
            assert torch.equal(value, cascade[name])


def test_a_slice_is_trained_on_its_own_tokens_alone() -> None:
    """Block 1 does not change when the text beyond its slice does."""
    config = replace(CONFIG, **WAYS["slices"])
    other = DATA.train_ids.copy()
    other[760:] = other[760:][::-1]
    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.experiment import run_experiment

    first, second = (
        run_experiment(replace(config, phase2=replace(config.phase2, epochs=1)), data, Execution("cpu"))
        for data in (DATA, replace(DATA, train_ids=other))
    )
    key = "layers.0.linear.weight"
    assert torch.equal(first.weights[f"context.blocks.0.{key}"], second.weights[f"context.blocks.0.{key}"])
    assert not torch.equal(
        first.weights[f"context.blocks.1.{key}"], second.weights[f"context.blocks.1.{key}"]
    )
    assert [stage.name for stage in first.result.stages][:2] == ["phase1-block1", "phase1-block2"]
    steps = [stage.steps for stage in first.result.stages[:2]]
    assert first.result.own["phase1_iterations"] == max(steps)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_either_loss_alone_works(weight: float) -> None:
    result = run(replace(CONFIG, phase1=replace(CONFIG.phase1, diversity_weight=weight))).result
    assert result.val_ppl is not None
    assert result.val_ppl < result.unigram_ppl


def test_validation_rank_is_of_all_that_is_read_and_divided_by_its_width() -> None:
    """Against NumPy's singular values of the concatenation, rebuilt from the run's own weights."""
    import numpy as np

    from cvfp_cli.core.model import context_model
    from cvfp_cli.core.recurrence import true_contexts as recurrence

    config = replace(CONFIG, model=ONE, phase2=replace(RECURRENCE, past_count=2, past_interval=3, epochs=1))
    outcome = run(config)
    block = context_model(ONE, 16)
    prefix = "context."
    block.load_state_dict(
        {key.removeprefix(prefix): v for key, v in outcome.weights.items() if key.startswith(prefix)}
    )
    c = recurrence(block, Stream(torch.tensor(DATA.val_ids), torch.tensor(DATA.table), 1))[0].numpy()
    parts = [np.concatenate([np.zeros((j, 12)), c[: len(c) - j]]) for j in (0, 3, 6)]
    singular = np.linalg.svd(np.concatenate(parts, 1), compute_uv=False)
    share = singular / singular.sum()
    wanted = np.exp(-(share * np.log(share)).sum()) / 36
    assert outcome.result.own["val_effective_rank"] == pytest.approx(wanted, rel=1e-4)
