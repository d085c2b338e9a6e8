"""What defines the data of a study: one frozen dataclass for each of a recipe's data tables."""

from dataclasses import dataclass
from typing import Literal

from cvfp_cli.settings import setting

Messages = Literal["all", "first"]
Empty = Literal["skip", "refuse"]


@dataclass(frozen=True)
class DataConfig:
    """Where the text comes from and how a sample is read."""

    source: str = setting(
        "HuggingFaceH4/ultrachat_200k", "hub data set, local folder or file, 'pydocs', or 'pydocs:PKG,PKG'"
    )
    also: tuple[str, ...] = setting((), "more local files, folders or patterns, read after source")
    split: str = setting("train_sft", "split of a hub data set or folder in hub format")
    text_field: str = setting("", "text column (empty: a dialogue, text, or the only text column)")
    lines: bool = setting(False, "one sample a line in .txt and .md files (else one a paragraph)")
    empty: Empty = setting("skip", "what is done with empty samples: left out, or refused")
    messages: Messages = setting("all", "which messages of a dialogue make the sample's text")
    max_tokens: int = setting(0, "cut each sample after this many tokens (0: never)", min=0)
    samples: tuple[int, ...] = setting(
        (50, 100, 200, 500),
        "training sample counts of the study",
        min=1,
        no_axis="a study trains every size that it lists",
    )


@dataclass(frozen=True)
class ValidationConfig:
    """Which text is validated on."""

    source: str = setting(
        "train_sft:1000-1019", "SPLIT, SPLIT:FIRST-LAST, after-largest:N, last:N, 10%, tail:10%, or a file"
    )
    separator: str = setting(
        "", "text between validation samples; with one, they are tokenised as a single text"
    )
    expected_tokens: int = setting(
        0,
        "validation tokens to expect of the recipe's own text and tokenizer (0: not known)",
        identity=False,
        no_axis="it checks the text and changes no run",
        min=0,
    )
    after: int = setting(
        0, "sample at which after-largest:N begins (0: after the study's largest size)", min=0
    )


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes token ids."""

    name: str = setting("gpt2", "hub name, local folder, or bpe:VOCAB_SIZE trained on the study's samples")
    samples: int = setting(
        0, "samples bpe:N is trained on (0: the largest size; with tail, the smallest)", min=0
    )


@dataclass(frozen=True)
class EmbeddingConfig:
    """Where the embedding table comes from."""

    name: str = setting(
        "gpt2", "hub name, local folder, .npy or .safetensors table, ppmi:WIDTH, or random:WIDTH"
    )
    width: int = setting(0, "width a pretrained or given table must have (0: any)", min=0)
