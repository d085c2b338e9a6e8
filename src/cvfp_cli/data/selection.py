"""Which samples train and which validate: read, checked against each other, and never the same ones."""

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvfp_cli.counting import counted
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.files import data_files, kind_of
from cvfp_cli.data.problems import TextProblems
from cvfp_cli.data.samples import Skipped
from cvfp_cli.data.sources import TextSource, read_file, read_texts
from cvfp_cli.data.validation import (
    AfterLargest,
    File,
    Last,
    LastShare,
    SplitRange,
    Tail,
    Validation,
    WholeSplit,
)
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

POOL = 10_000
SAME_SPLIT_SHARE = (
    0.5  # of another split's samples, found in training: then it is the training split once more
)


@dataclass(frozen=True)
class SampleCounts:
    """The numbers of samples that a study turns on, with what 0 stands for written out.

    Attributes:
        run: training sizes that this command runs.
        largest: the study's largest size.
        tokenizer: samples that a ``bpe:N`` is trained on; 0 for a pretrained tokenizer.
        after: sample at which ``after-largest:N`` begins.
    """

    run: tuple[int, ...]
    largest: int
    tokenizer: int
    after: int


@dataclass(frozen=True)
class SelectedTexts:
    """Texts of a study.

    Attributes:
        train: for each data seed the training samples in order; runs of fewer samples take the first of them.
        study: the first samples that do not validate, as many as the tokenizer is to be trained on (or all there
            are); empty for a pretrained one.
        validation: validation samples; empty where each run validates on its own tail.
        notes: on empty samples that were left out.
    """

    train: dict[int | None, list[str]]
    study: list[str]
    validation: list[str]
    notes: tuple[Note, ...] = ()


def select(
    source: TextSource,
    data: DataConfig,
    validation: Validation,
    *,
    sizes: SampleCounts,
    data_seeds: Sequence[int | None],
    cache: Cache,
    problems: TextProblems,
) -> SelectedTexts:
    """Read the samples that runs of these sizes and data seeds train and validate on.

    A data seed orders the first 10,000 samples (or twice the largest size, if that is more), validation left out, by
    the hash of seed and sample number; a run takes the first of them. So its smaller sizes are part of its larger
    ones, as without a seed. Without a seed the first samples train; those that ``after-largest:N`` took are passed
    over, so that a study can go on to larger sizes.

    Raises:
        InputError: a sample is broken or empty, or a split is missing. Too few samples and text that stands on both
            sides go to ``problems``.
    """
    wanted = max(sizes.run)
    pool = max(POOL, 2 * sizes.largest) if any(seed is not None for seed in data_seeds) else 0
    held_apart = validation.count if isinstance(validation, AfterLargest) else 0
    to_the_end = isinstance(validation, Last | LastShare)
    # Only samples that validation passes over call for as many more; the others it takes lie behind.
    reach = max(sizes.largest, sizes.tokenizer)
    stop = None if to_the_end else max(reach + held_apart * (reach > sizes.after), pool)
    _check_own_split(validation, data, source)
    skipped = Skipped()
    first = read_texts(source, data, cache, split=data.split, stop=stop, skipped=skipped)
    held = _held(validation, data, source, sizes.after, len(first))
    free = [number for number in range(len(first)) if number not in held]
    in_order = free if isinstance(validation, AfterLargest) else range(len(first))
    problems.attempt(lambda: _check_count(len(in_order), wanted, source, data, skipped))
    if None in data_seeds and not isinstance(validation, AfterLargest):
        problems.attempt(lambda: _check_overlap(validation, held, wanted, len(first)))
    texts = (
        problems.attempt(lambda: _validation_texts(validation, held, first, source, data, cache, skipped))
        or []
    )
    train = {
        seed: [first[number] for number in in_order[:wanted]]
        if seed is None
        else _drawn(first, [number for number in free if number < pool], seed, wanted, problems)
        for seed in dict.fromkeys(data_seeds)
    }
    study = [first[number] for number in free[: sizes.tokenizer]]
    if not held:
        problems.attempt(
            lambda: _check_strangers(validation, texts, train.values(), study, first, source, data, cache)
        )
    return SelectedTexts(train, study, texts, skipped.notes())


def _held(validation: Validation, data: DataConfig, source: TextSource, after: int, total: int) -> range:
    """The samples of the training split that validation takes; none where it comes from elsewhere."""
    match validation:
        case SplitRange(split, first, last) if _trains(split, data, source):
            return range(first, last + 1)
        case AfterLargest(count):
            return range(after, after + count)
        case Last(count):
            return range(max(total - count, 0), total)
        case LastShare(share):
            return range(total - max(int(total * share), 1), total) if total else range(0)
        case _:
            return range(0)


def _trains(split: str, data: DataConfig, source: TextSource) -> bool:
    """Whether training samples come from this split too; ``train`` is the name of the only one there is."""
    return split == data.split or (split == "train" and not source.has_splits)


def _check_own_split(validation: Validation, data: DataConfig, source: TextSource) -> None:
    if isinstance(validation, WholeSplit) and _trains(validation.split, data, source):
        raise InputError(
            f"--validation {validation} is the split that trains.",
            hint="Write 10% or last:N for the end of it, or name another split or a file.",
        )


def _check_count(found: int, wanted: int, source: TextSource, data: DataConfig, skipped: Skipped) -> None:
    if found < wanted:
        place = source.place(data.split)
        empty = skipped.count(place)
        beside = f" with text (and {empty} empty, the first of them {skipped.first(place)})" if empty else ""
        raise InputError(
            f"{place} has {counted(found, 'sample')}{beside}, and {wanted:,} are asked for to train on.",
            hint=_more(found, source, data),
        )


def _more(count: int, source: TextSource, data: DataConfig) -> str:
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
        + (
            f"; the data set has {counted(total, 'sample')}."
            if isinstance(validation, Last | LastShare)
            else "."
        ),
        hint=f"Use {' or '.join(ways)}." if ways else "Use a larger data set.",
    )


def _check_strangers(
    validation: Validation,
    texts: Sequence[str],
    train: Iterable[Sequence[str]],
    study: Sequence[str],
    first: Sequence[str],
    source: TextSource,
    data: DataConfig,
    cache: Cache,
) -> None:
    """Refuse validation text from elsewhere that trains as well, word for word, wherever it is kept.

    Splits of one data set may hold the same text now and then, which is counted and told; a file is the user's own
    choice, and can be mended.
    """
    trains = {text for drawn in train for text in drawn}
    shared = [number for number, text in enumerate(texts) if text in trains]
    part = "train as well"
    if not shared:
        trains = set(study)
        shared = [number for number, text in enumerate(texts) if text in trains]
        part = "train the tokenizer as well (see tokenizer.samples)"
    if not shared or (not isinstance(validation, File) and len(shared) < SAME_SPLIT_SHARE * len(texts)):
        return
    where = first.index(texts[shared[0]])
    all_of = len(shared) == len(texts)
    raise InputError(
        f"--validation {validation}: {'all' if all_of else len(shared)} of its {counted(len(texts), 'sample')} "
        f"{part if len(shared) > 1 else part.replace('train', 'trains', 1)}; "
        f"its sample {shared[0]} is sample {where} of {source.name}.",
        hint=_without_shared(validation, texts, source, data, cache),
    )


def _without_shared(
    validation: Validation, texts: Sequence[str], source: TextSource, data: DataConfig, cache: Cache
) -> str:
    """What to do about validation text that trains as well."""
    if isinstance(validation, File) and source.kind != "hub":
        known = set(read_texts(source, data, cache, split=data.split))
        if any(text not in known for text in texts):
            given = [f"--split {data.split}"] if source.has_splits else []
            given += [f"--text-field {shlex.quote(data.text_field)}"] if data.text_field else []
            words = [shlex.quote(str(validation)), "NEW.jsonl --without", shlex.quote(source.name), *given]
            return f"Leave them out: cvfp data export {' '.join(words)}"
    return "Name other text, or hold back the end of the training text with --validation 10%."


def _validation_texts(
    validation: Validation,
    held: range,
    first: Sequence[str],
    source: TextSource,
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
        case WholeSplit(split):
            if not source.has_splits:
                raise InputError(
                    f"--validation {validation}: no file is called so, and {source.name} has no splits.",
                    hint="Write 10%, last:N, after-largest:N, or the name of a file.",
                )
            return read_texts(source, data, cache, split=split, skipped=skipped)
    if place == data.split and wanted.stop <= len(first):
        return list(first[wanted.start : wanted.stop])
    texts = read_texts(
        source, data, cache, split=place, start=wanted.start, stop=wanted.stop, skipped=skipped
    )
    if len(texts) < len(wanted):
        raise InputError(
            f"{source.place(place)} ends before sample {wanted.stop - 1}, which --validation {validation} asks for.",
            hint="Ask for fewer samples to train or validate on, or name more text with --data.",
        )
    return texts


def _drawn(
    texts: Sequence[str], free: Sequence[int], seed: int, wanted: int, problems: TextProblems
) -> list[str]:
    def key(number: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=16).digest()

    problems.attempt(lambda: _check_draw(seed, len(free), wanted))
    return [texts[number] for number in sorted(free, key=key)[:wanted]]


def _check_draw(seed: int, free: int, wanted: int) -> None:
    if free < wanted:
        raise InputError(
            f"Data seed {seed} has {counted(free, 'sample')} to draw from, and {wanted:,} are asked for to train on.",
            hint=f"Ask for --samples {free} or fewer." if free else "Validate on other samples.",
        )
