"""From a study's data tables to what its experiments read: everything is checked before any training."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.data import embedding as embeddings
from cvfp_cli.data import tables
from cvfp_cli.data.cache import Cache, content_hash
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.description import Run, Settings, Streams, describe, identical_texts, remarks
from cvfp_cli.data.encoding import encode_joined, encode_samples, split_tail
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.problems import Problems
from cvfp_cli.data.selection import Selection, select
from cvfp_cli.data.sources import open_source
from cvfp_cli.data.stream import Text, TokenStream
from cvfp_cli.data.tokenizer import Tokenizer, bpe_size, open_tokenizer, train_bpe
from cvfp_cli.data.validation import Tail, Validation, parse_validation
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note


class StudyData:
    """The data of one study; made by :func:`prepare_study`.

    Attributes:
        vocab_size: tokens of the tokenizer, and rows of every table (V).
        embed_dim: width of every table (E).
    """

    def __init__(
        self,
        streams: Mapping[Run, Streams],
        table: tables.Tables,
        description: Mapping[str, object],
        cache: Cache,
        notes: tuple[Note, ...],
    ) -> None:
        self._streams = streams
        self._tables = table
        self._description = description
        self._cache = cache
        self._notes = notes
        self.vocab_size = table.vocab_size
        self.embed_dim = table.width

    @property
    def notes(self) -> tuple[Note, ...]:
        """Remarks about the data and the cache, up to now."""
        return (*self._notes, *self._cache.notes)

    def train_token_count(self, samples: int, data_seed: int | None = None) -> int:
        """Tokens of the training stream of ``samples`` samples."""
        return len(self._streams[samples, data_seed][0].ids)

    def val_token_count(self, samples: int, data_seed: int | None = None) -> int:
        """Tokens of the validation stream of that experiment."""
        return len(self._streams[samples, data_seed][1].ids)

    def run_fingerprint(self, samples: int, data_seed: int | None = None) -> str:
        """``Text.fingerprint`` of that experiment, without making its table."""
        train, validation = self._streams[samples, data_seed]
        return content_hash([train.fingerprint, validation.fingerprint, self._tables.fingerprint(train)])

    def experiment(self, samples: int, data_seed: int | None = None) -> Text:
        """Streams and table of one experiment; ``samples`` and ``data_seed`` are among those prepared."""
        train, validation = self._streams[samples, data_seed]
        return Text(
            train=train,
            validation=validation,
            table=self._tables.of(train),
            table_fingerprint=self._tables.fingerprint(train),
            fingerprint=self.run_fingerprint(samples, data_seed),
        )

    def describe(self) -> dict[str, object]:
        """The ``data`` table of ``summary.json``.

        ``source``, ``fingerprint`` (of source, tokenizer and validation text), ``tokenizer``, ``embedding``,
        ``validation``, ``overlap``. Every entry called ``fingerprint`` is the same whatever sizes a command trains.
        """
        return dict(self._description)


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
    cache = Cache(cache_dir, notify)
    connection = Hub()
    problems = Problems()
    spec = problems.attempt(lambda: parse_validation(validation.source))
    source = problems.attempt(lambda: open_source(data.source, cache, connection, data.also))
    chosen_tokenizer = problems.attempt(lambda: _tokenizer(tokenizer.name, spec, cache, connection))
    chosen_table = problems.attempt(lambda: _table(embedding.name, cache, connection))
    selection = None
    if source is not None and spec is not None:
        selection = problems.attempt(
            lambda: select(
                source, data, spec, samples=samples, data_seeds=data_seeds, cache=cache, problems=problems
            )
        )
    if isinstance(chosen_tokenizer, Tokenizer) and isinstance(chosen_table, np.ndarray):
        problems.attempt(lambda: tables.fitted(chosen_table, chosen_tokenizer, embedding))
    problems.raise_any()
    assert source is not None  # whatever is missing left a problem
    assert spec is not None
    assert selection is not None
    assert chosen_tokenizer is not None
    assert chosen_table is not None

    if isinstance(chosen_tokenizer, int):
        used = train_bpe(tokenizer.name, chosen_tokenizer, selection.study, cache)
        trained_on = len(selection.study)
    else:
        used, trained_on = chosen_tokenizer, 0
    notes = [*source.notes, *selection.notes]
    if isinstance(chosen_table, embeddings.MadeTable):
        table: tables.Tables = tables.made(chosen_table, used.vocab_size, cache)
    else:
        table, table_notes = tables.fitted(chosen_table, used, embedding)
        notes += table_notes
    streams = _streams(data, validation, spec, selection, used, samples, cache)
    identical = identical_texts(selection, streams)
    notes += remarks(
        identical, used, chosen_tokenizer if isinstance(chosen_tokenizer, int) else None, selection
    )
    held = None if isinstance(spec, Tail) else next(iter(streams.values()))[1]
    settings = Settings(data, validation, tokenizer, embedding)
    description = describe(settings, source, used, trained_on, table, held, identical)
    return StudyData(streams, table, description, cache, tuple(notes))


def _tokenizer(name: str, spec: Validation | None, cache: Cache, connection: Hub) -> Tokenizer | int:
    """A pretrained tokenizer, or the vocabulary size of one to train."""
    size = bpe_size(name)
    if size is None:
        return open_tokenizer(name, cache, connection)
    if isinstance(spec, Tail):
        raise InputError(
            f"--validation {spec} takes another text for each size, which larger sizes train on, so --tokenizer "
            f"{name} would be trained on validation text.",
            hint="Use --validation after-largest:20, or a pretrained tokenizer.",
        )
    return size


def _table(name: str, cache: Cache, connection: Hub) -> embeddings.Table | embeddings.MadeTable:
    """A table to read now, or one to make when the tokenizer is known."""
    made = embeddings.made_table(name)
    return embeddings.read_table(name, cache, connection) if made is None else made


def _streams(
    data: DataConfig,
    validation: ValidationConfig,
    spec: Validation,
    selection: Selection,
    tokenizer: Tokenizer,
    samples: tuple[int, ...],
    cache: Cache,
) -> dict[Run, Streams]:
    """Both streams of every run.

    Raises:
        InputError: a stream has no token to predict.
    """
    streams: dict[Run, Streams] = {}
    held: TokenStream | None = None
    if selection.validation and validation.separator:
        joined = encode_joined(tokenizer, selection.validation, validation.separator, data.max_tokens, cache)
        held = joined.stream(len(selection.validation))
    elif selection.validation:
        apart = encode_samples(tokenizer, selection.validation, data.max_tokens, cache)
        held = apart.stream(len(selection.validation))
    for seed, texts in selection.train.items():
        encoded = encode_samples(tokenizer, texts, data.max_tokens, cache)
        for count in samples:
            if held is not None:
                streams[count, seed] = (encoded.stream(count), held)
            else:
                assert isinstance(spec, Tail)
                streams[count, seed] = split_tail(encoded, count, spec.share, texts, tokenizer, cache)
            for name, stream in zip(("training", "validation"), streams[count, seed], strict=True):
                if len(stream.ids) < 2:
                    raise InputError(
                        f"The {name} text of {counted(count, 'sample')} has {counted(len(stream.ids), 'token')}: nothing to predict.",
                        hint="Ask for more samples.",
                    )
    return streams
