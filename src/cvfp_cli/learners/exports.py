"""Trained weights as the Transformers library loads them, and back again. Tensors come and go; nothing is read or written."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cvfp_cli.core.baselines.config import SequenceConfig, TransformerConfig
from cvfp_cli.core.config import Execution, ExperimentConfig, HeadConfig, ModelConfig, Phase2Config, Unseen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cvfp_cli.core.baselines.network import BodyMaker
    from cvfp_cli.core.scoring import Scores

CODE = "modeling_cvfp"
"""The module that a folder of a class of ours holds a copy of, without its ending."""

# What config.json of the two blocks says, by the words of ModelConfig and Phase2Config.
_MODEL = (
    "layers",
    "context_dim",
    "tokens",
    "token_input",
    "token_block",
    "token_hidden",
    "activation",
    "blocks",
    "cascade",
)
_PHASE2 = ("context", "past_count", "past_interval")


@dataclass(frozen=True)
class Exported:
    """A model for the Transformers library.

    Attributes:
        config: what ``config.json`` says.
        tensors: by their names in ``model.safetensors``; the table is among them.
    """

    config: Mapping[str, Any]
    tensors: "Mapping[str, Tensor]"


@runtime_checkable
class Exports(Protocol):
    """A learner whose models the Transformers library can load."""

    def exported(
        self, config: Any, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
    ) -> Exported:
        """A trained model.

        Args:
            config: the run's. weights: as ``Outcome`` has them. table: the raw embedding table that it read, (V, E).
            share: probability that the head keeps for types that training lacks; None for the softmax's.
        """

    def score(self, model: Exported, ids: "NDArray[np.int64]", execution: Execution) -> "Scores":
        """Cross-entropy in nats and correctness of every target of a stream, as its training validates."""


def exported_blocks(
    config: ExperimentConfig,
    weights: "Mapping[str, Tensor]",
    table: "Tensor",
    share: float | None,
    *,
    joint: bool,
) -> Exported:
    """Both blocks and the head.

    Args:
        joint: whether a trained table is the ContextBlock's as well.
    """
    tensors = {
        key: value for key, value in weights.items() if key.partition(".")[0] in ("context", "token", "head")
    }
    # A tied head's copy of a table that both share is that table; its own copy, if it was trained, is a matrix.
    untied = config.head.weights == "untied" or config.head.table == "trained"
    if not untied:
        tensors.pop("head.weight", None)
    tensors.setdefault("head.scale", table.new_tensor(config.head.logit_scale))
    trained = weights.get("embedding.weight")
    tensors["embedding.weight"] = table if trained is None else trained
    own = trained is not None and not joint
    if own:
        tensors["context_embedding.weight"] = table
    known = {**asdict(config.model), **asdict(config.phase2)}
    return Exported(
        {
            **_class_of_ours("cvfp", table, untied, "head.bias" in tensors, share),
            **{key: known[key] for key in (*_MODEL, *_PHASE2)},
            "context_table": own,
        },
        tensors,
    )


def score_blocks(model: Exported, ids: "NDArray[np.int64]", execution: Execution) -> "Scores":
    """``Exports.score`` of both blocks."""
    from cvfp_cli.core import scoring

    told = model.config
    config = ExperimentConfig(
        ModelConfig(**{**{key: told[key] for key in _MODEL}, "blocks": tuple(told["blocks"])}),
        HeadConfig(
            weights=told["head"],
            learn_logit_scale=True,
            bias="zero" if told["head_bias"] else "none",
            unseen=_unseen(model),
        ),
        phase2=Phase2Config(**{key: told[key] for key in _PHASE2}),
    )
    return scoring.score_blocks(config, model.tensors, ids, execution, _share(model))


def exported_cells(
    kind: str, config: SequenceConfig, weights: "Mapping[str, Tensor]", table: "Tensor", share: float | None
) -> Exported:
    """Recurrent units between a table and a head."""
    tied = config.head == "tied"
    names = {"body.cells": "cells", "norm": "norm", "out": "out", "head": "head"}
    tensors = {
        f"{names[part]}.{name}": value
        for key, value in weights.items()
        for part, _, name in [key.rpartition(".")]
        if part in names
    }
    trained = tensors.pop("head.weight", None) if tied else weights.get("table")
    tensors["embedding.weight"] = table if trained is None else trained
    return Exported(
        {
            **_class_of_ours(kind, table, not tied, "head.bias" in tensors, share),
            "layers": config.layers,
            "width": config.width,
        },
        tensors,
    )


def score_cells(
    model: Exported,
    config: type[SequenceConfig],
    body: "BodyMaker",
    ids: "NDArray[np.int64]",
    execution: Execution,
) -> "Scores":
    """``Exports.score`` of recurrent units."""
    from cvfp_cli.core import scoring

    told = model.config
    settings = config(
        layers=told["layers"],
        width=told["width"],
        table="frozen",
        head=told["head"],
        bias="zero" if told["head_bias"] else "none",
        unseen=_unseen(model),
    )
    tensors = {
        f"body.{key}" if key.startswith("cells.") else key: value for key, value in model.tensors.items()
    }
    return scoring.score_network(settings, body, tensors, ids, execution, _share(model))


def exported_decoder(
    config: TransformerConfig,
    inner: int,
    weights: "Mapping[str, Tensor]",
    table: "Tensor",
    share: float | None,
) -> Exported:
    """A decoder as GPT-NeoX, a class of the library's own: what stands around its layers goes into its two tables.

    Where a share is kept for types that training lacks the class is ours, around the same layers.

    The way in (normalised embeddings, a map to the layers' width) is a row a token. The way out is a map of the last
    LayerNorm's numbers z to logits, A·z + b, and GPT-NeoX has no bias there. But the numbers of a LayerNorm sum to 0,
    so with weight 1 and bias 1 in it (h = z + 1) the matrix A + ((b − A·1) / W)·1ᵀ gives A·z + b. The products are
    taken in float64.

    Args:
        inner: width of the inner layers.
    """
    from torch.nn import functional as F

    exact = {key: value.double() for key, value in weights.items()}
    tied = config.head == "tied"
    trained = exact.get("head.weight" if tied else "table")
    rows = table.double() if trained is None else trained
    way_in = F.layer_norm(rows, rows.shape[-1:], exact["norm.weight"], exact["norm.bias"])
    if "body.entry.weight" in exact:
        way_in = F.linear(way_in, exact["body.entry.weight"], exact["body.entry.bias"])
    head = rows if tied else exact["head.weight"]
    scale = exact["head.scale"]
    last = "body.decoder.final_layer_norm"
    out, shift = exact[f"{last}.weight"].diag(), exact[f"{last}.bias"]  # h = out·z + shift
    if "out.weight" in exact:
        out, shift = exact["out.weight"] @ out, exact["out.weight"] @ shift + exact["out.bias"]
    way_out, bias = scale * (head @ out), scale * (head @ shift)
    bias = bias + exact["head.bias"] if "head.bias" in exact else bias
    way_out = way_out + ((bias - way_out.sum(1)) / config.width)[:, None]
    layers = "body.decoder.layers."
    tensors = {
        f"gpt_neox.layers.{key.removeprefix(layers)}": value
        for key, value in weights.items()
        if key.startswith(layers) and key.endswith((".weight", ".bias")) and ".rotary_emb." not in key
    }
    ones = table.new_ones(config.width)
    tensors["gpt_neox.embed_in.weight"] = way_in.to(table.dtype)
    tensors["gpt_neox.final_layer_norm.weight"] = ones
    tensors["gpt_neox.final_layer_norm.bias"] = ones.clone()
    way_out = way_out.to(table.dtype)
    told: dict[str, Any] = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox"}
    if share is None:
        tensors["embed_out.weight"] = way_out
    else:
        tensors |= {"out.weight": way_out, "seen": weights["head.seen"]}
        told = {**_code("CVFPDecoder"), "model_type": "cvfp_decoder", "unseen_share": share}
    return Exported(
        {
            **told,
            "vocab_size": len(table),
            "hidden_size": config.width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "intermediate_size": inner * config.width,
            "max_position_embeddings": config.window,
            "hidden_dropout": config.dropout,
            "attention_dropout": config.dropout,
            "tie_word_embeddings": False,
        },
        tensors,
    )


def score_decoder(
    model: Exported, body: "BodyMaker", ids: "NDArray[np.int64]", execution: Execution
) -> "Scores":
    """``Exports.score`` of a decoder."""
    from cvfp_cli.core import scoring

    told = model.config
    settings = TransformerConfig(
        layers=told["num_hidden_layers"],
        width=told["hidden_size"],
        heads=told["num_attention_heads"],
        window=told["max_position_embeddings"],
        table="frozen",
        head="untied",
        bias="none",
        unseen=_unseen(model),
    )
    ours = {"embed_out.weight": "head.weight", "out.weight": "head.weight", "seen": "head.seen"}
    tensors = {
        ours.get(key, key.replace("gpt_neox.", "body.decoder.", 1)): value
        for key, value in model.tensors.items()
    }
    table = tensors.pop("body.decoder.embed_in.weight")
    tensors |= {"embedding.weight": table, "head.scale": table.new_ones(())}
    return scoring.score_network(settings, body, tensors, ids, execution, _share(model))


def _share(model: Exported) -> float | None:
    """The share of types that training lacks, where they have one."""
    share: float | None = model.config.get("unseen_share")
    return share


def _unseen(model: Exported) -> Unseen:
    return "softmax" if _share(model) is None else "reserved"


def _code(name: str) -> dict[str, Any]:
    """Where the library finds a class of ours."""
    return {
        "architectures": [f"{name}ForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{CODE}.{name}Config",
            "AutoModelForCausalLM": f"{CODE}.{name}ForCausalLM",
        },
    }


def _class_of_ours(
    kind: str, table: "Tensor", untied: bool, bias: bool, share: float | None
) -> dict[str, Any]:
    vocab_size, embed_dim = table.shape
    return {
        **_code("CVFP"),
        "model_type": "cvfp",
        "kind": kind,
        "vocab_size": vocab_size,
        "embed_dim": embed_dim,
        "head": "untied" if untied else "tied",
        "head_bias": bias,
        **({} if share is None else {"unseen_share": share}),
    }
