"""Phase 2 against the golden epochs, whole batches against pieces, and the rules of stopping."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from core_cases import Golden, agree, random_context_block
from torch import Tensor, nn

from cvfp_cli.core import head as head_module
from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase2Config
from cvfp_cli.core.contexts import Contexts
from cvfp_cli.core.head import Head
from cvfp_cli.core.model import Stream, TokenBlock, initialise
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts, Pieces, PredictionTrainer
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.result import Epoch
from cvfp_cli.core.stopping import Training

CPU = Arithmetic("cpu")
SILENT = lambda event: None  # noqa: E731


def from_zero(contexts: Tensor) -> Contexts:
    """Row t is c_{t−1}."""
    return Contexts.of(torch.cat([contexts.new_zeros(1, contexts.shape[1]), contexts]))


def inputs_of(frozen: FrozenContexts, count: int) -> tuple[Tensor, Tensor]:
    """c_{t−1} and the windows' token types of the first tokens."""
    return frozen.contexts.read(0, count), frozen.stream.window_types(slice(0, count))


def head_of(config: HeadConfig, table: Tensor, unigram: Tensor | None = None) -> Head:
    unigram = torch.zeros(len(table)) if unigram is None else unigram
    return Head(config, table, unigram, torch.Generator().manual_seed(1), CPU)


@pytest.mark.parametrize(("block", "logits"), [(1000, 1000), (16, 5), (6, 6), (1, 1)])
def test_golden_epochs(golden_trained: Golden, block: int, logits: int) -> None:
    case, given = golden_trained, golden_trained.figures["phase2"]
    for i in range(case.model.layers):
        for name, p in case.context_block.layers[i].named_parameters():
            p.data.copy_(case.tensors[f"phase1.after.context.{i}.{name}"])
    train, validation = case.stream(), case.stream("val_ids")
    val_contexts, _ = true_contexts(case.context_block, validation)
    frozen = FrozenContexts(case.context_block, train, from_zero(case.tensors["phase1.final_contexts"]), CPU)
    frozen_val = FrozenContexts(case.context_block, validation, from_zero(val_contexts), CPU)
    for i in range(case.model.layers):
        wanted, val_wanted = case.tensors[f"phase1.cache.{i}"], case.tensors[f"val.cache.{i}"]
        agree(frozen.layers(*inputs_of(frozen, len(wanted)))[i], wanted)
        agree(frozen_val.layers(*inputs_of(frozen_val, len(val_wanted)))[i], val_wanted)
    config = Phase2Config(
        given["learning_rate"], given["epochs"], 0, 0.0, given["batch_size"], given["grad_clip"]
    )
    head = head_of(HeadConfig(), case.table)
    trainer = PredictionTrainer(
        case.token_block, head, frozen, frozen_val, config, pieces=Pieces(block, logits), arithmetic=CPU
    )
    state = Training()
    while not state.stopped_by:
        trainer.epoch(state, SILENT)
    assert state.stopped_by == "epochs"
    agree([e.train_loss for e in state.log], given["train_loss"])
    agree([e.val_loss for e in state.log], given["val_loss"])
    agree([e.val_accuracy for e in state.log], given["val_accuracy"])
    for key, value in case.token_block.state_dict().items():
        agree(value, case.tensors["phase2.after.token." + key.removeprefix("layers.")])


HEADS = [
    HeadConfig(),
    HeadConfig(logit_scale=0.3, learn_logit_scale=True, bias="unigram"),
    HeadConfig(weights="untied", start="uniform", bias="zero"),
    HeadConfig(table="trained"),
]


def problem(head_config: HeadConfig, config: Phase2Config, pieces: Pieces) -> PredictionTrainer:
    """A float64 problem: 53 training targets, 20 validation targets, a vocabulary of 11."""
    model = ModelConfig(2, 6, 2)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(11, 4, generator=generator, dtype=torch.float64)
    context_block = random_context_block(model, 4, 1)
    token_block = TokenBlock(model, 4)
    initialise(token_block, model, torch.Generator().manual_seed(2))
    token_block.double()
    frozen = []
    for length in (54, 21):
        stream = Stream(torch.randint(0, 11, (length,), generator=generator), table, 2)
        frozen.append(
            FrozenContexts(context_block, stream, from_zero(true_contexts(context_block, stream)[0]), CPU)
        )
    unigram = torch.log_softmax(torch.randn(11, generator=generator, dtype=torch.float64), 0)
    head = head_of(head_config, table, unigram)
    return PredictionTrainer(token_block, head, *frozen, config, pieces=pieces, arithmetic=CPU)


@pytest.mark.parametrize("head_config", HEADS)
@pytest.mark.parametrize(
    "pieces", [Pieces(53, 53), Pieces(53, 7), Pieces(20, 20), Pieces(9, 2), Pieces(1, 1)]
)
def test_gradients_of_pieces_are_the_whole_batchs(head_config: HeadConfig, pieces: Pieces) -> None:
    """One batch of all targets, by autograd over the definition, against every cut into pieces."""
    trainer = problem(head_config, Phase2Config(batch_tokens=53, grad_clip=1e9), pieces)
    train, head = trainer.train, trainer.head
    contexts, window_types = inputs_of(train, 53)
    v = trainer.token_block.forward(train.layers(contexts, window_types), train.stream.embed(window_types))
    logits = head.scale * (v @ head.weight.T) + (0.0 if head.bias is None else head.bias)
    loss = nn.functional.cross_entropy(logits, train.stream.ids[1:])
    wanted = torch.autograd.grad(loss, trainer.parameters)
    got = trainer._eager_step((contexts, window_types, train.stream.ids[1:]), {})
    assert float(got) == pytest.approx(float(loss.detach()), rel=1e-12)
    for parameter, gradient in zip(trainer.parameters, wanted, strict=True):
        assert parameter.grad is not None
        error = (parameter.grad - gradient).norm() / gradient.norm()
        assert float(error) <= 1e-6


def test_what_each_head_trains() -> None:
    table = torch.randn(11, 4)
    names = [{name for name, _ in head_of(config, table).named_parameters()} for config in HEADS]
    assert names == [set(), {"scale", "bias"}, {"weight", "bias"}, {"weight"}]


def test_an_untied_head_starts_at_zero_or_where_the_recipe_says() -> None:
    table = torch.randn(11, 4)
    zero = head_of(HeadConfig(weights="untied", bias="zero"), table)
    assert not any(parameter.any() for parameter in zero.parameters())
    drawn = head_of(HeadConfig(weights="untied", start="uniform"), table).weight
    assert 0 < float(drawn.detach().abs().max()) <= 0.5
    assert not torch.equal(drawn, table)


def test_a_trained_table_leaves_the_blocks_table_alone() -> None:
    trainer = problem(HeadConfig(table="trained"), Phase2Config(batch_tokens=10), Pieces(10, 10))
    before = trainer.train.stream.types.clone()
    start = trainer.head.weight.detach().clone()
    trainer.epoch(Training(), SILENT)
    assert torch.equal(trainer.train.stream.types, before)
    assert not torch.equal(trainer.head.weight.detach(), start)


def test_logits_exist_only_for_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = head_module._Scratch.logits

    def spy(self: object, scaled: Tensor, *rest: Any) -> Iterator[Any]:
        seen.append(len(scaled))
        return plain(self, scaled, *rest)

    monkeypatch.setattr(head_module._Scratch, "logits", spy)
    trainer = problem(HeadConfig(), Phase2Config(batch_tokens=30), Pieces(20, 6))
    trainer.epoch(Training(), SILENT)
    assert max(seen) == 6
    assert sum(seen) == 53 + 20


def test_loss_of_an_impossible_target_is_finite() -> None:
    """With the studies' head a target's probability can be too small for any float; its logarithm is not."""
    table = torch.tensor([[1000.0], [-1000.0]])
    head = head_of(HeadConfig(), table)
    v = torch.ones(1, 1, requires_grad=True)
    loss = head.loss(v, torch.tensor([1]), 1, 1)
    assert float(loss.detach()) == pytest.approx(2000.0)
    assert float(head.score(v.detach(), torch.tensor([1]), 1)[0]) == pytest.approx(2000.0)


def rounded_head(logits_a_block: int, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Losses, correctness, and gradients by v, weight and bias of a head with bf16 products, 37 targets of 300."""
    monkeypatch.setattr(head_module, "BLOCK_LOGITS", logits_a_block)
    random = torch.Generator().manual_seed(0)
    table, unigram = torch.randn(300, 16, generator=random), torch.randn(300, generator=random) - 10
    config = HeadConfig(bias="unigram", table="trained")
    head = Head(config, table, unigram, random, Arithmetic("cpu", "bf16"))
    v = torch.randn(37, 16, generator=random).requires_grad_()
    targets = torch.randint(0, 300, (37,), generator=random)
    loss = head.loss(v, targets, 37, 20)
    loss.backward()
    losses, correct = head.score(v.detach(), targets, 20)
    reference = [part.detach().bfloat16().float().requires_grad_() for part in (v, head.weight)]
    assert head.bias is not None
    bias = head.bias.detach().clone().requires_grad_()
    logits = reference[0] @ reference[1].T + bias
    exact = nn.functional.cross_entropy(logits, targets, reduction="none")
    exact.mean().backward()
    # A logit of 10 is rounded by up to 0.03 (bf16 has 8 bits), a probability by as much of itself.
    torch.testing.assert_close(losses, exact.detach(), rtol=0, atol=0.05)
    assert float(loss.detach()) == pytest.approx(float(exact.detach().mean()), abs=0.01)
    assert torch.equal(correct, logits.argmax(1) == targets)
    got = [v.grad, head.weight.grad, head.bias.grad]
    for part, wanted in zip(got, [*reference, bias], strict=True):
        assert part is not None
        assert wanted.grad is not None
        assert float((part - wanted.grad).norm() / wanted.grad.norm()) < 0.02
    return [losses, correct, *[part for part in got if part is not None]]


def test_blocks_of_rounded_products_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rounded_head(2**20, monkeypatch)
    for logits in (1, 384 * 7):
        blocks = rounded_head(logits, monkeypatch)
        for part, wanted in zip(blocks[:-1], whole[:-1], strict=True):
            assert torch.equal(part, wanted)
        torch.testing.assert_close(blocks[-1], whole[-1])  # a sum over targets, in another order


def test_of_equally_likely_tokens_the_first_counts() -> None:
    logits = torch.tensor([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0], [0.0, -1.0, 0.0], [2.0, 1.0, 0.0]])
    for target in range(3):
        right = head_module._right(logits, torch.full((4,), target), logits.amax(1))
        assert right.tolist() == (logits.argmax(1) == target).tolist()


def test_validation_accuracy_and_loss_by_hand() -> None:
    trainer = problem(HeadConfig(), Phase2Config(batch_tokens=10), Pieces(6, 3))
    losses, correct = trainer._validate()
    frozen = trainer.validation
    with torch.no_grad():
        inputs = inputs_of(frozen, 20)
        v = trainer.token_block.forward(frozen.layers(*inputs), frozen.stream.embed(inputs[1]))
        logits = v @ trainer.head.weight.T
    targets = frozen.stream.ids[1:]
    wanted = nn.functional.cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(losses, wanted.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(correct, (logits.argmax(1) == targets).numpy())


def judged(config: Phase2Config, val_ppls: list[float]) -> Training:
    trainer = problem(HeadConfig(), config, Pieces(53, 53))
    state = Training()
    for ppl in val_ppls:
        loss = math.log(ppl) if ppl > 0 else math.nan
        entry = Epoch(len(state.log) + 1, 1.0, math.e, loss, ppl, 0.1, 0.0)
        trainer._judge(state, entry, np.full(20, loss), np.zeros(20, dtype=bool))
        state.log.append(entry)
        if state.stopped_by:
            break
    return state


def test_patience_counts_epochs_in_a_row_that_were_not_better() -> None:
    config = Phase2Config(epochs=10, patience=2)
    state = judged(config, [100, 90, 95, 89, 91, 92, 50])
    assert (state.best_epoch, len(state.log), state.stopped_by) == (4, 6, "patience")
    equal = judged(Phase2Config(epochs=10, patience=1), [100, 100, 50])
    assert (equal.best_epoch, equal.stopped_by) == (1, "patience")


def test_patience_zero_runs_every_epoch() -> None:
    state = judged(Phase2Config(epochs=4, patience=0), [100, 110, 120, 130])
    assert (state.best_epoch, len(state.log), state.stopped_by) == (1, 4, "epochs")


def test_december_margin() -> None:
    """Better only below the best minus 0.4 PPL (2025-12-03)."""
    config = Phase2Config(epochs=40, patience=1, min_improvement=0.4)
    state = judged(config, [100.0, 99.5, 99.2, 98.0])
    assert (state.best_epoch, len(state.log), state.stopped_by) == (2, 3, "patience")


def test_an_epoch_that_gains_little_counts_and_is_the_last() -> None:
    state = judged(Phase2Config(epochs=9, patience=1, min_gain=0.4), [50.0, 49.0, 48.7])
    assert (state.stopped_by, state.best_epoch, len(state.log)) == ("gain", 3, 3)
    worse = judged(Phase2Config(epochs=9, patience=1, min_gain=0.4), [50.0, 51.0])
    assert (worse.stopped_by, worse.best_epoch) == ("patience", 1)
    assert judged(Phase2Config(epochs=1, min_gain=0.4), [50.0]).stopped_by == "epochs"


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    state = judged(Phase2Config(epochs=5, patience=0), [100.0, -1.0])
    assert (state.best_epoch, state.stopped_by) == (1, "diverged")


def test_goes_on_from_a_snapshot_with_the_same_bits() -> None:
    config = Phase2Config(epochs=5, patience=0, batch_tokens=10)

    def run(break_after: int | None) -> Training:
        trainer = problem(HEADS[1], config, Pieces(10, 4))
        state = Training()
        while not state.stopped_by:
            trainer.epoch(state, SILENT)
            if len(state.log) == break_after:
                saved = trainer.snapshot(state)
                trainer = problem(HEADS[1], config, Pieces(10, 4))
                state = trainer.restore(saved)
        return state

    whole, broken = run(None), run(2)
    assert [(e.train_loss, e.val_loss) for e in whole.log] == [(e.train_loss, e.val_loss) for e in broken.log]
    assert whole.best_weights.keys() == broken.best_weights.keys()
    assert all(torch.equal(value, broken.best_weights[key]) for key, value in whole.best_weights.items())
