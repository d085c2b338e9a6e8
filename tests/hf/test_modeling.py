"""The models that Transformers load, against the core that trained them."""

import pytest
import torch
from hf_cases import EMBED, FORMS, TOLERANCE, VOCAB, apart, case

from cvfp_cli.hf import CVFPConfig, CVFPForCausalLM, CVFPState
from cvfp_cli.hf.modeling_cvfp import CVFPContextBlock, contexts_of, one_by_one


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("form", FORMS)
def test_contexts_and_logits_are_the_cores(form: str, dtype: torch.dtype) -> None:
    made = case(FORMS[form], dtype)
    with torch.no_grad():
        whole = made.model(made.ids[None], output_contexts=True)
        state, steps = None, []
        for token in made.ids:
            step = made.model(token[None, None], past_key_values=state, output_contexts=True)
            state = step.cache
            steps.append((step.logits[0], step.contexts[0]))
    for logits, contexts in [
        (whole.logits[0], whole.contexts[0]),
        tuple(map(torch.cat, zip(*steps, strict=True))),
    ]:
        assert apart(contexts, made.contexts) < TOLERANCE[dtype]
        assert apart(logits[:-1], made.logits) < TOLERANCE[dtype]


def greedy(model: CVFPForCausalLM, ids: torch.Tensor, **settings: object) -> torch.Tensor:
    given = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, **settings}
    return model.generate(ids, **given)[:, ids.shape[1] :]


def by_hand(model: CVFPForCausalLM, ids: torch.Tensor, count: int = 12) -> torch.Tensor:
    """The likeliest tokens in turn, each from all tokens before it, without any state."""
    with torch.no_grad():
        for _ in range(count):
            best = model(ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, best], dim=1)
    return ids[:, -count:]


LIKE_GRU = [form for form in FORMS if form in ("window", "past", "past before", "blocks", "cascade")]


@pytest.fixture(params=[*LIKE_GRU, "gru", "lstm"])
def model(request: pytest.FixtureRequest) -> CVFPForCausalLM:
    if request.param in FORMS:
        return case(FORMS[request.param], torch.float32).model
    torch.manual_seed(1)
    config = CVFPConfig(
        kind=request.param, vocab_size=VOCAB, embed_dim=EMBED, layers=2, width=9, head_bias=True
    )
    return CVFPForCausalLM(config).eval()


def prompts(rows: int, tokens: int = 9) -> torch.Tensor:
    return torch.randint(1, VOCAB, (rows, tokens), generator=torch.Generator().manual_seed(5))


def test_greedy_tokens_are_those_without_a_state(model: CVFPForCausalLM) -> None:
    ids = prompts(2)
    wanted = by_hand(model, ids)
    assert len(set(wanted.flatten().tolist())) > 1  # or a wrong state could not show
    assert torch.equal(greedy(model, ids), wanted)
    assert torch.equal(greedy(model, ids, use_cache=False), wanted)


def test_padding_changes_nothing_on_either_side(model: CVFPForCausalLM) -> None:
    ids, counts = prompts(3), (9, 4, 1)
    alone = [greedy(model, row[None, :count])[0] for row, count in zip(ids, counts, strict=True)]
    left, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, count in enumerate(counts):
        left[row, 9 - count :], mask[row, 9 - count :] = ids[row, :count], 1
    assert torch.equal(greedy(model, left, attention_mask=mask), torch.stack(alone))
    with torch.no_grad():
        right = model(left.flip(1), attention_mask=mask.flip(1))
        for row, count in enumerate(counts):
            own = model(left.flip(1)[row : row + 1, :count])
            assert apart(right.logits[row, :count], own.logits[0]) < 1e-5
            for held, state in zip(right.cache.tensors, own.cache.tensors, strict=True):
                assert torch.allclose(held[row].double(), state[0].double(), atol=1e-5)


def test_a_row_of_padding_alone_leaves_the_state_as_it_was(model: CVFPForCausalLM) -> None:
    ids = prompts(2)
    with torch.no_grad():
        before = model(ids).cache
        after = model(
            ids.flip(1), attention_mask=torch.tensor([[0] * 9, [1] * 9]), past_key_values=before
        ).cache
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert torch.equal(one[0], other[0])
        assert one.shape[1] == 0 or not torch.equal(one[1], other[1])


def test_beams_are_those_without_a_state_or_are_refused(
    model: CVFPForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = prompts(2)
    with_state = greedy(model, ids, num_beams=4)
    assert torch.equal(with_state, greedy(model, ids, num_beams=4, use_cache=False))

    # As a version that knows no such states.
    monkeypatch.setattr(CVFPState, "reorder_cache", lambda state, beam_idx: None)
    with pytest.raises(ValueError, match="does not reorder"):
        greedy(model, ids, num_beams=4)


def test_generation_goes_on_from_a_state(model: CVFPForCausalLM) -> None:
    ids = prompts(2)
    with torch.no_grad():
        state = model(ids[:, :5]).cache
    assert torch.equal(greedy(model, ids, past_key_values=state), by_hand(model, ids))


def test_assisted_generation_is_refused(model: CVFPForCausalLM) -> None:
    with pytest.raises(ValueError, match="stateful"):
        greedy(model, prompts(1), prompt_lookup_num_tokens=2)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("form", ["window", "blocks"])
def test_long_inputs_in_chunks(form: str, dtype: torch.dtype) -> None:
    made = case(FORMS[form], dtype, tokens=700)
    calls = []
    made.model.context.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    with torch.no_grad():
        got = made.model(made.ids.repeat(2, 1), output_contexts=True)
    assert max(calls[:-1]) > 2  # side by side; the last call is that of all tokens at once
    assert len(calls) < 700
    for row in range(2):
        assert apart(got.contexts[row], made.contexts) < TOLERANCE[dtype]
        assert apart(got.logits[row, :-1], made.logits) < TOLERANCE[dtype]


@pytest.mark.parametrize("share", [0.0, 1e-3, 1.0])
def test_chunks_run_again_until_they_meet(share: float) -> None:
    """However long the block remembers: with ``share`` 0 for ever."""
    torch.manual_seed(2)
    block = CVFPContextBlock(CVFPConfig(embed_dim=EMBED), 8, 8).double()
    with torch.no_grad():
        block.layers[0].linear.weight.mul_(share)
        parts = [block.layers[0].part(torch.randn(2, 601, EMBED, dtype=torch.float64))]
        start = torch.randn(2, 8, dtype=torch.float64)
        assert apart(contexts_of(block, parts, start), one_by_one(block, parts, start)) < 1e-10


def test_the_loss_and_its_gradients_go_through_the_recurrence(model: CVFPForCausalLM) -> None:
    ids = prompts(2)
    labels = ids.clone()
    labels[0, :4] = -100
    out = model(ids, labels=labels)
    chosen = [(row, t) for row in range(2) for t in range(8) if labels[row, t + 1] != -100]
    logs = out.logits.log_softmax(-1)
    assert out.loss.item() == pytest.approx(
        -sum(logs[r, t, ids[r, t + 1]].item() for r, t in chosen) / len(chosen)
    )
    out.loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_what_it_cannot_do_is_refused(model: CVFPForCausalLM) -> None:
    with pytest.raises(ValueError, match="token ids"):
        model(inputs_embeds=torch.zeros(1, 2, EMBED))
    with pytest.raises(NotImplementedError, match="vocabulary"):
        model.resize_token_embeddings(VOCAB + 1)
    with pytest.raises(ValueError, match="kind 'rnn'"):
        CVFPConfig(kind="rnn")
