"""Small models of every form, drawn and not trained, in the core and as Transformers load them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cvfp_cli.core.config import ExperimentConfig, HeadConfig, ModelConfig, Phase2Config
from cvfp_cli.core.end_to_end import with_start
from cvfp_cli.core.head import Head
from cvfp_cli.core.model import Stream, context_model, initialise, token_model
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts
from cvfp_cli.core.recurrence import true_contexts
from cvfp_cli.hf import CVFPConfig, CVFPForCausalLM
from cvfp_cli.learners.exports import exported_blocks

VOCAB, EMBED = 23, 6
SHARE = 0.07  # of the types 3, 6, 9, …, that training is taken to lack
BIASED = HeadConfig(logit_scale=0.9, learn_logit_scale=True, bias="unigram")


def phases(model: ModelConfig, head: HeadConfig = BIASED, **phase2: object) -> ExperimentConfig:
    return ExperimentConfig(model, head, phase2=Phase2Config(**phase2))  # type: ignore[arg-type]


FORMS = {
    "one layer": phases(ModelConfig(1, 8, 1)),
    "window": phases(ModelConfig(2, 8, 3)),
    "first layer": phases(ModelConfig(3, 7, 2, "first_layer")),
    "early": phases(ModelConfig(2, 8, 2, token_block="early", activation="gelu")),
    "mlp": phases(ModelConfig(1, 8, 2, token_block="mlp", token_hidden=11), past_count=1),
    "fixed scale": phases(ModelConfig(1, 8, 2), HeadConfig(logit_scale=0.5)),
    "untied": phases(ModelConfig(1, 8, 1), HeadConfig(weights="untied", start="uniform", bias="zero")),
    "trained copy": phases(ModelConfig(1, 8, 1), HeadConfig(table="trained")),
    "before": phases(ModelConfig(3, 7, 2, "first_layer"), context="before"),
    "zero": phases(ModelConfig(2, 8, 1), context="zero"),
    "past": phases(ModelConfig(1, 8, 2), past_count=2, past_interval=3),
    "past before": phases(ModelConfig(1, 8, 1), context="before", past_count=2, past_interval=2),
    "blocks": phases(ModelConfig(tokens=2, blocks=(5, 7, 3)), past_count=1),
    "cascade": phases(ModelConfig(blocks=(5, 7, 3), cascade=True), context="before"),
    "two tables": phases(ModelConfig(1, 8, 2), embedding="trained"),
    "reserved": phases(ModelConfig(2, 8, 1), replace(BIASED, unseen="reserved")),
    "reserved untied": phases(
        ModelConfig(1, 8, 2), HeadConfig(weights="untied", start="uniform", unseen="reserved")
    ),
}


@dataclass
class Case:
    """What the core computes of a stream, and the same model for Transformers, both in one dtype."""

    ids: Tensor
    contexts: Tensor
    logits: Tensor
    model: CVFPForCausalLM


def case(config: ExperimentConfig, dtype: torch.dtype, tokens: int = 50) -> Case:
    """A model with drawn weights on a stream of random tokens."""
    generator = torch.Generator().manual_seed(3)
    table, trained = torch.randn(2, VOCAB, EMBED, generator=generator, dtype=dtype)
    ids = torch.randint(0, VOCAB, (tokens,), generator=generator)
    blocks = context_model(config.model, EMBED)
    token_block = token_model(config.model, EMBED, config.phase2)
    for block in (blocks, token_block):
        initialise(block, replace(config.model, initialisation="xavier"), generator)
        block.to(dtype)
    seen = torch.arange(VOCAB) % 3 > 0
    share = SHARE if config.head.unseen == "reserved" else None
    own = config.phase2.embedding == "trained"
    embedding = torch.nn.Parameter(trained) if own else None
    unigram = torch.randn(VOCAB, generator=generator)
    head = Head(config.head, table, unigram, generator, Arithmetic("cpu"), embedding, (seen, SHARE))
    with torch.no_grad():  # norms that are not 1 and 0, so that leaving one out shows
        for part in (blocks, token_block, head):
            for parameter in part.parameters():
                if parameter.dim() == 1:
                    parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
        stream = Stream(ids, table, config.model.tokens)
        contexts, _ = true_contexts(blocks, stream, chunks=1)
        frozen = FrozenContexts(blocks, stream, with_start(contexts), Arithmetic("cpu"), config.phase2)
        logits = []
        for read, windows, _ in frozen.batches(tokens):
            v = token_block(frozen.layers(read, windows), stream.embed(windows, embedding))
            found = head.scale * (v @ head.weight.t()) + (0.0 if head.bias is None else head.bias)
            logits.append(found if share is None else shared_out(found, seen, share))
    weights = {
        f"{name}.{key}": value.detach()
        for name, part in (("context", blocks), ("token", token_block), ("head", head))
        for key, value in part.state_dict().items()
    }
    if embedding is not None:
        weights["embedding.weight"] = embedding.detach()
    exported = exported_blocks(config, weights, table, share, joint=False)
    model = CVFPForCausalLM(CVFPConfig(**exported.config)).to(dtype)
    model.load_state_dict(dict(exported.tensors))
    return Case(ids, contexts, torch.cat(logits), model.eval())


def shared_out(logits: Tensor, seen: Tensor, share: float) -> Tensor:
    """What gives the types seen 1 − ``share`` by their softmax, and the others the rest in equal parts."""
    p = torch.empty_like(logits)
    p[:, seen] = (1.0 - share) * logits[:, seen].softmax(1)
    p[:, ~seen] = share / int((~seen).sum())
    first = int(seen.nonzero()[0])  # logits are logarithms of p but for a number of each row
    return p.log() + (logits[:, first] - p[:, first].log())[:, None]


def apart(got: Tensor, wanted: Tensor) -> float:
    """The largest difference, as a share of the largest magnitude."""
    return float((got - wanted).abs().max() / wanted.abs().max())


TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
