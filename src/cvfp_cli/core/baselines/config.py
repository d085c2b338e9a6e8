"""What defines a baseline: one frozen dataclass for each table of a recipe. Imports without torch."""

from dataclasses import dataclass
from typing import Any, Literal

from cvfp_cli.core.config import (
    ExperimentConfig,
    HeadBias,
    HeadConfig,
    HeadTable,
    HeadWeights,
    Phase2Config,
    Schedule,
    Unseen,
)
from cvfp_cli.settings import setting

Discounts = Literal["three", "one"]
MOST_ORDER = 6


@dataclass(frozen=True)
class NgramConfig:
    """An interpolated n-gram model with Kneser-Ney smoothing (Chen and Goodman 1999)."""

    order: int = setting(5, "tokens of the longest n-gram (n)", min=1, max=MOST_ORDER)
    discounts: Discounts = setting(
        "three", "'three' for counts of 1, 2 and more (modified Kneser-Ney), or 'one' for all (Kneser-Ney)"
    )


@dataclass(frozen=True)
class SequenceConfig:
    """What a network over the token stream is made of, and how it is trained.

    Fields whose metadata say ``stopping`` are the stopping rule: a recipe of another kind hands its own on.
    """

    layers: int = setting(1, "layers", min=1)
    width: int = setting(256, "width of each layer", min=1)
    table: HeadTable = setting("trained", "whether the embedding table learns; it starts as [embedding] says")
    head: HeadWeights = setting(
        "tied", "'tied' to the table, or an 'untied' matrix of its own from 0, trained"
    )
    bias: HeadBias = setting(
        "unigram", "trained bias of the head: none, from 0, or from the training unigram log-probabilities"
    )
    unseen: Unseen = setting(
        HeadConfig.unseen,
        "types that the training text lacks: in the softmax, or with a share of their own ('reserved'), as of head",
    )
    logit_scale: float = setting(1.0, "factor on the logits at the start; it is trained", above=0.0)
    dropout: float = setting(
        0.5, "dropout of the embeddings, between layers, and before the head", min=0.0, max=0.95
    )
    learning_rate: float = setting(0.001, "AdamW learning rate", above=0.0)
    schedule: Schedule = setting(
        Phase2Config.schedule,
        "learning rate over the steps: 'constant', or 'linear' down to 0 at the end of the last epoch",
    )
    weight_decay: float = setting(0.01, "AdamW weight decay of matrices; vectors have none", min=0.0)
    grad_clip: float = setting(1.0, "gradient norm limit", above=0.0)
    streams: int = setting(16, "pieces of the training stream that are read side by side", min=1)
    window: int = setting(64, "tokens of each piece in one optimiser step", min=1)
    epochs: int = setting(60, "most epochs", min=1)
    patience: int = setting(
        Phase2Config.patience, "epochs without improvement that stop early (0: never)", min=0, stopping=True
    )
    min_improvement: float = setting(
        Phase2Config.min_improvement,
        "an epoch is better only if its val PPL is below the best minus this",
        min=0.0,
        stopping=True,
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

    layers: int = setting(4, "layers", min=1)
    # The last norm's outputs are as long as sqrt(E): with a factor of 1 the first logits would spread by tens.
    logit_scale: float = setting(0.05, "factor on the logits at the start; it is trained", above=0.0)
    heads: int = setting(4, "attention heads; they divide the width", min=1)
    dropout: float = setting(
        0.3, "dropout of the embeddings, in every layer, and before the head", min=0.0, max=0.95
    )
    window: int = setting(128, "tokens that a prediction can look back on, and of one step", min=2)
    learning_rate: float = setting(0.0005, "AdamW learning rate", above=0.0)


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline's own table and its seed: what decides its figures up to the data."""

    settings: Any
    seed: int = ExperimentConfig.seed
