"""What defines a baseline: one frozen dataclass for each table of a recipe. Imports without torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

from cvfp_cli.core.config import ExperimentConfig, HeadBias, HeadTable, HeadWeights, Phase2Config

Discounts = Literal["three", "one"]
MOST_ORDER = 6


@dataclass(frozen=True)
class NgramConfig:
    """An interpolated n-gram model with Kneser-Ney smoothing (Chen and Goodman 1999)."""

    order: int = field(
        default=5, metadata={"doc": "tokens of the longest n-gram (n)", "min": 1, "max": MOST_ORDER}
    )
    discounts: Discounts = field(
        default="three",
        metadata={
            "doc": "'three' for counts of 1, 2 and more (modified Kneser-Ney), or 'one' for all (Kneser-Ney)"
        },
    )


@dataclass(frozen=True)
class SequenceConfig:
    """What a network over the token stream is made of, and how it is trained.

    Fields whose metadata say ``stopping`` are the stopping rule: a recipe of another kind hands its own on.
    """

    layers: int = field(default=1, metadata={"doc": "layers", "min": 1})
    width: int = field(default=256, metadata={"doc": "width of each layer", "min": 1})
    table: HeadTable = field(
        default="trained",
        metadata={"doc": "whether the embedding table learns; it starts as [embedding] says"},
    )
    head: HeadWeights = field(
        default="tied",
        metadata={"doc": "'tied' to the table, or an 'untied' matrix of its own from 0, trained"},
    )
    bias: HeadBias = field(
        default="unigram",
        metadata={
            "doc": "trained bias of the head: none, from 0, or from the training unigram log-probabilities"
        },
    )
    logit_scale: float = field(
        default=1.0, metadata={"doc": "factor on the logits at the start; it is trained", "above": 0.0}
    )
    dropout: float = field(
        default=0.5,
        metadata={
            "doc": "dropout of the embeddings, between layers, and before the head",
            "min": 0.0,
            "max": 0.95,
        },
    )
    learning_rate: float = field(default=0.001, metadata={"doc": "AdamW learning rate", "above": 0.0})
    weight_decay: float = field(
        default=0.01, metadata={"doc": "AdamW weight decay of matrices; vectors have none", "min": 0.0}
    )
    grad_clip: float = field(default=1.0, metadata={"doc": "gradient norm limit", "above": 0.0})
    streams: int = field(
        default=16, metadata={"doc": "pieces of the training stream that are read side by side", "min": 1}
    )
    window: int = field(default=64, metadata={"doc": "tokens of each piece in one optimiser step", "min": 1})
    epochs: int = field(default=60, metadata={"doc": "most epochs", "min": 1})
    patience: int = field(
        default=Phase2Config.patience,
        metadata={"doc": "epochs without improvement that stop early (0: never)", "min": 0, "stopping": True},
    )
    min_improvement: float = field(
        default=Phase2Config.min_improvement,
        metadata={
            "doc": "an epoch is better only if its val PPL is below the best minus this",
            "min": 0.0,
            "stopping": True,
        },
    )


@dataclass(frozen=True)
class GruConfig(SequenceConfig):
    """Gated recurrent units; the state is carried from step to step, gradients flow within one."""


@dataclass(frozen=True)
class LstmConfig(SequenceConfig):
    """Long short-term memory; the state is carried from step to step, gradients flow within one."""


@dataclass(frozen=True)
class TransformerConfig(SequenceConfig):
    """A decoder with rotary positions; nothing is carried beyond the window."""

    layers: int = field(default=4, metadata={"doc": "layers", "min": 1})
    logit_scale: float = field(
        default=0.05,  # the last norm's outputs are as long as sqrt(E): with 1 the first logits spread by tens
        metadata={"doc": "factor on the logits at the start; it is trained", "above": 0.0},
    )
    heads: int = field(default=4, metadata={"doc": "attention heads; they divide the width", "min": 1})
    dropout: float = field(
        default=0.3,
        metadata={
            "doc": "dropout of the embeddings, in every layer, and before the head",
            "min": 0.0,
            "max": 0.95,
        },
    )
    window: int = field(
        default=128, metadata={"doc": "tokens that a prediction can look back on, and of one step", "min": 2}
    )
    learning_rate: float = field(default=0.0005, metadata={"doc": "AdamW learning rate", "above": 0.0})


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline's own table and its seed: what decides its figures up to the data."""

    settings: Any
    seed: int = ExperimentConfig.seed
