"""Which samples train and which validate: read, checked against each other, and never the same ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cvfp_cli.counting import counted
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.files import data_files, kind_of
from cvfp_cli.data.problems import Problems
from cvfp_cli.data.samples import Skipped
from cvfp_cli.data.sources import Source, read_file, read_texts
from cvfp_cli.data.validation import AfterLargest, File, Last, SplitRange, Tail, Validation
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

POOL = 10_000


@dataclass(frozen=True)
class Selection:
    """Texts of a study.

    Attributes:
        train: for each data seed the training samples in order; runs of fewer samples take the first of them.
        study: the first samples that do not validate, as many as the study's largest size (or all there are): what a
            tokenizer may be trained on.
        validation: validation samples; empty where each run validates on its own tail.
        notes: on empty samples that were left out.
    """

    train: dict[int | None, list[str]]
    study: list[str]
    validation: list[str]
    notes: tuple[Note, ...] = ()


def select(
    source: Source,
    data: DataConfig,
    validation: Validation,
    *,
    samples: Sequence[int],
    data_seeds: Sequence[int | None],
    cache: Cache,
    problems: Problems,
) -> Selection:
    """Read the samples that runs of these sizes and data seeds train and validate on.

    A data seed orders the first 10,000 samples (or twice the largest size, if that is more), validation left out, by
    the hash of seed and sample number; a run takes the first of them. So its smaller sizes are part of its larger
    ones, as without a seed.

    Raises:
        InputError: a sample is broken or empty, or a split is missing. Too few samples and an overlap of training
            and validation go to ``problems``.
    """
    wanted = max(samples)
    largest = max(wanted, *data.samples)
    pool = max(POOL, 2 * largest) if any(seed is not None for seed in data_seeds) else 0
    stop = None if isinstance(validation, Last) else max(largest, pool)
    skipped = Skipped()
    first = read_texts(source, data, cache, split=data.split, stop=stop, skipped=skipped)
    held = _held(validation, data, source, largest, len(first))
    problems.attempt(lambda: _check_count(first, wanted, source, data, skipped))
    if None in data_seeds:
        problems.attempt(lambda: _check_overlap(validation, held, wanted, len(first)))
    texts = problems.attempt(lambda: _validation_texts(validation, held, first, source, data, cache, skipped))
    train = {
        seed: first[:wanted] if seed is None else _drawn(first[:pool], held, seed, wanted, problems)
        for seed in dict.fromkeys(data_seeds)
    }
    study = [text for number, text in enumerate(first) if number not in held][:largest]
    return Selection(train, study, texts or [], skipped.notes())


def _held(validation: Validation, data: DataConfig, source: Source, largest: int, total: int) -> range:
    """The samples of the training split that validation takes; none where it comes from elsewhere."""
    match validation:
        case SplitRange(split, first, last) if _trains(split, data, source):
            return range(first, last + 1)
        case AfterLargest(count):
            return range(largest, largest + count)
        case Last(count):
            return range(max(total - count, 0), total)
        case _:
            return range(0)


def _trains(split: str, data: DataConfig, source: Source) -> bool:
    """Whether training samples come from this split too; ``train`` is the name of the only one there is."""
    return split == data.split or (split == "train" and not source.has_splits)


def _check_count(
    first: Sequence[str], wanted: int, source: Source, data: DataConfig, skipped: Skipped
) -> None:
    if len(first) < wanted:
        place = _place(source, data.split)
        empty = skipped.count(place)
        beside = f" with text (and {empty} empty, the first of them {skipped.first(place)})" if empty else ""
        raise InputError(
            f"{place} has {counted(len(first), 'sample')}{beside}, and {wanted:,} are asked for to train on.",
            hint=_more(len(first), source, data),
        )


def _more(count: int, source: Source, data: DataConfig) -> str:
    """What helps where a source has too few samples."""
    if not count:
        return "Name text with --data, or the column to read with --text-field."
    of_text = any(kind_of(file) in (".txt", ".md") for path in source.paths for file in data_files(path))
    lines = ", take each line as a sample with --lines" if of_text and not data.lines else ""
    return f"Ask for --samples {count} or fewer{lines}, or name more text with --data."


def _check_overlap(validation: Validation, held: range, wanted: int, total: int) -> None:
    if not held or held.start >= wanted:
        return
    shared = min(wanted, held.stop) - held.start
    ways = [f"--samples {held.start} or fewer"] if held.start else []
    if isinstance(validation, SplitRange):
        ways.insert(0, f"--validation after-largest:{len(held)}")
    raise InputError(
        f"Training samples 0-{wanted - 1} and validation samples {held.start}-{held.stop - 1} "
        f"(--validation {validation}) overlap in {shared} of them"
        + (f"; the data set has {counted(total, 'sample')}." if isinstance(validation, Last) else "."),
        hint=f"Use {' or '.join(ways)}." if ways else "Use a larger data set.",
    )


def _validation_texts(
    validation: Validation,
    held: range,
    first: Sequence[str],
    source: Source,
    data: DataConfig,
    cache: Cache,
    skipped: Skipped,
) -> list[str]:
    place, wanted = data.split, held
    match validation:
        case Tail():
            return []
        case File(path):
            texts = read_file(path, data, skipped)
            if not texts:
                raise InputError(f"--validation {path}: the file holds no sample.")
            return texts
        case Last(count) if count > len(first):
            raise InputError(
                f"--validation {validation}: {source.name} has only {counted(len(first), 'sample')}."
            )
        case SplitRange(split, start, last) if not held:
            if not source.has_splits:
                raise InputError(
                    f"--validation {validation}: {source.name} has no split '{split}', nor any other.",
                    hint=f"Write train:{start}-{last}, after-largest:N, last:N or a file.",
                )
            place, wanted = split, range(start, last + 1)
    if place == data.split and wanted.stop <= len(first):
        return list(first[wanted.start : wanted.stop])
    texts = read_texts(
        source, data, cache, split=place, start=wanted.start, stop=wanted.stop, skipped=skipped
    )
    if len(texts) < len(wanted):
        raise InputError(
            f"{_place(source, place)} ends before sample {wanted.stop - 1}, which --validation {validation} asks for.",
            hint="Ask for fewer samples to train or validate on, or name more text with --data.",
        )
    return texts


def _drawn(texts: Sequence[str], held: range, seed: int, wanted: int, problems: Problems) -> list[str]:
    def key(number: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=16).digest()

    free = [number for number in range(len(texts)) if number not in held]
    problems.attempt(lambda: _check_draw(seed, len(free), wanted))
    return [texts[number] for number in sorted(free, key=key)[:wanted]]


def _check_draw(seed: int, free: int, wanted: int) -> None:
    if free < wanted:
        raise InputError(
            f"Data seed {seed} has {counted(free, 'sample')} to draw from, and {wanted:,} are asked for to train on.",
            hint=f"Ask for --samples {free} or fewer." if free else "Validate on other samples.",
        )


def _place(source: Source, split: str) -> str:
    return f"{source.name} ({split})" if source.has_splits else source.name
