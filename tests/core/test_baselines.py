"""What the networks of the baselines rest on: how a stream is cut, the rule that stops, the parameter counts."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cvfp_cli.core.baselines import training
from cvfp_cli.core.baselines.config import BaselineConfig, GruConfig, LstmConfig, TransformerConfig
from cvfp_cli.core.baselines.network import Network, Recurrent
from cvfp_cli.core.baselines.streams import overlapping, side_by_side
from cvfp_cli.core.baselines.training import train_network
from cvfp_cli.core.config import Execution, Phase2Config
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.result import Epoch, ExperimentData, TrainEpoch
from cvfp_cli.core.stopping import is_better, verdict
from cvfp_cli.learners import Sizes, get_learner

VOCAB, EMBED = 30, 8
KINDS = {"gru": GruConfig, "lstm": LstmConfig, "transformer": TransformerConfig}


def make_body(config: Any, embed_dim: int) -> nn.Module:
    return Recurrent(nn.GRU, config, embed_dim)


def made_data(train: int = 120, validation: int = 50) -> ExperimentData:
    """A stream that mostly counts upwards, so that there is something to learn."""
    draw = np.random.default_rng(5)
    ids = (np.cumsum(draw.choice([1, 1, 1, 7], train + validation)) % VOCAB).astype(np.int64)
    table = draw.standard_normal((VOCAB, EMBED)).astype(np.float32)
    return ExperimentData(ids[:train], ids[train:], np.array([0, 20, validation]), 200, table)


def small(kind: str = "gru", **changed: Any) -> Any:
    return KINDS[kind](
        **{"width": 8, "layers": 1, "streams": 4, "window": 5, "epochs": 3, "patience": 0} | changed
    )


class Kept:
    """A checkpoint in memory, as a file would give it back."""

    def __init__(self, given: Any = None) -> None:
        self.given = given
        self.states: list[Any] = []

    def load(self) -> Any:
        return self.given

    def save(self, state: Any) -> None:
        self.states.append(copied(state))


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize(
    ("tokens", "pieces", "width"), [(20, 3, 4), (21, 4, 5), (2, 16, 64), (100, 7, 9), (65, 1, 8)]
)
def test_side_by_side_gives_every_target_once_and_in_order(tokens: int, pieces: int, width: int) -> None:
    ids = torch.arange(tokens)
    for first in range(1, width + 1):
        windows = list(side_by_side(ids, pieces, width, first))
        assert max(window.inputs.shape[1] for window in windows) <= width
        rows = torch.cat(
            [window.targets * window.counted - (~window.counted).long() for window in windows], 1
        )
        found = rows.flatten()
        assert found[found >= 0].tolist() == list(range(1, tokens))
        for window in windows:
            assert (window.targets - window.inputs == 1)[window.counted].all()


@pytest.mark.parametrize(
    ("tokens", "width", "at_once"), [(50, 8, 3), (9, 8, 2), (5, 8, 2), (2, 2, 1), (100, 7, 4), (33, 2, 5)]
)
def test_overlapping_gives_every_target_once_from_half_a_window(
    tokens: int, width: int, at_once: int
) -> None:
    ids = torch.arange(tokens)
    found = []
    for window in overlapping(ids, width, at_once):
        assert len(window.inputs) <= at_once
        for inputs, targets, counted in zip(window.inputs, window.targets, window.counted, strict=True):
            at = counted.nonzero().flatten()
            found += targets[at].tolist()
            assert (targets[at] - inputs[at] == 1).all()
            # The place of a target within its window is how many tokens stand before it there, less one.
            assert bool((at >= width // 2).all()) or int(inputs[0]) == 0
    assert found == list(range(1, tokens))


def entry(loss: float) -> Epoch:
    return Epoch(1, 1.0, 2.0, loss, float(np.exp(loss)), 0.5, 1.0)


def test_the_stopping_rule() -> None:
    plain, margin = Phase2Config(patience=2, epochs=9), GruConfig(min_improvement=0.4, patience=0)
    assert is_better(plain, entry(2.9), entry(3.0))
    assert not is_better(plain, entry(3.0), entry(3.0))
    best = entry(np.log(100.0))
    assert not is_better(margin, entry(np.log(99.7)), best)
    assert is_better(margin, entry(np.log(99.5)), best)
    common = {"best": 4.0, "vocab_size": 30}
    assert verdict(plain, epoch=3, waited=1, **common) == ""
    assert verdict(plain, epoch=3, waited=2, **common) == "patience"
    assert verdict(plain, epoch=9, waited=0, **common) == "epochs"
    assert verdict(plain, epoch=9, waited=0, best=24.0, vocab_size=30) == "diverged"
    assert verdict(margin, epoch=3, waited=50, **common) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changed",
    [{}, {"width": 12, "layers": 2}, {"head": "untied", "bias": "none"}, {"table": "frozen", "bias": "zero"}],
)
def test_the_counts_are_the_built_networks(kind: str, changed: dict[str, Any]) -> None:
    learner = get_learner(kind)
    settings = small(kind, **changed, **({"heads": 2} if kind == "transformer" else {}))
    table = torch.randn(VOCAB, EMBED)
    network = Network(settings, learner.body(), table, torch.zeros(VOCAB), Arithmetic("cpu"))
    counts = learner.parameters(BaselineConfig(settings), Sizes(100, 50, VOCAB, EMBED))
    learned = sum(parameter.numel() for parameter in network.parameters())
    frozen = table.numel() if settings.table == "frozen" else 0
    assert counts.total == learned + frozen
    inner = sum(
        p.numel() for n, p in network.named_parameters() if n.partition(".")[0] in ("norm", "body", "out")
    )
    assert counts.body == inner


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 1])
def test_resumed_it_is_the_same_to_the_last_bit(kind: str, at: int) -> None:
    settings = small(kind, layers=2, **({"heads": 2} if kind == "transformer" else {}))
    config, body, data = BaselineConfig(settings, 3), get_learner(kind).body(), made_data()
    kept = Kept()
    whole = train_network(config, body, data, Execution(), checkpoint=kept)
    later = Kept(kept.states[at])
    torch.rand(1)  # what else draws has no say
    resumed = train_network(config, body, data, Execution(), checkpoint=later)
    for name in (
        "val_loss",
        "sample_losses",
        "train_ppl_by_epoch",
        "val_ppl_by_epoch",
        "best_epoch",
        "val_accuracy",
    ):
        assert getattr(resumed.result, name) == getattr(whole.result, name)
    assert len(later.states) == 2 - at
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(torch.equal(whole.weights[key], resumed.weights[key]) for key in whole.weights)
    other = train_network(replace(config, seed=4), body, data, Execution())
    assert other.result.val_loss != whole.result.val_loss


@pytest.mark.parametrize("kind", KINDS)
def test_the_validation_is_the_networks_own_loss(kind: str) -> None:
    """A recurrent network reads the whole stream from zeros; a Transformer's window begins anew."""
    settings = small(
        kind, epochs=1, dropout=0.3, **({"heads": 2, "window": 64} if kind == "transformer" else {})
    )
    data = made_data()
    body = get_learner(kind).body()
    outcome = train_network(BaselineConfig(settings), body, data, Execution())
    unigram = torch.zeros(VOCAB)
    network = Network(settings, body, torch.from_numpy(data.table), unigram, Arithmetic("cpu"))
    network.load_state_dict(outcome.weights)
    network.eval()
    ids = torch.from_numpy(data.val_ids)
    with torch.no_grad():
        v, _ = network(ids[None, :-1])
        logits = network.head.scale * v[0] @ network.head.weight.t() + network.head.bias
        loss = nn.functional.cross_entropy(logits, ids[1:])
    assert outcome.result.val_loss == pytest.approx(float(loss), rel=1e-5)
    assert outcome.result.val_accuracy == float((logits.argmax(1) == ids[1:]).double().mean())


def test_a_tied_trained_table_is_one_matrix_and_a_frozen_one_stays() -> None:
    data = made_data()
    tied = train_network(BaselineConfig(small()), make_body, data, Execution()).weights
    assert not np.array_equal(tied["head.weight"].numpy(), data.table)
    assert "table" not in tied
    frozen = train_network(BaselineConfig(small(table="frozen")), make_body, data, Execution()).weights
    assert {"table", "head.weight"}.isdisjoint(frozen)
    untied = train_network(BaselineConfig(small(head="untied")), make_body, data, Execution()).weights
    assert not np.array_equal(untied["table"].numpy(), untied["head.weight"].numpy())


def test_a_step_is_torchs_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network trained by ``torch.optim.AdamW`` with decay on matrices alone."""
    data = made_data()
    settings = small(dropout=0.0, weight_decay=0.2, epochs=2)
    ours = train_network(BaselineConfig(settings), make_body, data, Execution())

    class Theirs:
        def __init__(self, parameters: list[torch.Tensor], learning_rate: float) -> None:
            groups = [
                {
                    "params": [p for p in parameters if (p.dim() > 1) == matrices],
                    "weight_decay": 0.2 * matrices,
                }
                for matrices in (True, False)
            ]
            optimiser = torch.optim.AdamW(groups, lr=learning_rate)
            self.step, self.zero_grad = optimiser.step, optimiser.zero_grad

    monkeypatch.setattr(training, "Adam", Theirs)
    plain = replace(settings, weight_decay=0.0)
    theirs = train_network(BaselineConfig(plain), make_body, data, Execution())
    assert ours.result.val_loss == pytest.approx(theirs.result.val_loss, rel=1e-6)
    monkeypatch.undo()
    without = train_network(BaselineConfig(plain), make_body, data, Execution())
    assert ours.result.val_loss != pytest.approx(without.result.val_loss, rel=1e-6)


def test_it_learns_and_stops_by_patience() -> None:
    seen: list[TrainEpoch] = []
    settings = small(width=16, epochs=200, patience=2, dropout=0.0, learning_rate=0.02)
    outcome = train_network(
        BaselineConfig(settings),
        make_body,
        made_data(600, 200),
        Execution(),
        lambda event: seen.append(event) if isinstance(event, TrainEpoch) else None,
    )
    result = outcome.result
    assert result.stopped_by == "patience"
    assert result.best_epoch == len(seen) - 2
    assert result.val_loss is not None
    assert result.val_ppl == min(epoch.val_ppl for epoch in seen) < 0.5 * result.unigram_ppl
    assert [stage.name for stage in result.stages] == ["training"]
    assert result.own == {}


def test_a_loss_that_is_not_finite_is_a_divergence() -> None:
    result = train_network(
        BaselineConfig(small(learning_rate=1e30, grad_clip=1e30)), make_body, made_data(), Execution()
    ).result
    assert result.stopped_by == "diverged"
    assert (result.val_ppl, result.best_epoch, result.sample_losses) == (None, None, ())
    assert "not finite" in result.reason


def test_no_memory_is_said() -> None:
    def no_body(config: Any, embed_dim: int) -> nn.Module:
        raise MemoryError

    with pytest.raises(Exception, match="cpu ran out of memory"):
        train_network(
            BaselineConfig(small()),
            no_body,
            made_data(),
            SimpleNamespace(device="cpu", precision="float32", memory_bytes=2**30),
        )  # type: ignore[arg-type]
