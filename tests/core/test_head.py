"""Types that the training text lacks, and the share that is kept for them."""

import math

import numpy as np
import pytest
import torch
from core_cases import agree
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.core.config import HeadConfig
from cvfp_cli.core.head import Head, seen_types
from cvfp_cli.core.metrics import new_share
from cvfp_cli.core.precision import Arithmetic

VOCAB, EMBED, N = 9, 4, 23
KNOWN = torch.tensor([1, 0, 1, 1, 0, 1, 0, 1, 1], dtype=torch.bool)
SHARE = 0.125


def head_of(config: HeadConfig) -> Head:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(VOCAB, EMBED, generator=generator, dtype=torch.float64)
    unigram = torch.randn(VOCAB, generator=generator, dtype=torch.float64)
    return Head(config, table, unigram, generator, Arithmetic("cpu"), seen=(KNOWN, SHARE))


CONFIGS = [
    HeadConfig(unseen="reserved"),
    HeadConfig(unseen="reserved", bias="unigram", table="trained", learn_logit_scale=True, logit_scale=0.3),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_probabilities_are_a_softmax_over_seen_types_and_equal_shares_of_the_rest(config: HeadConfig) -> None:
    head = head_of(config)
    v = torch.randn(1, EMBED, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    every = torch.arange(VOCAB)
    losses, _ = head.score(v.expand(VOCAB, EMBED), every, 4)
    p = (-losses).exp()
    assert float(p.sum()) == pytest.approx(1.0, rel=1e-12)
    assert p[~KNOWN].tolist() == pytest.approx([SHARE / 3] * 3, rel=1e-12)
    logits = head.scale * (v @ head.weight.T)[0] + (0.0 if head.bias is None else head.bias)
    wanted = (1 - SHARE) * torch.softmax(logits[KNOWN], 0)
    agree(p[KNOWN], wanted.detach(), 1e-12)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("piece", [N, 5])
def test_its_loss_and_gradients_are_those_of_that(config: HeadConfig, piece: int) -> None:
    head = head_of(config)
    generator = torch.Generator().manual_seed(4)
    v = torch.randn(N, EMBED, generator=generator, dtype=torch.float64, requires_grad=True)
    seen = KNOWN.nonzero().flatten()
    targets = seen[torch.randint(0, len(seen), (N,), generator=generator)]
    logits = head.scale * (v @ head.weight.T) + (0.0 if head.bias is None else head.bias)
    kept = logits[:, KNOWN].log_softmax(1) + math.log(1 - SHARE)
    wanted = -kept.gather(1, torch.searchsorted(seen, targets)[:, None]).mean()
    learning = [v, *head.parameters()]
    gradients = torch.autograd.grad(wanted, learning)
    loss = head.loss(v, targets, N, piece)
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    for got, gradient in zip(torch.autograd.grad(loss, learning), gradients, strict=True):
        agree(got, gradient, 1e-9)
    if head.bias is not None:
        assert not torch.autograd.grad(head.loss(v, targets, N, piece), head.bias)[0][~KNOWN].any()


def test_nothing_is_kept_where_nothing_is_unseen_or_nothing_is_asked_for() -> None:
    table = torch.randn(VOCAB, EMBED)
    everything = (torch.ones(VOCAB, dtype=torch.bool), SHARE)
    for config, seen in ((HeadConfig(unseen="reserved"), everything), (HeadConfig(), (KNOWN, SHARE))):
        head = Head(config, table, torch.zeros(VOCAB), torch.Generator(), Arithmetic("cpu"), seen=seen)
        assert list(head.state_dict()) == []
        assert torch.isfinite(head.score(table, torch.arange(VOCAB), 4)[0]).all()


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60))
def test_the_share_is_that_of_tokens_with_a_type_of_one_tenth_alone(ids: list[int]) -> None:
    tenth = [10 * place // len(ids) for place in range(len(ids))]
    alone = 0
    for mine, own in zip(ids, tenth, strict=True):
        alone += all(other != mine for other, where in zip(ids, tenth, strict=True) if where != own)
    stream = np.array(ids, dtype=np.int64)
    assert new_share(stream) == pytest.approx((alone + 0.5) / (len(ids) + 1))
    known, share = seen_types(stream, 8)
    assert (known.nonzero().flatten().tolist(), share) == (sorted(set(ids)), new_share(stream))
