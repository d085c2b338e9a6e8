"""End-to-end training: its gradients against a plain autograd loop in float64, its state, and whole runs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from core_cases import agree, plain_context_block, plain_windows
from test_experiment import CONFIG, DATA, Memory, figures
from torch.nn import functional as F

from cvfp_cli.core.config import EndToEndConfig, Execution, HeadConfig, JointConfig, ModelConfig
from cvfp_cli.core.end_to_end import EndToEndTrainer
from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.core.head import Head
from cvfp_cli.core.joint import StartingWeights, run_end_to_end
from cvfp_cli.core.model import ContextBlock, SideBySide, Stream, context_model, initialise, token_model
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import Pieces
from cvfp_cli.errors import InputError

VOCAB, EMBED, LENGTH = 11, 4, 24


def trainer_of(model: ModelConfig, joint: JointConfig, head: HeadConfig) -> EndToEndTrainer:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(VOCAB, EMBED, generator=generator, dtype=torch.float64)
    config = EndToEndConfig(model, head, joint)
    blocks = context_model(model, EMBED)
    token = token_model(model, EMBED, config.as_phases.phase2)
    for number, part in enumerate((blocks, token)):
        initialise(part, model, torch.Generator().manual_seed(number))
        part.double()
    streams = [
        Stream(torch.randint(0, VOCAB, (n,), generator=generator), table, model.tokens) for n in (LENGTH, 15)
    ]
    embedding = torch.nn.Parameter(table.clone()) if joint.embedding == "trained" else None
    cpu = Arithmetic("cpu")
    made = Head(head, table, torch.zeros(VOCAB), torch.Generator(), cpu, embedding)
    return EndToEndTrainer(
        blocks, token, made, *streams, config, pieces=Pieces(9, 5), arithmetic=cpu, embedding=embedding
    )


def each_of(model: Any) -> list[ContextBlock]:
    return model.each() if isinstance(model, SideBySide) else [model]


def plain_loss(
    trainer: EndToEndTrainer, state: torch.Tensor, at: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss of a chunk and the contexts after it, one token of one piece after another."""
    stream, joint, model = trainer.streams[0], trainer.joint, trainer.model
    table = trainer.head.weight if trainer.embedding is None else trainer.embedding
    windows = plain_windows(stream.ids, table, model.tokens)
    losses, ends = [], []
    for piece in range(at.shape[1]):
        contexts = list(state[piece : piece + 1].split([block.width for block in each_of(model)], 1))
        for t in at[:, piece].tolist():
            if t >= len(stream) - 1:
                continue
            before = torch.cat(contexts, 1)
            window = windows[t : t + 1]
            given = contexts
            if isinstance(model, SideBySide) and model.cascade:
                given = [contexts[0], *contexts[:-1]]
            layers = [
                plain_context_block(block, c, window) for block, c in zip(each_of(model), given, strict=True)
            ]
            contexts = [outputs[-1] for outputs in layers]
            read = layers[0] if len(layers) == 1 else [torch.cat(contexts, 1)]
            if joint.context == "before":
                read = [before, *read[1:]]
            v = trainer.token_block.forward(read, window)
            logits = trainer.head.scale * (v @ trainer.head.weight.T)
            losses.append(F.cross_entropy(logits, stream.ids[t + 1 : t + 2]))
        ends.append(torch.cat(contexts, 1))
    return torch.stack(losses).mean(), torch.cat(ends)


@pytest.mark.parametrize(
    ("model", "joint", "head"),
    [
        (ModelConfig(2, 6, 2), JointConfig(), HeadConfig(logit_scale=0.5, learn_logit_scale=True)),
        (ModelConfig(2, 6, 1, "first_layer"), JointConfig(context="before"), HeadConfig()),
        (ModelConfig(blocks=(5, 3)), JointConfig(context="before"), HeadConfig()),
        (ModelConfig(1, 6, 2, token_block="mlp", token_hidden=7), JointConfig(), HeadConfig()),
        (ModelConfig(blocks=(5, 3), cascade=True, tokens=2), JointConfig(embedding="trained"), HeadConfig()),
    ],
)
def test_gradients_are_those_of_a_plain_loop(
    model: ModelConfig, joint: JointConfig, head: HeadConfig
) -> None:
    trainer = trainer_of(model, replace(joint, streams=3, chunk_tokens=5), head)
    state = torch.randn(3, model.context_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    at = trainer.first[None, :] + torch.arange(4, 9)[:, None]  # the last piece ends within the chunk
    wanted, _ = plain_loss(trainer, state, at)
    gradients = torch.autograd.grad(wanted, trainer.parameters)
    loss, _ = trainer._chunk_loss(state, at, {})
    assert int((at < LENGTH - 1).sum()) < at.numel()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    torch.autograd.backward(loss)
    for parameter, gradient in zip(trainer.parameters, gradients, strict=True):
        assert parameter.grad is not None
        agree(parameter.grad, gradient, 1e-9)


def test_contexts_are_carried_from_chunk_to_chunk_and_from_piece_to_piece() -> None:
    joint = JointConfig(streams=2, chunk_tokens=4, learning_rate=1e-300)
    trainer = trainer_of(ModelConfig(1, 6, 1), joint, HeadConfig())
    total = trainer._train(1, lambda event: None)
    state = torch.zeros(2, 6, dtype=torch.float64)
    whole = trainer.first[None, :] + torch.arange(trainer.length)[:, None]
    wanted, ends = plain_loss(trainer, state, whole)
    assert float(total) == pytest.approx(float(wanted.detach()) * (LENGTH - 1), rel=1e-9)
    agree(trainer.starts[0], torch.zeros(6))
    agree(trainer.starts[1], ends[0].detach(), 1e-9)


JOINT = EndToEndConfig(
    replace(CONFIG.model, layers=1),
    CONFIG.head,
    JointConfig(streams=8, chunk_tokens=8, epochs=4, patience=0, learning_rate=0.01),
)
CPU = Execution("cpu")


@pytest.mark.parametrize(
    "joint",
    [
        {},
        {"dropout_head": 0.1, "dropout_input": 0.1, "weight_decay": 0.01, "embedding": "trained"},
        {"context": "zero", "schedule": "linear"},
    ],
)
def test_learns_and_goes_on_after_a_break_with_the_same_bits(joint: dict[str, Any]) -> None:
    config = replace(JOINT, joint=replace(JOINT.joint, **joint))
    whole = run_end_to_end(config, DATA, CPU)
    assert whole.result.val_ppl is not None
    assert whole.result.val_ppl < whole.result.unigram_ppl
    assert [stage.name for stage in whole.result.stages] == ["training"]
    memory = Memory(2)
    with pytest.raises(KeyboardInterrupt):
        run_end_to_end(config, DATA, CPU, checkpoint=memory)
    assert figures(run_end_to_end(config, DATA, CPU, checkpoint=memory)) == figures(whole)


def test_starts_from_a_finished_run_of_the_same_model() -> None:
    """With steps of no size its first figure is the run's own, by the same true recurrence."""
    before = run_experiment(replace(CONFIG, model=JOINT.model), DATA, CPU)
    start = StartingWeights(before.weights, "there")
    still = replace(JOINT, joint=replace(JOINT.joint, learning_rate=1e-30, epochs=1))
    assert run_end_to_end(still, DATA, CPU, start=start).result.val_ppl == pytest.approx(
        before.result.val_ppl, rel=1e-5
    )
    other = replace(still, model=replace(still.model, context_dim=9))
    with pytest.raises(InputError, match="another model"):
        run_end_to_end(other, DATA, CPU, start=start)
