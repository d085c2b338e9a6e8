"""The options that several commands share, each declared once.

A command takes one of these dataclasses as a parameter; ``spread`` makes an option of every field.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvfp_cli.cli.choices import DEVICES, EMPTY, EXECUTORS, KINDS, LANGUAGES, PRECISIONS, TRACKERS
from cvfp_cli.cli.options import (
    MACHINE,
    MORE,
    OUTPUT,
    STUDY,
    TEXT,
    assignments,
    flag,
    given,
    one_of,
    words_of,
)
from cvfp_cli.cli.problems import Problems
from cvfp_cli.errors import InputError, missing_extra, one_line
from cvfp_cli.spelling import nearest

if TYPE_CHECKING:
    from cvfp_cli.results import ResultsStore

DEFAULT_RESULTS = Path("results/summary.json")
RESULTS_WORDS = "summary.json, runs.csv, a results folder, an old detailed_results.json"


def _recipes() -> Iterable[str]:
    from cvfp_cli.recipes import list_recipes

    return list_recipes()


@dataclass(frozen=True)
class StudyOptions:
    """Which recipe, and what is changed in it."""

    recipe: str | None = given(
        STUDY, "NAME|FILE", "Study to run.", default="2025-11-30-matrix", words=_recipes
    )
    settings: list[str] | None = given(
        STUDY, "TABLE.KEY=VALUE", "Change any field of the recipe (repeatable).", name="--set"
    )
    kind: list[str] | None = given(
        MORE,
        "KIND",
        "Kind of model; sweep takes a list.",
        default="the recipe's, cvfp",
        words=KINDS,
        several=True,
    )
    list_recipes: bool = flag(STUDY, "List the recipes that come with cvfp.")
    print_recipe: str | None = given(
        MORE, "NAME", "Print a recipe that comes with cvfp, to change and save it.", words=_recipes
    )

    def overrides(self) -> dict[str, object]:
        """The fields that ``--set`` and ``--kind`` set.

        Raises:
            InputError: one is not ``table.key=value``.
        """
        found: dict[str, object] = dict(assignments(self.settings))
        if self.kind is not None:
            found["kind"] = list(words_of(self.kind))
        return found


@dataclass(frozen=True)
class TextOptions:
    """Which text, and how it becomes tokens and vectors."""

    data: list[str] | None = given(
        TEXT, "SOURCE", "Hub data set, file, folder, 'a/*.txt', pydocs[:PKG].", words=("pydocs",)
    )
    tokenizer: str | None = given(TEXT, "NAME", "Hub name, folder, or bpe:4096 (trained here).")
    embedding: str | None = given(
        TEXT, "NAME", "Hub name, folder, .npy or .safetensors table, ppmi:256 or random:256."
    )
    validation: str | None = given(TEXT, "WHICH", "SPLIT[:A-B], after-largest:N, last:N, [tail:]10%, FILE.")
    split: str | None = given(MORE, "NAME", "Split of the data set to train on.")
    text_field: str | None = given(MORE, "COLUMN", "Column that holds the text.")
    lines: bool = flag(MORE, "One sample a line in .txt and .md files.")
    empty: str | None = given(MORE, "skip|refuse", "Empty samples.", default="skip", words=EMPTY)

    def overrides(self) -> dict[str, object]:
        """The recipe's fields that these set; an option that was not given sets none."""
        sources = self.data or []
        fields: dict[str, object] = {
            "data.source": sources[0] if sources else None,
            "data.also": sources[1:] or None,
            "data.lines": self.lines or None,
            "data.empty": self.empty,
            "data.split": self.split,
            "data.text_field": self.text_field,
            "tokenizer.name": self.tokenizer,
            "embedding.name": self.embedding,
            "validation.source": self.validation,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Device:
    """Where to compute, and how precisely."""

    device: str = given(MACHINE, "NAME", "auto, cpu, cuda or mps.", start="auto", words=DEVICES)
    precision: str | None = given(
        MACHINE, "NAME", "float32, tf32 or bf16.", default="float32; cuda: bf16", words=PRECISIONS
    )


@dataclass(frozen=True)
class Machine(Device):
    """Where and how to train."""

    memory: str | None = given(MORE, "SIZE", "Bound for the pieces of a batch.", default="2GiB")
    threads: int | None = given(MORE, "N", "CPU threads of a run.", default="the folder's, or by cores")


@dataclass(frozen=True)
class Crew:
    """Who runs a sweep's jobs, and how many at a time."""

    jobs: str | None = given(MACHINE, "N", "Runs at a time; auto: one a card.", default="1")
    devices: list[str] | None = given(
        MORE, "LIST", "Devices that --jobs spreads over.", default="all cards, or --device"
    )
    executor: str | None = given(
        MORE,
        "NAME",
        "serial, processes or ray.",
        default="processes with --jobs, else serial",
        words=EXECUTORS,
    )
    run_timeout: float | None = given(
        MORE, "SECONDS", "Start a run again that shows no step for so long.", default="never"
    )
    ray_address: str | None = given(
        MORE, "HOST:PORT", "Ray cluster; local starts one here.", default="RAY_ADDRESS, this machine's"
    )
    gpus_per_run: str | None = given(
        MORE, "SHARE", "Of a card, by Ray; auto: the least that all runs fit in.", default="1"
    )
    mixed_devices: bool = flag(MORE, "Let Ray use cards of different kinds.")

    @property
    def share(self) -> float | None:
        """Of a card, for a worker of Ray; None for what the plan asks for.

        Raises:
            InputError: no such share.
        """
        if self.gpus_per_run == "auto":
            return None
        with contextlib.suppress(ValueError):
            if 0 < (share := float(self.gpus_per_run or 1)) <= 1:
                return share
        raise InputError(
            f"--gpus-per-run: '{one_line(str(self.gpus_per_run), 40)}' is no share of a card.",
            hint="Write 0.5, 1 or auto.",
        )

    shard: str | None = given(
        MORE, "I/N", "Train the I-th of N parts of the grid, beside commands that train the others."
    )

    @property
    def name(self) -> str:
        """The executor."""
        return self.executor or ("serial" if self.jobs is None and self.devices is None else "processes")


@dataclass(frozen=True)
class Place:
    """Where results go, and what is shown on the way."""

    out: Path = given(OUTPUT, "FOLDER", "Results folder; it holds one study.", start=Path("results"))
    dry_run: bool = flag(OUTPUT, "Show size, memory, time, what is done; train nothing.")
    tensorboard: Path | None = given(MORE, "DIR", "Also write curves there (extra 'tensorboard').")
    report_to: list[str] | None = given(
        MORE, "LIST", "Also tell tensorboard, wandb, mlflow, trackio.", words=TRACKERS, several=True
    )
    quiet: bool = flag(OUTPUT, "No progress; errors are still shown.", short="-q")
    yes: bool = flag(MORE, "Answer yes to what would be asked.", short="-y")
    recover: bool = flag(MORE, "Keep what a damaged results file still tells.")
    cache_dir: Path | None = given(
        MORE, "FOLDER", "Where token streams are cached.", default="CVFP_CACHE_DIR, the system's"
    )

    def store(self) -> "ResultsStore":
        """The results folder; nothing is touched yet."""
        from cvfp_cli.results import ResultsStore

        return ResultsStore(self.out, recover=self.recover)


@dataclass(frozen=True)
class ResultFiles:
    """What to read, for the commands that only read results."""

    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RESULTS", help=f"{RESULTS_WORDS}.", show_default=str(DEFAULT_RESULTS)),
    ] = None
    lang: str | None = given(
        OUTPUT, "en|ja", "Language.", default="CVFP_LANG, the locale's, en", words=LANGUAGES
    )
    recover: bool = flag(MORE, "Use what a damaged results file still tells.")

    @property
    def paths(self) -> list[Path]:
        """The files and folders that were named, or the one that a sweep writes."""
        return self.results or [DEFAULT_RESULTS]


def language_of(lang: str | None) -> str:
    """The language of an answer: ``--lang``, or else as ``choose_language`` finds it.

    Raises:
        InputError: there is none of that name.
    """
    from cvfp_cli.reports.text.choice import choose_language

    return choose_language(lang and one_of(lang.lower(), LANGUAGES, "--lang"), os.environ)


def check_there(paths: Sequence[Path]) -> None:
    """Check that every file or folder exists.

    Raises:
        InputError: with each one that does not, and what is there instead.
    """
    problems = Problems()
    for path in paths:
        with problems.collect():
            if not path.exists():
                raise InputError(f"{path_text(path)}: there is no such file.", hint=_instead(path))
    problems.raise_found()


def check_writable(path: Path, option: str, suffixes: Sequence[str], *, hint: str = "") -> None:
    """Check the kind and the folder of a file that is to be written, before any work is done for it.

    Raises:
        InputError: a suffix that is none of ``suffixes``, a folder in its place, or a folder that is not there.
    """
    if path.is_dir():
        raise InputError(f"{option}: {path_text(path)} is a folder.", hint="Name a file in it.")
    if path.suffix.lower() not in suffixes:
        *more, last = filter(None, suffixes)
        kinds = f"{', '.join(more)} or {last}" if more else last
        raise InputError(f"{option}: {path_text(path)} must end in {kinds}.", hint=hint)
    if not path.parent.is_dir():
        raise InputError(f"{option}: there is no folder {path_text(path.parent)}.", hint="Make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{option}: {path_text(path.parent)} cannot be written to.", hint="Name another folder."
        )


def answer_file(out: Path | None) -> Path | None:
    """Where ``--out`` sends an answer; None for stdout, which ``-`` stands for as everywhere."""
    return None if out == Path("-") else out


def check_answer(path: Path) -> None:
    """Check the file of ``--out`` for an answer of any format, before any work is done for it.

    Raises:
        InputError: as ``check_writable``, whatever the suffix.
    """
    check_writable(path, "--out", (path.suffix.lower(),))


def check_folder(folder: Path, option: str) -> None:
    """Check that a folder is there, or can be made, and can be written to.

    Raises:
        InputError: it is a file, or something that the user may not write to.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{option}: {path_text(folder)} is a file, not a folder.", hint="Name another folder."
        )
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option}: {path_text(there)} cannot be written to.", hint="Name another folder.")


PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Check the file of ``--plot``, and that there is something to draw it with.

    Raises:
        InputError: as ``check_writable``, or matplotlib is not installed.
    """
    check_writable(path, "--plot", PICTURES)
    if find_spec("matplotlib") is None:
        raise missing_extra("--plot", "plot")


def check_figures(folder: Path) -> None:
    """Check the folder of ``--figures``, and that there is something to draw with.

    Raises:
        InputError: as ``check_folder``, or matplotlib is not installed.
    """
    check_folder(folder, "--figures")
    if find_spec("matplotlib") is None:
        raise missing_extra("--figures", "plot")


def path_text(path: Path) -> str:
    """A path as it can stand in a one-line message."""
    return one_line(str(path))


def _instead(path: Path) -> str:
    """The nearest name in the same folder, the results that are here, or how to make some."""
    beside: list[str] = []
    with contextlib.suppress(OSError, ValueError):  # ValueError: a null byte in the name
        beside = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    here = [path_text(found) for found in sorted(Path().glob("*/summary.json"))]
    if near := nearest(path.name, beside):
        return f"Did you mean {path_text(path.parent / near)}?"
    if here:
        return f"Did you mean {here[0]}?" if len(here) == 1 else f"There are {', '.join(here[:5])}."
    return "Name results, or make some with cvfp sweep."
