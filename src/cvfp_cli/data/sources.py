"""Where samples come from: ``pydocs``, local files, or a data set in the hub's format."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from cvfp_cli.data import files, hub, pydocs
from cvfp_cli.data.cache import Arrays, Cache, content_hash, pack_texts, unpack_texts
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.samples import sample_text
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

_DATA_FILES = re.compile(r"---[ \t\r]*\n(?:(?!---).*\n)*?configs:")
_HEADER_BYTES = 2**16  # how far into a README its header is looked for

Kind = Literal["pydocs", "files", "folder", "hub"]


@dataclass(frozen=True)
class Source:
    """A place that samples are read from.

    Attributes:
        name: as the user wrote it.
        kind: ``files`` are read as they are; ``folder`` is one in the hub's format.
        fingerprint: hash of its bytes; for ``hub``, of its name and commit.
        details: for the record: package versions, or the commit.
        path: the local file or folder.
        texts: all samples, where finding out what the source is gives them (``pydocs``).
        notes: remarks about it.
    """

    name: str
    kind: Kind
    fingerprint: str
    details: dict[str, str] = field(default_factory=dict)
    path: Path | None = None
    texts: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def has_splits(self) -> bool:
        """Whether it has named splits; a source without any has one, called whatever ``data.split`` says."""
        return self.kind in ("folder", "hub")


def open_source(name: str, cache: Cache, connection: hub.Hub) -> Source:
    """Find out what a source is, and its fingerprint.

    Raises:
        InputError: there is no such file, folder or data set.
    """
    packages = pydocs.chosen_packages(name)
    if packages is not None:
        return _open_pydocs(name, packages, cache)
    path = files.existing(name)
    if path is not None and path.is_dir() and _is_hub_format(path):
        everything = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
        return Source(name, "folder", files.fingerprint(everything, path), path=path)
    if path is not None:
        return Source(name, "files", files.fingerprint(files.data_files(path), path), path=path)
    if name.lower().endswith(files.SUFFIXES) or not hub.is_hub_name(name):
        raise InputError(f"{name}: no such file or folder.")
    return _open_hub(name, cache, connection)


def read_texts(
    source: Source, config: DataConfig, cache: Cache, *, split: str, start: int = 0, stop: int | None = None
) -> list[str]:
    """Texts of samples ``start`` to ``stop`` (or the last there is) of a split.

    Raises:
        InputError: a row is broken or empty (named by file and number), or there is no such split.
    """
    if source.kind == "pydocs":
        return list(source.texts[start:stop])
    if source.kind == "files":
        assert source.path is not None
        rows = files.rows(files.data_files(source.path), folder=source.path.is_dir())
        return list(_texts(islice(rows, start, stop), config))
    key = {
        "source": source.fingerprint,
        "split": split,
        "range": [start, stop],
        "text": [config.text_field, config.messages],
    }
    made = cache.fetch(
        "texts",
        key,
        lambda: _hub_texts(source, config, split, start, stop),
        doing=f"Reading samples of {source.name} ({split})",
    )
    return unpack_texts(made)


def read_file(path: Path, config: DataConfig) -> list[str]:
    """Texts of a local file or folder of files.

    Raises:
        InputError: a row is broken or empty, named by file and number.
    """
    return list(_texts(files.rows(files.data_files(path), folder=path.is_dir()), config))


def _texts(rows: Iterator[files.Row], config: DataConfig) -> Iterator[str]:
    for where, row in rows:
        yield sample_text(row, config, where)


def _hub_texts(source: Source, config: DataConfig, split: str, start: int, stop: int | None) -> Arrays:
    name = source.name if source.path is None else str(source.path.resolve())
    rows = hub.dataset_rows(name, split, start, stop, source.details.get("revision"))
    return pack_texts(list(_texts(rows, config)))


def _open_pydocs(name: str, packages: tuple[str, ...], cache: Cache) -> Source:
    sources = pydocs.read_sources(packages)
    packed = cache.fetch(
        "pydocs",
        {"sources": pydocs.fingerprint(sources), "rules": pydocs.RULES, "chosen": bool(packages)},
        lambda: pack_texts(pydocs.extract(sources, chosen=bool(packages))),
        doing="Reading the docstrings of the installed packages",
    )
    return Source(
        name,
        "pydocs",
        content_hash(packed["utf8"], packed["ends"]),
        details={package.name: package.version for package in sources},
        texts=tuple(unpack_texts(packed)),
    )


def _open_hub(name: str, cache: Cache, connection: hub.Hub) -> Source:
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
    return Source(
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


def _is_hidden(file: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(base).parts)
