"""``cvfp data export``: the samples of any source as JSON lines, with a record of where they are from."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvfp_cli import __version__
from cvfp_cli.cli import study
from cvfp_cli.cli.choices import EMPTY, MESSAGES
from cvfp_cli.cli.options import MORE, OUTPUT, TEXT, flag, given
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import answer_file, check_writable, path_text
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError, one_line

if TYPE_CHECKING:
    from cvfp_cli.data.sources import TextSource

SCHEMA = "cvfp-export/1"
RECORD_SUFFIX = (
    ".source.toml"  # no kind of text file, so that a folder of exports is read without their records
)

_SAMPLES = re.compile(r"(?:([0-9]{1,12})-)?([0-9]{1,12})", re.ASCII)


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="What --data takes: hub data set, file, folder, pydocs[:PKG]."),
    ],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The .jsonl file to write; - for stdout.")],
    split: str | None = given(TEXT, "NAME", "Split of the data set.", default="train_sft"),
    text_field: str | None = given(TEXT, "COLUMN", "Column that holds the text."),
    messages: str | None = given(
        TEXT, "all|first", "Which messages of a dialogue make its text.", default="all", words=MESSAGES
    ),
    samples: str | None = given(
        TEXT, "N|A-B", "The first N samples, or samples A to B, counted from 0.", default="all"
    ),
    lines: bool = flag(TEXT, "Of text files, take each line as a sample."),
    empty: str | None = given(
        TEXT, "skip|refuse", "What to do with empty samples.", default="skip", words=EMPTY
    ),
    without: list[str] | None = given(
        TEXT, "SOURCE", "Leave out samples that stand word for word there (repeatable)."
    ),
    force: bool = flag(OUTPUT, "Replace FILE and its record if they exist."),
    quiet: bool = flag(OUTPUT, "Print errors and warnings only.", short="-q"),
    cache_dir: Path | None = given(
        MORE, "FOLDER", "Where text from the hub is cached.", default="CVFP_CACHE_DIR, the system's"
    ),
) -> None:
    """Write the samples of any source as JSON lines.

    Each line is {"text": ...}. Training on the file gives the same token streams as training on the source.
    FILE.source.toml beside it records the source, its versions or commit, and fingerprints.

    \b
    cvfp data export pydocs pydocs.jsonl
    cvfp data export pydocs:numpy,scipy - --samples 100 | head
    cvfp data export HuggingFaceH4/ultrachat_200k dialogues.jsonl --samples 0-499
    cvfp data export heldout.jsonl clean.jsonl --without my.jsonl
    """
    problems = Problems()
    chosen = slice(None)
    with problems.collect():
        chosen = _range(samples)
    problems.check_words(("--messages", messages, MESSAGES), ("--empty", empty, EMPTY))
    out = answer_file(Path(file).expanduser())
    if out is not None:
        with problems.collect():
            _check_place(out, source, force=force)
    problems.raise_found()
    settings = {
        "split": split,
        "text_field": text_field,
        "messages": messages,
        "lines": lines or None,
        "empty": empty,
    }
    read_from, reading, texts, left_out = _read(
        source,
        {key: value for key, value in settings.items() if value is not None},
        chosen,
        tuple(without or ()),
        cache_dir,
        quiet=quiet,
    )
    written = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    record = _record(read_from, reading, texts, chosen, tuple(without or ()), left_out, written)
    _write(written, record, out)
    size = f"{counted(len(texts), 'sample')}, {counted(record['bytes'], 'byte')} of text"
    named = "stdout" if out is None else path_text(out)
    study.say(f"{named}: {size}; fingerprint {record['texts']}", quiet=quiet)
    details = ", ".join(f"{key} {value}" for key, value in read_from.details.items())
    more = f"; {left_out} left out" if without else ""
    study.say(f"from {read_from.name}{': ' * bool(details)}{details}{more}", quiet=quiet)
    if out is not None:
        study.say(f"record: {path_text(_record_path(out))}", quiet=quiet)


def _range(part: str | None) -> slice:
    if part is None:
        return slice(0, None)
    matched = _SAMPLES.fullmatch(part.strip())
    if matched is None:
        raise InputError(
            f"--samples: '{one_line(part, 40)}' is neither a number nor a range.",
            hint="Write 200 for the first 200, or 100-299.",
        )
    if matched[1] is None:
        if int(matched[2]) == 0:
            raise InputError(
                "--samples: 0 is too small; the least is 1.", hint="Write 0-0 for the first sample."
            )
        return slice(0, int(matched[2]))
    first, last = int(matched[1]), int(matched[2])
    if last < first:
        raise InputError(f"--samples: the range {part} runs downwards.", hint=f"Write {last}-{first}.")
    return slice(first, last + 1)


def _check_place(out: Path, source: str, *, force: bool) -> None:
    """Check that the file can be written, stands for nothing else, and does not become part of its own source."""
    from cvfp_cli.data import files

    check_writable(out, "FILE", (".jsonl",), hint="Or write - for stdout.")
    read = files.existing(source)
    if read is not None:
        where = read.resolve()
        if out.resolve() == where or (read.is_dir() and where in out.resolve().parents):
            raise InputError(f"FILE: {path_text(out)} is part of the source.", hint="Write it elsewhere.")
    there = [path for path in (out, _record_path(out)) if path.exists()]
    if there and not force:
        raise InputError(
            f"FILE: {path_text(there[0])} exists.", hint="Name another file, or replace it with --force."
        )


def _record_path(out: Path) -> Path:
    return out.with_name(out.name + RECORD_SUFFIX)


def _read(
    name: str,
    given: Mapping[str, Any],
    chosen: slice,
    without: Sequence[str],
    cache_dir: Path | None,
    *,
    quiet: bool,
) -> "tuple[TextSource, dict[str, Any], list[str], int]":
    """The source, how it was read, its texts, and how many of them were left out.

    Raises:
        InputError: a source is not there or broken, has fewer samples than were asked for, or nothing is left.
    """
    from cvfp_cli.data.cache import Cache
    from cvfp_cli.data.config import DataConfig
    from cvfp_cli.data.hub import Hub
    from cvfp_cli.data.samples import Skipped
    from cvfp_cli.data.sources import open_source, read_texts

    config = DataConfig(source=name, **given)
    cache, connection = Cache(cache_dir, lambda text: study.say(text, quiet=quiet)), Hub()
    source = open_source(name, cache, connection)
    others = [open_source(other, cache, connection) for other in without]
    skipped = Skipped()
    texts = read_texts(
        source, config, cache, split=config.split, start=chosen.start, stop=chosen.stop, skipped=skipped
    )
    if chosen.stop is not None and len(texts) < chosen.stop - chosen.start:
        raise InputError(
            f"{name} ends after {counted(chosen.start + len(texts), 'sample')}."
            if texts
            else f"{name} ends before that.",
            hint="Ask for fewer --samples.",
        )
    known = {text for other in others for text in read_texts(other, config, cache, split=config.split)}
    kept = [text for text in texts if text not in known]
    if not kept:
        raise InputError(f"{name}: no sample is left." if texts else f"{name} holds no sample.")
    study.tell([*source.notes, *skipped.notes(), *cache.notes], quiet=quiet)
    reading = {
        "split": config.split if source.has_splits else None,
        "text_field": config.text_field or None,
        "messages": config.messages,
        "lines": config.lines or None,
    }
    return source, reading, kept, len(texts) - len(kept)


def _record(
    source: "TextSource",
    reading: Mapping[str, Any],
    texts: Sequence[str],
    chosen: slice,
    without: Sequence[str],
    left_out: int,
    lines: str,
) -> dict[str, Any]:
    """Where the texts are from, and what they are."""
    from cvfp_cli.data.cache import content_hash, pack_texts

    packed = pack_texts(texts)
    told = {
        "name": source.name,
        "kind": source.kind,
        **reading,
        "first": chosen.start if chosen.stop is not None else None,
        "last": None if chosen.stop is None else chosen.stop - 1,
        "fingerprint": source.fingerprint,
        "without": list(without) or None,
        "left_out": left_out if without else None,
        "versions": dict(source.details) or None,
    }
    return {
        "schema": SCHEMA,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "cvfp": __version__,
        "samples": len(texts),
        "bytes": len(packed["utf8"]),
        "texts": content_hash(packed["utf8"], packed["ends"]),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "source": {key: value for key, value in told.items() if value is not None},
    }


def _write(lines: str, record: Mapping[str, Any], out: Path | None) -> None:
    if out is None:
        from cvfp_cli.cli.writing import write_answer

        write_answer(lines, None)
        return
    import tomli_w

    from cvfp_cli.results.atomic import write_atomic

    head = f"# Where {path_text(Path(out.name))} is from, written by cvfp data export.\n"
    write_atomic(out, lines.encode())
    write_atomic(_record_path(out), (head + tomli_w.dumps(record)).encode())
