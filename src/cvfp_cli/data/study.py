"""From a study's data tables to what its experiments read: everything is checked before any training."""

from collections.abc import Callable
from pathlib import Path

from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.stream import Text
from cvfp_cli.notes import Note


class StudyData:
    """The data of one study; made by :func:`prepare_study`.

    Attributes:
        notes: remarks about the data, warnings included.
        vocab_size: tokens of the tokenizer, and rows of every table (V).
        embed_dim: width of every table (E).
        width_check: one sentence that says how table and tokenizer fit, with both numbers.
    """

    notes: tuple[Note, ...]
    vocab_size: int
    embed_dim: int
    width_check: str

    def train_token_count(self, samples: int, data_seed: int | None = None) -> int:
        """Tokens of the training stream of ``samples`` samples, without making its table."""
        raise NotImplementedError

    def run_fingerprint(self, samples: int, data_seed: int | None = None) -> str:
        """``Text.fingerprint`` of that experiment, without making its table."""
        raise NotImplementedError

    def experiment(self, samples: int, data_seed: int | None = None) -> Text:
        """Streams and table of one experiment; ``samples`` and ``data_seed`` are among those prepared."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """The ``data`` table of ``summary.json``: source, fingerprint, tokenizer, embedding, validation, overlap."""
        raise NotImplementedError


def prepare_study(
    data: DataConfig,
    validation: ValidationConfig,
    tokenizer: TokenizerConfig,
    embedding: EmbeddingConfig,
    *,
    samples: tuple[int, ...],
    data_seeds: tuple[int | None, ...] = (None,),
    cache_dir: Path | None,
    notify: Callable[[str], None],
) -> StudyData:
    """Read, check and tokenise the text of a study.

    Args:
        data, validation, tokenizer, embedding: the study's data tables. ``data.samples`` is the study's own
            list of sizes even where this command trains fewer: it decides what ``bpe:N`` is trained on and where
            ``after-largest:N`` begins, so that ``train --samples 50`` meets the sweep's 50-sample run.
        samples: training sizes that this command runs.
        data_seeds: which samples train: None the first n, a number a draw of its own.
        cache_dir: cache folder; None for ``CVFP_CACHE_DIR`` or the platform's own.
        notify: called with one short line before each part that takes time.

    Raises:
        InputError: lists every problem found.
    """
    raise NotImplementedError
