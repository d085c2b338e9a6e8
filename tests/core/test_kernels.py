"""The Triton kernels against the plain functions beside them, and these against autograd and loops.

The kernels need an NVIDIA device; CI has none.
"""

import inspect
import os
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from core_cases import agree, load_golden, random_context_block
from torch import Tensor

from cvfp_cli.core import kernels, unit_loss
from cvfp_cli.core.config import ModelConfig, Phase1Config
from cvfp_cli.core.fixed_point import FixedPoint, FixedPointTrainer
from cvfp_cli.core.kernels import head, layer, phase1
from cvfp_cli.core.model import Stream
from cvfp_cli.core.precision import Arithmetic

on_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() and kernels.PRESENT), reason="needs an NVIDIA device and Triton"
)
HELPERS = {layer.runs_by_type}  # no kernel: it runs anywhere
Words = tuple[str, ...]
SILENT = lambda event: None  # noqa: E731


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).cuda()


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """‖got − wanted‖ ≤ tolerance · ‖wanted‖."""
    assert got.shape == wanted.shape
    exact = wanted.detach().double()
    assert float((got.detach().double() - exact).norm() / exact.norm()) <= tolerance


@pytest.mark.parametrize("module", [head, layer, phase1])
def test_beside_every_kernel_stands_the_plain_function(module: ModuleType) -> None:
    fused = [
        name
        for name, made in inspect.getmembers(module, inspect.isfunction)
        if made.__module__ == module.__name__ and not name.startswith(("_", "plain_")) and made not in HELPERS
    ]
    assert fused
    assert [name for name in fused if not hasattr(module, f"plain_{name}")] == []


@pytest.mark.parametrize("biased", [False, True])
def test_the_plain_cross_entropy_is_what_autograd_finds(biased: bool) -> None:
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 16, generator=random, dtype=torch.float64)
    bias = torch.randn(11, generator=random, dtype=torch.float64) if biased else None
    targets = torch.randint(0, 11, (6,), generator=random)
    leaf = logits.clone().requires_grad_()
    shifted = leaf[:, :11] + (0.0 if bias is None else bias)
    wanted = -torch.log_softmax(shifted, 1)[torch.arange(6), targets]
    wanted.sum().backward()
    losses, best = head.plain_score(logits, bias, targets, 11)
    agree(losses, wanted.detach(), 1e-12)
    assert best.tolist() == [max(range(11), key=row.__getitem__) for row in shifted.tolist()]
    agree(head.plain_cross_entropy_(logits, bias, targets, 11), wanted.detach(), 1e-12)
    assert leaf.grad is not None
    agree(logits, leaf.grad, 1e-12)


@pytest.mark.parametrize("diversity", ["spread", "oacd"])
def test_the_plain_gradient_is_what_autograd_finds(diversity: str) -> None:
    """Of the units' losses as method.md words them."""
    random = torch.Generator().manual_seed(4)
    config = Phase1Config(diversity=diversity, diversity_weight=0.7)  # type: ignore[arg-type]
    y, contexts = torch.randn(2, 30, 5, generator=random, dtype=torch.float64)
    y.requires_grad_()
    loss = torch.zeros(())
    for new, old in zip(y.view(3, 10, 5), contexts.view(3, 10, 5), strict=True):
        spread = (new - new.mean(0)).norm() / 10
        away = 0.1 * new.mean(0).square().sum() if diversity == "oacd" else 0.0
        loss = loss + 0.3 * (new - old).square().mean() + 0.7 * (away - spread)
    (loss / 3).backward()
    known, _ = unit_loss.moments(y.detach(), contexts, 3, config.convergence_mse)
    got = unit_loss.gradient_and_update(y.detach(), contexts, known, 10, 3, config)
    assert y.grad is not None
    agree(got, y.grad, 1e-12)
    assert torch.equal(contexts, y.detach())


def test_plain_inputs_rows_and_layers_are_what_loops_find() -> None:
    random = torch.Generator().manual_seed(5)
    previous, noise, z = torch.randn(3, 4, 6, generator=random)
    before, types = noise[2].clone(), torch.tensor([[1, 0], [2, 2], [1, 1], [0, 2]])
    table = torch.randn(2, 3, 6, generator=random)
    wanted = [noise[t] + (previous[t - 1] if t else before) for t in range(4)]
    assert torch.equal(phase1.plain_noisy_contexts(previous, before, noise.clone()), torch.stack(wanted))
    gradient = torch.zeros(3, 6)
    layer.plain_scatter_rows(z, types[:, 0], gradient)
    agree(gradient, torch.stack([z[3], z[0] + z[2], z[1]]))
    gain, shift = before, previous[0]
    got = layer.plain_add_norm(previous, z, gain, shift, 1e-5, table, types)
    for t in range(4):
        row = previous[t] + (z[t] + table[0, types[t, 0]] + table[1, types[t, 1]]).clamp_min(0.0)
        centred = row - row.mean()
        agree(got[t], centred / (centred.square().mean() + 1e-5).sqrt() * gain + shift)


def test_runs_hold_every_token_once_and_no_run_is_long() -> None:
    types = torch.tensor([3, 0, 3] * 50 + [2])
    runs = layer.runs_by_type(types)
    found = [
        (int(kind), runs.order[runs.start[run] : runs.start[run] + runs.length[run]].tolist())
        for number, kind in enumerate(runs.types)
        for run in range(int(runs.first[number]), int(runs.first[number + 1]))
    ]
    assert max(len(tokens) for _, tokens in found) <= layer.RUN
    assert sorted(token for _, tokens in found for token in tokens) == list(range(151))
    assert all(types[token] == kind for kind, tokens in found for token in tokens)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # kat_vectors of Random123
        (("0" * 8,) * 4, ("0" * 8,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (("f" * 8,) * 4, ("f" * 8,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            ("243f6a88", "85a308d3", "13198a2e", "03707344"),
            ("a4093822", "299f31d0"),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_plain_philox_gives_the_published_words(counter: Words, key: Words, words: str) -> None:
    low, high = (int(word, 16) for word in key)
    found = phase1.plain_philox([torch.tensor(int(word, 16)) for word in counter], low, high)
    assert " ".join(f"{int(word):08x}" for word in found) == words


def test_plain_noise_is_normal_and_depends_on_token_and_seed_alone() -> None:
    noise = phase1.plain_noise(7, 2**32 - 500, 1000, 321)
    assert torch.equal(noise[600:], phase1.plain_noise(7, 2**32 + 100, 400, 321))
    # 321,000 draws: five standard errors of a mean of products are 9e-3.
    for product in (noise, noise * phase1.plain_noise(8, 2**32 - 500, 1000, 321), noise[1:] * noise[:-1]):
        assert abs(float(product.mean())) < 9e-3
    for part in noise.split(81, 1):
        assert float(part.var()) == pytest.approx(1.0, abs=0.03)
        assert float(part.pow(4).mean()) == pytest.approx(3.0, abs=0.2)


NOISE_CASES = [(5, 320, 2**33 - 2, 7), (3, 10, 0, 2**61 + 5), (2, 4, 17, 0)]
"""Rows, width, first token, seed."""
INTERPRETED = f"""
import torch
from cvfp_cli.core.kernels import phase1
for rows, width, start, seed in {NOISE_CASES}:
    got = phase1.noisy_contexts(torch.zeros(rows, width), torch.zeros(width), seed, start, 1.0)
    assert (got - phase1.plain_noise(seed, start, rows, width)).abs().max() < 1e-5
"""


@pytest.mark.skipif(not kernels.PRESENT, reason="needs Triton")
def test_noise_is_the_plain_one_in_tritons_interpreter() -> None:
    subprocess.run(
        [sys.executable, "-c", INTERPRETED], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True
    )


@on_gpu
@pytest.mark.parametrize(("rows", "width", "start", "seed"), NOISE_CASES)
def test_noise_is_the_plain_one(rows: int, width: int, start: int, seed: int) -> None:
    zeros = torch.zeros(rows, width, device="cuda")
    got = phase1.noisy_contexts(zeros, zeros[0], seed, start, 1.0)
    assert float((got.cpu() - phase1.plain_noise(seed, start, rows, width)).abs().max()) < 1e-4


@on_gpu
def test_noise_is_normal_and_depends_on_token_and_seed_alone() -> None:
    contexts, before = torch.zeros(100_000, 320, device="cuda"), torch.zeros(320, device="cuda")
    noise = phase1.noisy_contexts(contexts, before, 7, 0, 1.0)
    assert torch.equal(noise[60_000:], phase1.noisy_contexts(contexts[60_000:], before, 7, 60_000, 1.0))
    other = phase1.noisy_contexts(contexts, before, 8, 0, 1.0)
    far = phase1.noisy_contexts(contexts, before, 7, 2**33, 1.0)
    # 32 million draws: five standard errors of a mean of products are 9e-4.
    for product in (
        noise,
        noise * other,
        noise * far,
        noise[1:] * noise[:-1],
        noise[:, 80:] * noise[:, :-80],
    ):
        assert abs(float(product.mean())) < 9e-4
    assert float(noise.var()) == pytest.approx(1.0, abs=2e-3)
    assert float(noise.pow(4).mean()) == pytest.approx(3.0, abs=1e-2)


@on_gpu
def test_inputs_are_the_contexts_one_token_earlier_and_noise() -> None:
    contexts, before = drawn(50, 12), drawn(12, seed=1)
    noise = phase1.noisy_contexts(torch.zeros_like(contexts), torch.zeros_like(before), 7, 3, 0.5)
    close(
        phase1.noisy_contexts(contexts, before, 7, 3, 0.5),
        phase1.plain_noisy_contexts(contexts, before, noise),
    )


@on_gpu
@pytest.mark.parametrize("units", [1, 5])
@pytest.mark.parametrize("diversity", ["spread", "oacd"])
def test_loss_and_gradient(units: int, diversity: str) -> None:
    """Against the plain functions, which float64 takes; a common offset of the outputs costs the spread no digits."""
    config = Phase1Config(diversity=diversity, diversity_weight=0.7, convergence_mse=2.0)  # type: ignore[arg-type]
    y, contexts = drawn(1000, 300) + 40.0, drawn(1000, 300, seed=1)
    known, converged = unit_loss.moments(y, contexts, units, config.convergence_mse)
    losses = unit_loss.unit_losses(known, 1000 // units, config)
    updated = contexts.clone()
    gradient = unit_loss.gradient_and_update(y, updated, known, 1000 // units, 7, config)
    exact, wanted = unit_loss.moments(y.double(), contexts, units, config.convergence_mse)
    close(known.spread, exact.spread)
    close(losses, unit_loss.unit_losses(exact, 1000 // units, config))
    assert int(converged) == int(wanted)
    plain = unit_loss.gradient_and_update(y.double(), contexts.clone(), exact, 1000 // units, 7, config)
    close(gradient, plain)
    assert torch.equal(updated, y)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("places", [0, 1, 3])
def test_what_follows_a_product(dtype: torch.dtype, places: int) -> None:
    """Forward, and every gradient, the table's included, where some types are frequent and some do not occur."""
    n, width, types = 5000, 200, 40
    share = 1 / torch.arange(1.0, types)
    windows = torch.multinomial(share, n * max(places, 1), True).view(n, -1).cuda()
    kept, z = drawn(n, width).requires_grad_(), drawn(n, width, seed=1).to(dtype).requires_grad_()
    gain, shift = (1 + drawn(width, seed=2)).requires_grad_(), drawn(width, seed=3).requires_grad_()
    table, upstream = drawn(places, types, width, seed=4), drawn(n, width, seed=5)
    gather = None
    if places:
        runs = tuple(layer.runs_by_type(column) for column in windows.unbind(1))
        gather = layer.Gather(table, windows, torch.zeros_like(table), runs)
    exact = [part.detach().double().requires_grad_() for part in (kept, z, gain, shift, table)]
    wanted = layer.plain_add_norm(*exact[:4], 1e-5, exact[4], windows[:, :places])
    wanted.backward(upstream.double())
    # The product is overwritten, so autograd must be given a copy, as a product's output is.
    got = layer.add_norm(kept, z * 1, gain, shift, 1e-5, gather)
    got.backward(upstream.to(got.dtype))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    close(got, wanted, tolerance)
    for part, reference in zip((kept, z, gain, shift), exact[:4], strict=True):
        assert part.grad is not None
        assert reference.grad is not None
        close(part.grad, reference.grad, 5 * tolerance)
    if gather is not None and gather.gradient is not None and exact[4].grad is not None:
        close(gather.gradient, exact[4].grad, 5 * tolerance)


@on_gpu
@pytest.mark.parametrize("biased", [False, True])
def test_cross_entropy(biased: bool) -> None:
    n, vocab, padded = 70, 5003, 5120
    logits = 20 * drawn(n, padded)
    targets = torch.randint(0, vocab, (n,)).cuda()
    bias = drawn(vocab, seed=1) if biased else None
    plain = logits.double()
    wanted, likeliest = head.plain_score(plain, bias, targets, vocab)
    losses, best = head.score(logits, bias, targets, vocab)
    close(losses, wanted)
    assert torch.equal(best, likeliest)
    close(head.cross_entropy_(logits, bias, targets, vocab), wanted)
    head.plain_cross_entropy_(plain, bias, targets, vocab)
    close(logits, plain)
    assert not logits[:, vocab:].any()


@on_gpu
def test_the_losses_are_read_before_the_logits_are_overwritten() -> None:
    """Of a large piece again and again: warps of one row that ran ahead of another once spoilt what it read."""
    n, vocab, padded = 4096, 50257, 50304
    targets = torch.randint(0, vocab, (n,)).cuda()
    logits = drawn(n, padded).to(torch.bfloat16)
    wanted, _ = head.score(logits, None, targets, vocab)
    for _ in range(30):
        assert torch.equal(head.cross_entropy_(logits.clone(), None, targets, vocab), wanted)


@on_gpu
@pytest.mark.parametrize("name", ["1L1t", "3L3t"])
@pytest.mark.parametrize("piece_tokens", [10**6, 25, 7])
def test_golden_iterations(name: str, piece_tokens: int) -> None:
    case = load_golden(name)
    given = case.figures["phase1"]
    names = ("learning_rate", "noise", "diversity_weight", "batch_tokens", "grad_clip", "convergence_mse")
    limits = {"min_iterations": given["iterations"], "max_iterations": given["iterations"]}
    config = Phase1Config(**{key: given[key] for key in names}, **limits)
    stream = Stream(case.tensors["ids"].cuda(), case.table.cuda(), case.model.tokens)
    trainer = FixedPointTrainer(
        case.context_block.cuda(), stream, config, 0, piece_tokens=piece_tokens, arithmetic=Arithmetic("cuda")
    )
    state = trainer.start()
    state.contexts.write(1, case.tensors["phase1.initial_contexts"])
    for wanted in given["log"]:
        trainer.iterate(state, SILENT)
        agree(state.log[-1].loss, wanted["loss"])
        agree(state.log[-1].rate, wanted["converged"])
    agree(state.contexts.read(1, len(state.contexts)).cpu(), case.tensors["phase1.final_contexts"])


@on_gpu
@pytest.mark.parametrize(
    ("model", "loss_over"),
    [
        (ModelConfig(1, 768, 1), "batch"),
        (ModelConfig(3, 256, 3), "batch"),
        (ModelConfig(3, 256, 2, "first_layer"), "batch"),
        (ModelConfig(2, 320, 2), "stream"),
    ],
)
def test_an_iteration_with_token_tables(
    monkeypatch: pytest.MonkeyPatch, model: ModelConfig, loss_over: str
) -> None:
    """A stream longer than its tables, in pieces, with a short last batch: gradients as without kernels."""
    tokens, vocab, width = 9011, 400, 192
    config = Phase1Config(batch_tokens=2000, noise=0.0, grad_clip=1e9, loss_over=loss_over)  # type: ignore[arg-type]

    def iterated(seed: int, with_kernels: bool) -> tuple[FixedPoint, list[Tensor]]:
        random = torch.Generator().manual_seed(seed)
        ids = torch.multinomial(1 / torch.arange(1.0, vocab + 1), tokens, True, generator=random)
        table = torch.randn(vocab, width, generator=random)
        block = random_context_block(model, width, 1, torch.float32).cuda()
        stream = Stream(ids.cuda(), table.cuda(), model.tokens)
        with monkeypatch.context() as patch:
            if not with_kernels:
                patch.setattr(kernels, "usable", lambda device: False)
            trainer = FixedPointTrainer(
                block, stream, config, 5, piece_tokens=4000, arithmetic=Arithmetic("cuda")
            )
            state = trainer.start()
            state.contexts.write(1, torch.randn(tokens, model.context_dim, generator=random))
            trainer.iterate(state, SILENT)
        return state, [part.grad.double() for part in block.parameters() if part.grad is not None]

    differences = []
    for seed in range(5):
        fused, gradients = iterated(seed, True)
        plain, wanted = iterated(seed, False)
        close(fused.contexts.read(1, tokens + 1), plain.contexts.read(1, tokens + 1))
        assert fused.log[-1].loss == pytest.approx(plain.log[-1].loss, rel=1e-5)
        assert fused.log[-1].rate == plain.log[-1].rate
        differences.append([float((a - b).norm() / b.norm()) for a, b in zip(gradients, wanted, strict=True)])
    # In some draws, rounding turns one of some ten million ReLUs the other way, which is seen in every layer below it:
    # float32 without kernels is then as far from float64 (up to 2e-3).
    for of_draws in zip(*differences, strict=True):
        assert sorted(of_draws)[2] <= 1e-5
        assert max(of_draws) <= 1e-2
