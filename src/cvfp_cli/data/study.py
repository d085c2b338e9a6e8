"""From a study's data tables to what its experiments read: everything is checked before any training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.data import embedding as embeddings
from cvfp_cli.data import tables
from cvfp_cli.data.cache import Cache, content_hash
from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.description import Run, Settings, Streams, describe, identical_texts, remarks
from cvfp_cli.data.encoding import encode_samples, split_tail, whole_before_tail
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.problems import TextProblems
from cvfp_cli.data.selection import SampleCounts, SelectedTexts, select
from cvfp_cli.data.sources import open_source
from cvfp_cli.data.stream import Text, TokenStream
from cvfp_cli.data.tokenizer import Tokenizer, bpe_size, open_tokenizer, train_bpe
from cvfp_cli.data.validation import AfterLargest, Tail, Validation, parse_validation
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note


class StudyData:
    """The data of one study; made by :func:`prepare_study`.

    Attributes:
        tokenizer: the study's.
        vocab_size: tokens of the tokenizer, and rows of every table (V).
        embed_dim: width of every table (E).
    """

    def __init__(
        self,
        streams: Mapping[Run, Streams],
        tokenizer: Tokenizer,
        table: tables.Tables,
        description: Mapping[str, object],
        cache: Cache,
        notes: tuple[Note, ...],
        validation_texts: Sequence[str] = (),
    ) -> None:
        self._streams = streams
        self.tokenizer = tokenizer
        self._tables = table
        self._description = description
        self._cache = cache
        self._notes = notes
        self._validation_texts = validation_texts
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

    def validation_texts(self, samples: int, data_seed: int | None = None) -> list[str]:
        """The validation samples of that experiment as text; where they are cut, by their tokens."""
        if self._validation_texts:
            return list(self._validation_texts)
        stream = self._streams[samples, data_seed][1]
        pieces = np.split(stream.ids, stream.boundaries[1:-1])
        return [self.tokenizer.backend.decode(piece.tolist(), skip_special_tokens=False) for piece in pieces]

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
            list of sizes even where this command trains fewer: unless ``tokenizer.samples`` and
            ``validation.after`` say so, it decides what ``bpe:N`` is trained on and where ``after-largest:N``
            begins, so that ``train --samples 50`` meets the sweep's 50-sample run.
        samples: training sizes that this command runs.
        data_seeds: which samples train: None the first n, a number a draw of its own.
        cache_dir: cache folder; None for ``CVFP_CACHE_DIR`` or the platform's own.
        notify: called with one short line before each part that takes time.

    Raises:
        InputError: lists every problem found.
    """
    cache = Cache(cache_dir, notify)
    connection = Hub()
    problems = TextProblems()
    source = problems.attempt(lambda: open_source(data.source, cache, connection, data.also))
    has_splits = source is not None and source.has_splits
    spec = problems.attempt(lambda: parse_validation(validation.source, has_splits=has_splits))
    chosen_tokenizer = problems.attempt(lambda: _tokenizer(tokenizer, cache, connection))
    chosen_table = problems.attempt(lambda: _table(embedding.name, cache, connection))
    selection = sizes = None
    if spec is not None and chosen_tokenizer is not None:
        trains = isinstance(chosen_tokenizer, int)
        sizes = problems.attempt(
            lambda: _sizes(data, validation, tokenizer, spec, samples, data_seeds, trains=trains)
        )
    if source is not None and spec is not None:
        known = sizes or SampleCounts(samples, max(*samples, *data.samples), 0, max(*samples, *data.samples))
        selection = problems.attempt(
            lambda: select(
                source, data, spec, sizes=known, data_seeds=data_seeds, cache=cache, problems=problems
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
    assert sizes is not None
    trained_on = 0
    if isinstance(chosen_tokenizer, Tokenizer):
        used = chosen_tokenizer
    else:
        used, trained_on = _trained(tokenizer.name, chosen_tokenizer, spec, selection.study, data, cache)
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
    settings = Settings(
        data,
        replace(validation, after=sizes.after if isinstance(spec, AfterLargest) else 0),
        replace(tokenizer, samples=sizes.tokenizer),
        embedding,
    )
    description = describe(settings, source, used, trained_on, table, held, identical)
    texts = () if data.max_tokens else selection.validation
    return StudyData(streams, used, table, description, cache, tuple(notes), texts)


def _tokenizer(config: TokenizerConfig, cache: Cache, connection: Hub) -> Tokenizer | int:
    """A pretrained tokenizer, or the vocabulary size of one to train."""
    size = bpe_size(config.name)
    if size is not None:
        return size
    if config.samples:
        raise InputError(
            f"tokenizer.samples is {config.samples}, but --tokenizer {config.name} is not trained here.",
            hint="Set it to 0, or use bpe:4096.",
        )
    return open_tokenizer(config.name, cache, connection)


def _sizes(
    data: DataConfig,
    validation: ValidationConfig,
    tokenizer: TokenizerConfig,
    spec: Validation,
    samples: tuple[int, ...],
    data_seeds: tuple[int | None, ...],
    *,
    trains: bool,
) -> SampleCounts:
    """The sizes that the study turns on.

    Args:
        trains: whether the tokenizer is trained here.

    Raises:
        InputError: they contradict each other, or a tokenizer would be trained on validation text.
    """
    largest, smallest = max(*samples, *data.samples), min(*samples, *data.samples)
    if validation.after and not isinstance(spec, AfterLargest):
        raise InputError(
            f"validation.after is {validation.after}, but --validation {spec} does not begin there.",
            hint="Set it to 0, or use --validation after-largest:N.",
        )
    if trains and isinstance(spec, Tail):
        if any(seed is not None for seed in data_seeds):
            raise InputError(
                f"--validation {spec} takes another text for each data seed, which other seeds train on, so "
                f"--tokenizer {tokenizer.name} would be trained on validation text.",
                hint="Use --validation after-largest:20, or a pretrained tokenizer.",
            )
        if tokenizer.samples > min(samples):
            raise InputError(
                f"tokenizer.samples is {tokenizer.samples}, and a run of {counted(min(samples), 'sample')} would validate on "
                f"some of them (--validation {spec}).",
                hint=f"Set it to {min(samples)} or less, or use --validation after-largest:20.",
            )
    usual = smallest if isinstance(spec, Tail) else largest
    return SampleCounts(
        samples, largest, (tokenizer.samples or usual) if trains else 0, validation.after or largest
    )


def _trained(
    name: str, size: int, spec: Validation, texts: Sequence[str], data: DataConfig, cache: Cache
) -> tuple[Tokenizer, int]:
    """A tokenizer trained on texts that no run validates on, and on how many.

    With ``tail:`` these are the samples that a run of all ``texts`` trains on in full: their tokens come first in
    every larger run, too, and so before its tail. Where the tail begins depends on the tokenizer itself, so a first
    guess by bytes is made smaller until it holds.

    Raises:
        InputError: no sample lies wholly before the tail.
    """
    if not isinstance(spec, Tail):
        return train_bpe(name, size, texts, cache), len(texts)
    ends = np.cumsum([len(text.encode()) for text in texts])
    kept = int(np.searchsorted(ends, float(ends[-1] * (1 - spec.share)), side="right"))
    while kept:
        tokenizer = train_bpe(name, size, texts[:kept], cache)
        before = whole_before_tail(encode_samples(tokenizer, texts, data.max_tokens, cache), spec.share)
        if before >= kept:
            return tokenizer, kept
        kept = before
    raise InputError(
        f"--validation {spec} of {counted(len(texts), 'sample')} leaves no whole sample to train --tokenizer {name} on.",
        hint="Ask for more samples, or use --validation after-largest:20.",
    )


def _table(name: str, cache: Cache, connection: Hub) -> embeddings.Table | embeddings.MadeTable:
    """A table to read now, or one to make when the tokenizer is known."""
    made = embeddings.made_table(name)
    return embeddings.read_table(name, cache, connection) if made is None else made


def _streams(
    data: DataConfig,
    validation: ValidationConfig,
    spec: Validation,
    selection: SelectedTexts,
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
    if texts := selection.validation:
        encoded = encode_samples(tokenizer, texts, data.max_tokens, cache, separator=validation.separator)
        held = encoded.stream(len(texts))
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
