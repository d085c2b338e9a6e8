"""The ``pydocs`` source: docstrings of installed packages, read from source without importing it.

Real technical English that every installation has, so that a first study needs no network. One public module, class,
function or method gives one sample. The order is that of a hash of the text, so it depends on content alone: another
version of a package moves nothing but the samples it changed.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import re
import sys
import sysconfig
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.spelling import nearest

NAME = "pydocs"
STANDARD_LIBRARY = "python"
PACKAGES = ("numpy", "scipy", "pandas", "torch")
MIN_CHARACTERS = 400
MIN_SAMPLES = 2000
RULES = 1  # raised whenever the same source files would have to give other texts

_SKIPPED_FOLDERS = frozenset({"__pycache__", "test", "tests", "idle_test", "site-packages", "dist-packages"})
_PRIVATE_BY_FOLDER = frozenset({"torch"})  # numpy and scipy keep public functions in private folders
_SHINGLE_WORDS = 5
_SHINGLE_SHARE = 4  # one shingle in this many is looked at
_NEAR_DUPLICATE = 0.5  # share of a text's shingles found in one earlier text
_WORD = re.compile(r"\w+")
_PACKAGE = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_WAY_OUT = (
    "Use --data with a local file or folder, or an installation that has its .py files with docstrings."
)

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class PackageSources:
    """The Python files of one package.

    Attributes:
        name: ``python`` for the standard library, otherwise the package's name.
        version: installed version.
        files: path below the package and content of each ``.py`` file, in the order of the paths, tests left out.
    """

    name: str
    version: str
    files: tuple[tuple[str, bytes], ...]


def chosen_packages(source: str) -> tuple[str, ...] | None:
    """The packages that ``pydocs:PKG,PKG`` names, sorted, each once; none of ``pydocs`` alone; None: another source.

    Raises:
        InputError: what stands after the colon is no list of packages.
    """
    name, colon, listed = source.partition(":")
    if name != NAME:
        return None
    packages = [package.strip() for package in listed.split(",")] if colon else []
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise InputError(
                f"--data {NAME}: {ascii(package)[:60]} is no name of a package.",
                hint=f"Write whole packages as Python imports them: {NAME}:{STANDARD_LIBRARY},numpy.",
            )
    return tuple(sorted(set(packages)))


def read_sources(packages: Sequence[str] = ()) -> tuple[PackageSources, ...]:
    """Read the source files of packages.

    Args:
        packages: ``python`` (the standard library), or names as Python imports them; empty for the standard library
            and whichever of ``PACKAGES`` is installed.

    Raises:
        InputError: a named package is not installed, or there are no source files at all (an installation of
            compiled files only).
    """
    if packages:
        return tuple(_package_sources(name) for name in packages)
    there = [name for name in PACKAGES if importlib.util.find_spec(name) is not None]
    sources = tuple(_package_sources(name) for name in (STANDARD_LIBRARY, *there))
    if not any(package.files for package in sources):
        raise InputError(f"pydocs finds no .py files below {_standard_library()}.", hint=_WAY_OUT)
    return sources


def _standard_library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _package_sources(name: str) -> PackageSources:
    if name == STANDARD_LIBRARY:
        return PackageSources(
            name, platform.python_version(), _python_files(_standard_library(), private=True)
        )
    if name in sys.stdlib_module_names:
        raise InputError(
            f"--data {NAME}: {name} is a part of the standard library.",
            hint=f"Write {STANDARD_LIBRARY} for all of it.",
        )
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise InputError(f"--data {NAME}: no package {name} is installed beside cvfp.", hint=_instead(name))
    private = name not in _PRIVATE_BY_FOLDER
    files: tuple[tuple[str, bytes], ...] = ()
    if spec.submodule_search_locations is not None:
        folders = sorted({Path(folder) for folder in spec.submodule_search_locations})
        files = tuple(file for folder in folders for file in _python_files(folder, private=private))
    elif spec.origin is not None and spec.origin.endswith(".py"):
        files = ((Path(spec.origin).name, Path(spec.origin).read_bytes()),)
    return PackageSources(name, _version(name), files)


def _version(name: str) -> str:
    """The version of the distribution that brought a package; ``unknown`` for one that nothing installed."""
    for distribution in importlib.metadata.packages_distributions().get(name, [name]):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def _instead(name: str) -> str:
    """What to do about a package that is not there."""
    known = importlib.metadata.packages_distributions()
    brought = [package for package, by in known.items() if name in by and _PACKAGE.fullmatch(package)]
    near = nearest(name, [*brought, STANDARD_LIBRARY, *known], cutoff=0.75) if not brought else brought[0]
    if near:
        return f"Did you mean {NAME}:{near}?"
    return f"Install it (pip install {name}, or pipx inject cvfp-cli {name}), or leave it out."


def fingerprint(sources: Iterable[PackageSources]) -> str:
    """Hash of every byte that :func:`extract` reads, and of the Python version that parses them."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for package in sources:
        for path, content in package.files:
            digest.update(f"{package.name}/{path}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def extract(sources: Sequence[PackageSources], *, chosen: bool = False) -> list[str]:
    """Public docstrings of more than 400 characters, near-duplicates dropped, in the order of their hashes.

    Args:
        chosen: the user named the packages: then any number will do, as long as each gives some.

    Raises:
        InputError: fewer than 2,000 remain, or a chosen package has none, as when docstrings were stripped.
    """
    found: set[str] = set()
    for package in sources:
        texts = {text for path, content in package.files for text in docstrings(path, content)}
        if chosen and not texts:
            raise InputError(
                f"--data {NAME}: {package.name} has no docstring of more than {MIN_CHARACTERS} characters in "
                f"{len(package.files)} .py files.",
                hint="Leave it out.",
            )
        found |= texts
    kept = drop_near_duplicates(sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest()))
    if not chosen and len(kept) < MIN_SAMPLES:
        raise InputError(
            f"pydocs finds {counted(len(kept), 'docstring')} of more than {MIN_CHARACTERS} characters, "
            f"and needs {MIN_SAMPLES}.",
            hint=_WAY_OUT,
        )
    return kept


def docstrings(path: str, content: bytes) -> Iterator[str]:
    """Cleaned long docstrings of one file: of its module, if public, and its public classes, functions, methods.

    A private module's functions count, since packages define public functions there and re-export them.
    """
    if content.count(b'"""') < 2 and content.count(b"'''") < 2:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            module = ast.parse(content)
    except (SyntaxError, ValueError):
        return  # templates, and files for other Python versions
    pending: list[ast.Module | _Definition] = [module]
    while pending:
        node = pending.pop()
        if not isinstance(node, ast.Module) or _is_public_module(path):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()
            if len(text) > MIN_CHARACTERS:
                yield text
        if isinstance(node, ast.Module | ast.ClassDef):
            pending.extend(_public_definitions(node))


def drop_near_duplicates(texts: Iterable[str]) -> list[str]:
    """Keep each text unless half of its five-word shingles stand in one text kept before it.

    A quarter of the shingles, chosen by their hash, is looked at: enough for texts of this length.
    """
    kept: list[str] = []
    holders: defaultdict[int, list[int]] = defaultdict(list)  # shingle -> kept texts that have it
    for text in texts:
        shingles = _sampled_shingles(text)
        shared = Counter(index for shingle in shingles for index in holders[shingle])
        if shared and max(shared.values()) >= _NEAR_DUPLICATE * len(shingles):
            continue
        for shingle in shingles:
            holders[shingle].append(len(kept))
        kept.append(text)
    return kept


def _sampled_shingles(text: str) -> list[int]:
    words = np.array([zlib.crc32(word.encode()) for word in _WORD.findall(text.lower())], dtype=np.uint64)
    count = len(words) - _SHINGLE_WORDS + 1
    if count < 1:
        return []
    hashes = np.zeros(count, dtype=np.uint64)
    for start in range(_SHINGLE_WORDS):  # polynomial hash modulo 2^64
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[start : start + count]
    hashes ^= hashes >> np.uint64(29)
    return [int(shingle) for shingle in np.unique(hashes[hashes % np.uint64(_SHINGLE_SHARE) == 0])]


def _python_files(root: Path, *, private: bool) -> tuple[tuple[str, bytes], ...]:
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name for name in set(subfolders) - _SKIPPED_FOLDERS if private or not name.startswith("_")
        )
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("test_") and name != "conftest.py":
                path = Path(folder, name)
                files.append((path.relative_to(root).as_posix(), path.read_bytes()))
    return tuple(files)


def _is_public_module(path: str) -> bool:
    return not any(part.startswith("_") and part != "__init__.py" for part in path.split("/"))


def _public_definitions(node: ast.AST) -> Iterator[_Definition]:
    """Public classes and functions directly in a module or class, or inside its if, try and with statements."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            if not child.name.startswith("_"):
                yield child
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _public_definitions(child)
