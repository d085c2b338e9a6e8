"""The Triton kernels against the same arithmetic in torch. They need an NVIDIA device; CI has none."""

import pytest
import torch
from core_cases import agree, load_golden, random_context_block
from torch import Tensor
from torch.nn import functional as F

from cvfp_cli.core import kernels, unit_loss
from cvfp_cli.core.config import ModelConfig, Phase1Config
from cvfp_cli.core.fixed_point import FixedPoint, FixedPointTrainer
from cvfp_cli.core.kernels import head, layer, phase1
from cvfp_cli.core.model import Stream
from cvfp_cli.core.precision import Arithmetic

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and kernels.PRESENT), reason="needs an NVIDIA device and Triton"
)
SILENT = lambda event: None  # noqa: E731


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).cuda()


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """‖got − wanted‖ ≤ tolerance · ‖wanted‖."""
    assert got.shape == wanted.shape
    exact = wanted.detach().double()
    assert float((got.detach().double() - exact).norm() / exact.norm()) <= tolerance


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


def test_inputs_are_the_contexts_one_token_earlier() -> None:
    contexts, before = drawn(50, 12), drawn(12, seed=1)
    given = phase1.noisy_contexts(contexts, before, 7, 3, 0.0)
    assert torch.equal(given, torch.cat([before[None], contexts[:-1]]))


@pytest.mark.parametrize("units", [1, 5])
@pytest.mark.parametrize("diversity", ["spread", "oacd"])
def test_loss_and_gradient(monkeypatch: pytest.MonkeyPatch, units: int, diversity: str) -> None:
    """Against the torch path in float64; a common offset of the outputs costs the spread no digits."""
    config = Phase1Config(diversity=diversity, diversity_weight=0.7, convergence_mse=2.0)  # type: ignore[arg-type]
    y, contexts = drawn(1000, 300) + 40.0, drawn(1000, 300, seed=1)
    known, converged = unit_loss.moments(y, contexts, units, config.convergence_mse)
    losses = unit_loss.unit_losses(known, 1000 // units, config)
    updated = contexts.clone()
    gradient = unit_loss.gradient_and_update(y, updated, known, 1000 // units, 7, config)
    monkeypatch.setattr(kernels, "usable", lambda device: False)
    exact, wanted = unit_loss.moments(y.double(), contexts, units, config.convergence_mse)
    close(known.spread, exact.spread)
    close(losses, unit_loss.unit_losses(exact, 1000 // units, config))
    assert int(converged) == int(wanted)
    plain = unit_loss.gradient_and_update(y.double(), contexts.clone(), exact, 1000 // units, 7, config)
    close(gradient, plain)
    assert torch.equal(updated, y)


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
    rows = sum(exact[4][place][windows[:, place]] for place in range(places))
    wanted = F.layer_norm(exact[0] + F.relu(exact[1] + rows), (width,), exact[2], exact[3], 1e-5)
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


@pytest.mark.parametrize("biased", [False, True])
def test_cross_entropy(biased: bool) -> None:
    n, vocab, padded = 70, 5003, 5120
    logits = 20 * drawn(n, padded)
    targets = torch.randint(0, vocab, (n,)).cuda()
    bias = drawn(vocab, seed=1) if biased else None
    plain = logits[:, :vocab].double() + (bias.double() if bias is not None else 0.0)
    wanted = F.cross_entropy(plain, targets, reduction="none")
    losses, best = head.score(logits, bias, targets, vocab)
    close(losses, wanted)
    assert torch.equal(best, plain.argmax(1))
    close(head.cross_entropy_(logits, bias, targets, vocab), wanted)
    p = torch.softmax(plain, 1) - F.one_hot(targets, vocab)
    close(logits[:, :vocab], p)
    assert not logits[:, vocab:].any()


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
