"""Several blocks, slices, cascades, earlier contexts and the choice of context, against plain NumPy loops."""

import numpy as np
import plain_blocks as plain
import pytest
import torch
from core_cases import agree

from cvfp_cli.core.config import HeadConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.core.contexts import Contexts
from cvfp_cli.core.fixed_point import FixedPointTrainer
from cvfp_cli.core.head import Head
from cvfp_cli.core.model import SideBySide, Stream, TokenBlock, context_model, initialise
from cvfp_cli.core.phase1 import slices
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts, Pieces, PredictionTrainer
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.core.shapes import parameter_counts

CPU = Arithmetic("cpu")
VOCAB, EMBED, LENGTH = 13, 4, 41
SHAPES = [((6, 6), False), ((6, 4, 5), False), ((6, 6), True), ((5, 7, 3), True)]


def problem(blocks: tuple[int, ...], cascade: bool, tokens: int = 2):  # type: ignore[no-untyped-def]
    config = ModelConfig(tokens=tokens, blocks=blocks, cascade=cascade)
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(VOCAB, EMBED, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, VOCAB, (LENGTH,), generator=generator)
    model = context_model(config, EMBED)
    assert isinstance(model, SideBySide)
    initialise(model, config, torch.Generator().manual_seed(2))
    model.double()
    with torch.no_grad():  # norms that are not 1 and 0, so that leaving one out shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    x = plain.windows(ids.numpy(), table.numpy(), tokens)
    rows = plain.recurrence([plain.weights_of(b) for b in model.each()], list(blocks), x, cascade)
    return config, table, ids, model, x, rows


@pytest.mark.parametrize("chunks", [None, 4])
@pytest.mark.parametrize(("blocks", "cascade"), SHAPES)
def test_all_blocks_in_one_verified_recurrence(
    blocks: tuple[int, ...], cascade: bool, chunks: int | None
) -> None:
    config, table, ids, model, _, rows = problem(blocks, cascade)
    got, trace = true_contexts(model, Stream(ids, table, config.tokens), chunks=chunks)
    agree(got, np.stack([np.concatenate(row) for row in rows]), 1e-10)
    assert trace.chunks == (chunks or 1)


@pytest.mark.parametrize("context", ["after", "before", "zero"])
@pytest.mark.parametrize(("count", "interval"), [(0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize(("blocks", "cascade"), SHAPES[:3])
def test_losses_of_what_the_token_block_reads(
    blocks: tuple[int, ...], cascade: bool, count: int, interval: int, context: str
) -> None:
    config, table, ids, model, x, rows = problem(blocks, cascade, tokens=1)
    phase2 = Phase2Config(context=context, past_count=count, past_interval=interval)  # type: ignore[arg-type]
    token = TokenBlock(config, EMBED, phase2)
    initialise(token, config, torch.Generator().manual_seed(3))
    token.double()
    assert token.layers[0].linear.in_features == (1 + count) * sum(blocks) + EMBED
    counts = parameter_counts(config, HeadConfig(), EMBED, VOCAB, phase2)
    assert counts.token_block == sum(p.numel() for p in token.parameters())
    assert counts.context_block == sum(p.numel() for p in model.parameters())
    stream = Stream(ids, table, 1)
    known = torch.tensor(np.stack([np.zeros(sum(blocks)), *map(np.concatenate, rows)]))
    frozen = FrozenContexts(model, stream, Contexts.of(known), CPU, phase2, piece_tokens=7)
    head = Head(HeadConfig(), table, torch.zeros(VOCAB), torch.Generator(), CPU)
    trainer = PredictionTrainer(token, head, frozen, frozen, phase2, pieces=Pieces(9, 9), arithmetic=CPU)
    losses, _ = trainer._validate()
    read = [plain.read_contexts(rows, t, context == "before", count, interval) for t in range(LENGTH)]
    if context == "zero":
        read = [np.zeros_like(row) for row in read]
    wanted = plain.mean_loss(plain.weights_of(token), table.numpy(), x, read, ids.numpy())
    assert losses.mean() == pytest.approx(wanted, rel=1e-10)


def test_before_in_a_deeper_model_changes_layer_1_alone() -> None:
    config = ModelConfig(3, 6, 2, "first_layer")
    block = context_model(config, EMBED)
    initialise(block, config, torch.Generator().manual_seed(2))
    stream = Stream(torch.randint(0, VOCAB, (9,)), torch.randn(VOCAB, EMBED), 2)
    contexts = Contexts.of(torch.randn(10, 6))
    after, before = (
        FrozenContexts(block, stream, contexts, CPU, Phase2Config(context=kind))
        for kind in ("after", "before")
    )
    given, types, _ = next(after.batches(8))
    plainly, read = after.layers(given, types), before.layers(given, types)
    assert torch.equal(read[0], given)
    assert all(torch.equal(a, b) for a, b in zip(plainly[1:], read[1:], strict=True))
    assert TokenBlock(config, EMBED, Phase2Config(context="before")).layers[0].linear.in_features == 6 + 8


def test_past_of_phase_1_contexts_is_of_one_more_pass() -> None:
    """After phase 1 contexts are no recurrence: c_{t−1} in row t gives u_t, and earlier ones are those of their rows."""
    _, table, ids, model, x, _ = problem((6, 4), False, tokens=1)
    given = torch.randn(LENGTH + 1, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    given[0] = 0
    frozen = FrozenContexts(
        model, Stream(ids, table, 1), Contexts.of(given), CPU, Phase2Config(past_count=1, past_interval=2)
    )
    read, types, _ = next(frozen.batches(LENGTH - 1))
    (got,) = frozen.layers(read, types)
    outputs = []
    for t in range(LENGTH - 1):
        parts = given[t].numpy()[:6], given[t].numpy()[6:]
        outputs.append(
            np.concatenate(
                [
                    plain.layer(np.concatenate([c, x[t]]), c, plain.weights_of(b), "layers.0")
                    for c, b in zip(parts, model.each(), strict=True)
                ]
            )
        )
    wanted = [np.concatenate([u, outputs[t - 2] if t >= 2 else np.zeros(10)]) for t, u in enumerate(outputs)]
    agree(got, np.stack(wanted), 1e-10)


def test_slices_overlap_by_the_next_ones_first_token() -> None:
    assert slices(10, 3) == [(0, 4), (3, 7), (6, 10)]
    assert slices(11, 2) == [(0, 6), (5, 11)]


@pytest.mark.parametrize(("ring", "cascade"), [(True, False), (False, False), (True, True)])
def test_phase_1_reads_a_ring_zeros_or_another_block(ring: bool, cascade: bool) -> None:
    _, table, ids, model, x, _ = problem((6, 4), cascade)
    block = model.each()[1]
    generator = torch.Generator().manual_seed(4)
    other = torch.randn(LENGTH + 1, 6, dtype=torch.float64, generator=generator)
    other[0] = other[-1]
    trainer = FixedPointTrainer(
        block,
        Stream(ids, table, 2),
        Phase1Config(noise=0.0, max_iterations=3, learning_rate=1e-300),
        7,
        piece_tokens=6,
        arithmetic=CPU,
        ring=ring,
        given=Contexts.of(other) if cascade else None,
    )
    state = trainer.start()
    begun = state.contexts.read(1, LENGTH + 1).clone().numpy()
    while not state.finished:
        trainer.iterate(state, lambda event: None)
    given = other[1:].numpy() if cascade else None
    wanted = plain.phase1_iterations(plain.weights_of(block), x, begun, given, ring, None, 2)
    agree(state.contexts.read(1, LENGTH + 1), wanted, 1e-10)
