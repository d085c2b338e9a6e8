"""Trained weights on a token stream: the losses that training's own validation would have found."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_cli.core.baselines import training
from cvfp_cli.core.baselines.config import SequenceConfig
from cvfp_cli.core.baselines.network import BodyMaker, Network
from cvfp_cli.core.baselines.sizes import logit_tokens
from cvfp_cli.core.config import Execution, ExperimentConfig
from cvfp_cli.core.end_to_end import with_start
from cvfp_cli.core.head import Head
from cvfp_cli.core.memory import plan
from cvfp_cli.core.model import Stream, context_model, token_model
from cvfp_cli.core.precision import Arithmetic
from cvfp_cli.core.prediction import FrozenContexts, Pieces, scores
from cvfp_cli.core.recurrence import true_contexts

Scores = tuple[NDArray[np.float64], NDArray[np.bool_]]


def score_blocks(
    config: ExperimentConfig,
    tensors: Mapping[str, Tensor],
    ids: NDArray[np.int64],
    execution: Execution,
    share: float | None = None,
) -> Scores:
    """Cross-entropy in nats and correctness of every target of a stream (M,), by CVFP's blocks: (M − 1,) each.

    Args:
        tensors: ``embedding.weight``, ``context.*``, ``token.*`` and ``head.*``, and ``context_embedding.weight``
            where the ContextBlock reads a table of its own.
        share: probability of the types that are not in ``head.seen``; None where the softmax has them.
    """
    device = torch.device(execution.device)
    arithmetic = Arithmetic(device.type, execution.precision)
    table = tensors["embedding.weight"].to(device)
    own = tensors.get("context_embedding.weight")
    vocab_size, embed_dim = table.shape
    stream = Stream(
        torch.tensor(ids, device=device), table if own is None else own.to(device), config.model.tokens
    )
    blocks = context_model(config.model, embed_dim)
    token_block = token_model(config.model, embed_dim, config.phase2)
    unigram, seen = table.new_zeros(vocab_size), _seen(tensors, share)
    head = Head(config.head, table, unigram, torch.Generator(), arithmetic, seen=seen)
    for name, part in (("context.", blocks), ("token.", token_block), ("head.", head)):
        _load(part, tensors, name)
    pieces = plan(
        config,
        execution,
        train_tokens=len(ids),
        val_tokens=len(ids),
        vocab_size=vocab_size,
        embed_dim=embed_dim,
    )
    contexts, _ = true_contexts(blocks.to(device), stream)
    frozen = FrozenContexts(
        blocks, stream, with_start(contexts), arithmetic, config.phase2, pieces.phase2_tokens
    )
    return scores(
        token_block.to(device),
        head,
        frozen,
        Pieces(pieces.phase2_tokens, pieces.logit_tokens),
        None if own is None else table,
    )


def score_network(
    config: SequenceConfig,
    make_body: BodyMaker,
    tensors: Mapping[str, Tensor],
    ids: NDArray[np.int64],
    execution: Execution,
    share: float | None = None,
) -> Scores:
    """``score_blocks`` by a network.

    Args:
        tensors: ``embedding.weight``, ``body.*``, ``head.*`` and, where they are not left out, ``norm.*`` and
            ``out.*``.
    """
    device = torch.device(execution.device)
    table = tensors["embedding.weight"].to(device)
    arithmetic = Arithmetic(device.type, execution.precision)
    unigram = table.new_zeros(len(table))
    network = Network(config, make_body, table, unigram, arithmetic, _seen(tensors, share))
    if "norm.weight" not in tensors:
        network.norm = nn.Identity()  # type: ignore[assignment]
    _load(network, tensors)
    pieces = logit_tokens(config, execution, len(table))
    return training.scores(network, torch.tensor(ids, device=device), config, pieces)


def _seen(tensors: Mapping[str, Tensor], share: float | None) -> tuple[Tensor, float] | None:
    return None if share is None else (tensors["head.seen"], share)


def _load(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    own = {key: tensors[prefix + key] for key in module.state_dict()}
    module.load_state_dict(own)
