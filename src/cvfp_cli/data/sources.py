"""Where samples come from: ``pydocs``, local files, or a data set in the hub's format."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from cvfp_cli.data import files, hub, pydocs
from cvfp_cli.data.cache import Arrays, Cache, content_hash, pack_texts, unpack_texts
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.samples import Skipped, sample_text
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

_DATA_FILES = re.compile(r"---[ \t\r]*\n(?:(?!---).*\n)*?configs:")
_HEADER_BYTES = 2**16  # how far into a README its header is looked for

Kind = Literal["pydocs", "files", "saved", "folder", "hub"]


@dataclass(frozen=True)
class TextSource:
    """A place that samples are read from.

    Attributes:
        name: as the user wrote it.
        kind: ``files`` are read as they are; ``saved`` is what ``datasets`` saved without splits; ``folder`` is one
            in the hub's format, or saved with splits.
        fingerprint: hash of its bytes; for ``hub``, of its name and commit.
        details: for the record: package versions, or the commit.
        path: the local file or folder, where it is one.
        paths: of ``files``, every file or folder that is read, in order.
        texts: all samples, where finding out what the source is gives them (``pydocs``).
        notes: remarks about it.
    """

    name: str
    kind: Kind
    fingerprint: str
    details: dict[str, str] = field(default_factory=dict)
    path: Path | None = None
    paths: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def has_splits(self) -> bool:
        """Whether it has named splits; a source without any has one, called whatever ``data.split`` says."""
        return self.kind in ("folder", "hub")

    def place(self, split: str) -> str:
        """A split of it as messages name it."""
        return f"{self.name} ({split})" if self.has_splits else self.name


def open_source(name: str, cache: Cache, connection: hub.Hub, also: Sequence[str] = ()) -> TextSource:
    """Find out what a source is, and its fingerprint.

    Args:
        name: as the user wrote it; a pattern such as ``texts/*.jsonl`` stands for the files that it matches.
        also: more local files, folders or patterns, read after it.

    Raises:
        InputError: there is no such file, folder or data set, or one that cannot be read together with others.
    """
    if also:
        return _open_several((name, *also))
    packages = pydocs.chosen_packages(name)
    if packages is not None:
        return _open_pydocs(name, packages, cache)
    path = files.existing(name)
    if path is not None and path.is_dir() and (hub.has_saved_splits(path) or _is_hub_format(path)):
        return TextSource(name, "folder", _whole_fingerprint(path), path=path)
    if path is not None and path.is_dir() and hub.is_saved(path):
        return TextSource(name, "saved", _whole_fingerprint(path), path=path)
    if path is not None:
        return TextSource(name, "files", _files_fingerprint(path), path=path, paths=(path,))
    if files.matching(name):
        return _open_several((name,))
    if name.lower().endswith(files.SUFFIXES) or not hub.is_hub_name(name):
        raise InputError(f"{name}: no such file or folder.")
    return _open_hub(name, cache, connection)


def read_texts(
    source: TextSource,
    config: DataConfig,
    cache: Cache,
    *,
    split: str,
    start: int = 0,
    stop: int | None = None,
    skipped: Skipped | None = None,
) -> list[str]:
    """Texts of samples ``start`` to ``stop`` (or the last there is) of a split.

    Empty samples are no samples: they have no number, so that a source with them gives what it gives without.

    Args:
        skipped: where the empty ones are recorded; left out, they are not counted.

    Raises:
        InputError: a row is broken (named by file and number), or there is no such split.
    """
    skipped = skipped if skipped is not None else Skipped()
    if source.kind == "pydocs":
        return list(source.texts[start:stop])
    if source.kind == "files":
        return list(
            islice(_texts(_file_rows(source.paths, config), config, source.name, skipped), start, stop)
        )
    key = {
        "source": source.fingerprint,
        "split": split,
        "range": [start, stop],
        "text": [config.text_field, config.messages],
        "empty": config.empty,
    }
    made = cache.fetch(
        "texts",
        key,
        lambda: _hub_texts(source, config, split, start, stop),
        doing=f"Reading samples of {source.name} ({split})",
    )
    skipped.record(source.place(split), int(made["skipped"][0]), bytes(made["first"]).decode())
    return unpack_texts(made)


def read_file(path: Path, config: DataConfig, skipped: Skipped | None = None) -> list[str]:
    """Texts of a local file or folder of files; ``skipped`` records the empty ones.

    Raises:
        InputError: a row is broken, named by file and number.
    """
    return list(_texts(_file_rows((path,), config), config, str(path), skipped or Skipped()))


def _file_rows(paths: Sequence[Path], config: DataConfig) -> Iterator[files.Row]:
    for path in paths:
        yield from files.rows(files.data_files(path), folder=path.is_dir(), config=config)


def _texts(rows: Iterator[files.Row], config: DataConfig, place: str, skipped: Skipped) -> Iterator[str]:
    count, first = 0, ""
    for where, row in rows:
        text = sample_text(row, config, where)
        if text:
            yield text
        else:
            count, first = count + 1, first or where
            skipped.record(place, count, first)


def _hub_texts(source: TextSource, config: DataConfig, split: str, start: int, stop: int | None) -> Arrays:
    name = source.name if source.path is None else str(source.path.resolve())
    rows = hub.dataset_rows(name, split, 0, None, source.details.get("revision"))
    skipped = Skipped()
    texts = list(islice(_texts(rows, config, "", skipped), start, stop))
    first = np.frombuffer(skipped.first("").encode(), dtype=np.uint8)
    return {**pack_texts(texts), "skipped": np.array([skipped.count("")]), "first": first}


def _whole_fingerprint(folder: Path) -> str:
    """Hash of every byte below a folder whose reading is a library's business."""
    everything = sorted(
        file for file in folder.rglob("*") if file.is_file() and not files.is_hidden(file, folder)
    )
    return files.fingerprint(everything, folder)


def _files_fingerprint(path: Path) -> str:
    return files.fingerprint(files.data_files(path), path)


def _open_several(names: Sequence[str]) -> TextSource:
    """Local files and folders that are read one after the other.

    Raises:
        InputError: one of them is not there, or is something with splits or a name of its own.
    """
    paths: list[Path] = []
    for name in names:
        path = files.existing(name)
        found = [path] if path is not None else files.matching(name)
        if not found:
            raise InputError(
                f"{name}: no such file or folder.",
                hint="Several --data are read from local files alone." if len(names) > 1 else "",
            )
        for one in found:
            if one.is_dir() and (hub.is_saved(one) or _is_hub_format(one)):
                raise InputError(
                    f"{one}: a data set in the hub's format is read alone.",
                    hint="Name its files, or one --data.",
                )
        paths += [one for one in found if one.is_dir() or len(found) == 1 or files.kind_of(one)]
    if not paths:
        raise InputError(f"{names[0]}: matches no {', '.join(files.KINDS)} file.")
    paths = list(dict.fromkeys(paths))
    fingerprint = content_hash([_files_fingerprint(path) for path in paths])
    return TextSource(", ".join(names), "files", fingerprint, paths=tuple(paths))


def _open_pydocs(name: str, packages: tuple[str, ...], cache: Cache) -> TextSource:
    sources = pydocs.read_sources(packages)
    packed = cache.fetch(
        "pydocs",
        {"sources": pydocs.fingerprint(sources), "rules": pydocs.RULES, "chosen": bool(packages)},
        lambda: pack_texts(pydocs.extract(sources, chosen=bool(packages))),
        doing="Reading the docstrings of the installed packages",
    )
    return TextSource(
        name,
        "pydocs",
        content_hash(packed["utf8"], packed["ends"]),
        details={package.name: package.version for package in sources},
        texts=tuple(unpack_texts(packed)),
    )


def _open_hub(name: str, cache: Cache, connection: hub.Hub) -> TextSource:
    notes: tuple[Note, ...] = ()
    if connection.reachable:
        revision = connection.dataset_revision(name)
        cache.put("revision", {"data set": name}, pack_texts([revision]))
    else:
        known = cache.get("revision", {"data set": name})
        if known is None:
            raise hub.HubUnreachableError([f"data set '{name}'"], connection.endpoint)
        [revision] = unpack_texts(known)
        message = (
            f"The hub cannot be reached; data set '{name}' is read from the cache, as of commit {revision}."
        )
        notes = (Note("hub-from-cache", message),)
    return TextSource(
        name, "hub", content_hash(["hub", name, revision]), details={"revision": revision}, notes=notes
    )


def _is_hub_format(path: Path) -> bool:
    """A README whose header names data files, or files named ``SPLIT-00000-of-00001.parquet``."""
    readme = path / "README.md"
    if readme.is_file():
        with readme.open("rb") as file:
            header = file.read(_HEADER_BYTES).decode("utf-8", "replace")
        if _DATA_FILES.match(header.replace("\r\n", "\n")):
            return True
    return any(path.rglob("*-00000-of-*.parquet"))
