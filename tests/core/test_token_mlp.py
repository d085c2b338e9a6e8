"""The TokenBlock with one hidden layer, against NumPy in float64, and the random order of targets."""

import numpy as np
import pytest
import torch
from core_cases import agree, random_context_block
from numpy.typing import NDArray
from scipy.special import erf, logsumexp
from test_prediction import from_zero, head_of

from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase2Config
from cvfp_cli.core.model import Stream, initialise, token_model
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts, Pieces, PredictionTrainer
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.shapes import dropout_widths

Floats = NDArray[np.float64]
MODEL = ModelConfig(1, 6, 2, token_block="mlp", token_hidden=9)
LENGTH = 40


def trainer_of(config: Phase2Config, model: ModelConfig = MODEL) -> PredictionTrainer:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(11, 4, generator=generator, dtype=torch.float64)
    context = random_context_block(model, 4, 1)
    token = token_model(model, 4, config)
    initialise(token, model, torch.Generator().manual_seed(2))
    with torch.no_grad():  # norms that do something, and larger maps than a start has
        for parameter in token.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    stream = Stream(torch.randint(0, 11, (LENGTH,), generator=generator), table, model.tokens)
    contexts = from_zero(true_contexts(context, stream)[0])
    frozen = FrozenContexts(context, stream, contexts, Arithmetic("cpu"), config)
    return PredictionTrainer(
        token.double(), head_of(HeadConfig(), table), frozen, frozen, config, pieces=Pieces(16, 7),
        arithmetic=Arithmetic("cpu"), seed=5, dropout=dropout_widths(model, config, 4),
    )  # fmt: skip


def norm(rows: Floats, weight: Floats, bias: Floats) -> Floats:
    centred = rows - rows.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * weight + bias


def plain_loss(
    weights: dict[str, Floats], table: Floats, c: Floats, ids: Floats, factors: dict[str, Floats]
) -> float:
    """The mean cross-entropy of every target but the stream's first token, by the formula."""
    e = norm(table, np.ones(4), np.zeros(4))[ids[:-1]]
    x = np.concatenate([np.vstack([np.zeros((1, 4)), e[:-1]]), e], axis=1)
    read = norm(c, weights["context_norm.weight"], weights["context_norm.bias"]) * factors.get("context-0", 1)
    before = np.concatenate([read, x * factors.get("input", 1)], axis=1)
    z = before @ weights["hidden.weight"].T + weights["hidden.bias"]
    hidden = 0.5 * z * (1 + erf(z / np.sqrt(2))) * factors.get("hidden", 1)
    v = norm(
        e + hidden @ weights["out.weight"].T + weights["out.bias"],
        weights["norm.weight"],
        weights["norm.bias"],
    )
    logits = (v * factors.get("head", 1)) @ table.T
    return float((logsumexp(logits, axis=1) - logits[np.arange(len(v)), ids[1:]]).mean())


@pytest.mark.parametrize(
    "config",
    [
        Phase2Config(batch_tokens=LENGTH - 1, grad_clip=1e9),
        Phase2Config(
            batch_tokens=LENGTH - 1, grad_clip=1e9, context="before", dropout_input=0.3,
            dropout_context=0.2, dropout_hidden=0.4, dropout_head=0.1,
        ),
    ],
)  # fmt: skip
def test_loss_and_gradients_are_the_formulas(config: Phase2Config) -> None:
    trainer = trainer_of(config)
    batch = next(trainer.train.batches(LENGTH - 1))
    factors = {name: rows.numpy() for name, rows in trainer._factors(LENGTH - 1, (1, 0)).items()}
    assert set(factors) == set(trainer.dropout)
    names = [name for name, _ in trainer.token_block.named_parameters()]
    weights = {name: p.detach().numpy().copy() for name, p in trainer.token_block.named_parameters()}
    table = trainer.head.weight.detach().numpy()
    ids = trainer.train.stream.ids.numpy()
    c = trainer.train.layers(*batch[:2])[0].numpy()

    def loss(changed: dict[str, Floats]) -> float:
        return plain_loss({**weights, **changed}, table, c, ids, factors)

    assert float(trainer._step(batch, (1, 0))) == pytest.approx(loss({}), rel=1e-12)
    generator = np.random.default_rng(0)
    for name in names:
        gradient = trainer.token_block.get_parameter(name).grad
        assert gradient is not None
        direction = generator.normal(size=gradient.shape)
        step = 1e-5
        slope = loss({name: weights[name] + step * direction}) - loss(
            {name: weights[name] - step * direction}
        )
        assert float((gradient.numpy() * direction).sum()) == pytest.approx(
            slope / (2 * step), rel=1e-6, abs=1e-9
        )


def test_its_start_leaves_the_newest_embedding_the_larger_part() -> None:
    block = token_model(ModelConfig(1, 768, 4, token_block="mlp"), 256)
    initialise(block, MODEL, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    context, window = torch.randn(50, 768, generator=generator), torch.randn(50, 1024, generator=generator)
    v = block.forward([context], window)
    assert torch.cosine_similarity(v, window[:, -256:]).min() > 0.9


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("context", ["after", "before"])
def test_a_batch_in_any_order_has_the_rows_of_the_stream(past: int, context: str) -> None:
    config = Phase2Config(context=context, past_count=past, past_interval=3)  # type: ignore[arg-type]
    frozen = trainer_of(config).train
    whole = next(frozen.batches(LENGTH))
    order = torch.randperm(LENGTH - 1, generator=torch.Generator().manual_seed(3))
    batches = list(frozen.batches(8, order))
    assert [len(targets) for *_, targets in batches] == [8, 8, 8, 8, 7]
    for in_order, shuffled in zip(whole, zip(*batches, strict=True), strict=True):
        agree(torch.cat(shuffled).double(), in_order[order].double())


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides() -> None:
    def losses(seed: int, epochs: int) -> list[float]:
        trainer = trainer_of(Phase2Config(shuffle=True, batch_tokens=8, learning_rate=1e-300))
        trainer.seed = seed
        seen: list[float] = []
        step = trainer._eager_step
        trainer._eager_step = lambda *given: (seen.append(float(step(*given))), torch.zeros(()))[1]  # type: ignore[method-assign]
        for number in range(1, epochs + 1):
            trainer._train(number, lambda event: None)
        return seen

    first = losses(5, 2)
    assert first == losses(5, 2)
    assert first[:5] != first[5:]
    assert first[:5] != losses(6, 1)
    # With a learning rate of next to nothing an epoch's losses weighted by targets are the stream's, in any order.
    weights = np.array([8, 8, 8, 8, 7])
    assert np.dot(first[:5], weights) == pytest.approx(np.dot(first[5:], weights), rel=1e-9)
