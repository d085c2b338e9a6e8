"""What defines the data of a study: one frozen dataclass for each of a recipe's data tables."""

from dataclasses import dataclass, field
from typing import Literal

Messages = Literal["all", "first"]
Empty = Literal["skip", "refuse"]


@dataclass(frozen=True)
class DataConfig:
    """Where the text comes from and how a sample is read."""

    source: str = field(
        default="HuggingFaceH4/ultrachat_200k",
        metadata={"doc": "hub data set, local folder or file, 'pydocs', or 'pydocs:PKG,PKG'"},
    )
    also: tuple[str, ...] = field(
        default=(), metadata={"doc": "more local files, folders or patterns, read after source"}
    )
    split: str = field(
        default="train_sft", metadata={"doc": "split of a hub data set or folder in hub format"}
    )
    text_field: str = field(
        default="", metadata={"doc": "text column (empty: a dialogue, text, or the only text column)"}
    )
    lines: bool = field(
        default=False, metadata={"doc": "one sample a line in .txt and .md files (else one a paragraph)"}
    )
    empty: Empty = field(
        default="skip", metadata={"doc": "what is done with empty samples: left out, or refused"}
    )
    messages: Messages = field(
        default="all", metadata={"doc": "which messages of a dialogue make the sample's text"}
    )
    max_tokens: int = field(
        default=0, metadata={"doc": "cut each sample after this many tokens (0: never)", "min": 0}
    )
    samples: tuple[int, ...] = field(
        default=(50, 100, 200, 500), metadata={"doc": "training sample counts of the study", "min": 1}
    )


@dataclass(frozen=True)
class ValidationConfig:
    """Which text is validated on."""

    source: str = field(
        default="train_sft:1000-1019",
        metadata={"doc": "SPLIT, SPLIT:FIRST-LAST, after-largest:N, last:N, 10%, tail:10%, or a file"},
    )
    separator: str = field(
        default="",
        metadata={"doc": "text between validation samples; with one, they are tokenised as a single text"},
    )
    expected_tokens: int = field(
        default=0,
        metadata={
            "identity": False,
            "doc": "validation tokens to expect of the recipe's own text and tokenizer (0: not known)",
            "min": 0,
        },
    )
    after: int = field(
        default=0,
        metadata={
            "doc": "sample at which after-largest:N begins (0: after the study's largest size)",
            "min": 0,
        },
    )


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes token ids."""

    name: str = field(
        default="gpt2",
        metadata={"doc": "hub name, local folder, or bpe:VOCAB_SIZE trained on the study's samples"},
    )
    samples: int = field(
        default=0,
        metadata={
            "doc": "samples bpe:N is trained on (0: the largest size; with tail, the smallest)",
            "min": 0,
        },
    )


@dataclass(frozen=True)
class EmbeddingConfig:
    """Where the embedding table comes from."""

    name: str = field(
        default="gpt2",
        metadata={"doc": "hub name, local folder, .npy or .safetensors table, ppmi:WIDTH, or random:WIDTH"},
    )
    width: int = field(
        default=0,
        metadata={"doc": "width a pretrained or given table must have (0: any)", "min": 0},
    )
