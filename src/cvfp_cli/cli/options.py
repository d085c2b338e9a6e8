"""What several commands read alike: lists of integers, sizes in bytes, choices, ``table.key=value``.

Options without a value leave the decision to the recipe, so that no default stands in two places.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cvfp_cli.errors import InputError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "tf32", "bf16")
STATE_DTYPES = ("float32", "bf16")
STUDY, TEXT, MACHINE, OUTPUT = "Study", "Text", "Machine", "Output"


def option(*names: str, panel: str, metavar: str | None = None, help: str, complete: Any = None) -> Any:
    """A Typer option in a group of the help page; ``complete`` gives a shell the words that it may take."""
    return typer.Option(
        *names, metavar=metavar, help=help, rich_help_panel=panel, show_default=False, autocompletion=complete
    )


def _recipes(incomplete: str) -> list[str]:
    from cvfp_cli.recipes import list_recipes

    return [name for name in list_recipes() if name.startswith(incomplete)]


def _devices(incomplete: str) -> list[str]:
    return [name for name in DEVICES if name.startswith(incomplete)]


def _precisions(incomplete: str) -> list[str]:
    return [name for name in PRECISIONS if name.startswith(incomplete)]


RecipeOption = Annotated[
    str | None,
    option(
        "--recipe",
        panel=STUDY,
        metavar="NAME|FILE",
        help="Study to run. [default: 2025-11-30-matrix]",
        complete=_recipes,
    ),
]
SetOption = Annotated[
    list[str] | None,
    option(
        "--set", panel=STUDY, metavar="TABLE.KEY=VALUE", help="Change any field of the recipe (repeatable)."
    ),
]
ListRecipesOption = Annotated[
    bool, option("--list-recipes", panel=STUDY, help="List the recipes that come with cvfp and exit.")
]
DataOption = Annotated[
    str | None,
    option("--data", panel=TEXT, metavar="SOURCE", help="Hub data set, local file or folder, or pydocs."),
]
SplitOption = Annotated[
    str | None, option("--split", panel=TEXT, metavar="NAME", help="Split of the data set to train on.")
]
TextFieldOption = Annotated[
    str | None, option("--text-field", panel=TEXT, metavar="COLUMN", help="Column that holds the text.")
]
TokenizerOption = Annotated[
    str | None,
    option(
        "--tokenizer", panel=TEXT, metavar="NAME", help="Hub name, local folder, or bpe:4096 (trained here)."
    ),
]
EmbeddingOption = Annotated[
    str | None,
    option(
        "--embedding",
        panel=TEXT,
        metavar="NAME",
        help="Hub name, folder, .npy or .safetensors table, ppmi:256 or random:256.",
    ),
]
ValidationOption = Annotated[
    str | None,
    option(
        "--validation",
        panel=TEXT,
        metavar="WHICH",
        help="SPLIT:FIRST-LAST, after-largest:N, tail:10%, last:N, or a file.",
    ),
]
CacheDirOption = Annotated[
    Path | None,
    option(
        "--cache-dir",
        panel=TEXT,
        metavar="FOLDER",
        help="Where token streams are cached. [env: CVFP_CACHE_DIR]",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda or mps.",
        autocompletion=_devices,
        rich_help_panel=MACHINE,
        show_default=True,
    ),
]
PrecisionOption = Annotated[
    str | None,
    option(
        "--precision",
        panel=MACHINE,
        metavar="NAME",
        help="float32, tf32 or bf16. [default: bf16 on cuda, else float32]",
        complete=_precisions,
    ),
]
StateDtypeOption = Annotated[
    str | None,
    option(
        "--state-dtype",
        panel=MACHINE,
        metavar="NAME",
        help="Training contexts in float32 or bf16. [default: float32]",
    ),
]
MemoryOption = Annotated[
    str | None,
    option(
        "--memory", panel=MACHINE, metavar="SIZE", help="Bound for the pieces of a batch. [default: 2GiB]"
    ),
]
ThreadsOption = Annotated[
    int | None,
    option("--threads", panel=MACHINE, metavar="N", help="CPU threads. [default: torch's own choice]"),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Results folder; it holds one study.",
        rich_help_panel=OUTPUT,
        show_default=True,
    ),
]
FreshOption = Annotated[
    bool, option("--fresh", panel=OUTPUT, help="Delete what the folder holds of this study and start over.")
]
DryRunOption = Annotated[
    bool, option("--dry-run", panel=OUTPUT, help="Show size, memory, time and what is done; train nothing.")
]
RecoverOption = Annotated[
    bool, option("--recover", panel=OUTPUT, help="Keep what a damaged results file still tells.")
]
TensorboardOption = Annotated[
    Path | None,
    option(
        "--tensorboard",
        panel=OUTPUT,
        metavar="DIR",
        help="Also write curves for TensorBoard (extra 'tensorboard').",
    ),
]
QuietOption = Annotated[
    bool, option("--quiet", "-q", panel=OUTPUT, help="No progress; errors are still shown.")
]

MOST_VALUES = 1000
_PART = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?", re.ASCII)
_BYTES = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?((?:[KMGT]i?)?B?)", re.ASCII | re.IGNORECASE)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_FACTORS = {"ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


def integers(texts: Sequence[str] | None, option: str, *, least: int = 1) -> tuple[int, ...] | None:
    """Read ``1-3``, ``50,100,200``, a mixture, or the option repeated; ``None`` when it was not given.

    The order is kept and a value given twice counts once.

    Raises:
        InputError: not a list of integers, a range that runs downwards, a value below ``least``, or more
            than 1,000 values.
    """
    if not texts:
        return None
    values: dict[int, None] = {}
    for part in (piece.strip() for text in texts for piece in text.split(",")):
        matched = _PART.fullmatch(part)
        if matched is None:
            shown = part if part.isprintable() and len(part) <= 40 else ascii(part)[:40]
            raise InputError(
                f"{option}: '{shown}' is neither a whole number nor a range.",
                hint="Write 3, 1-3 or 50,100,200.",
            )
        first = int(matched[1])
        last = first if matched[2] is None else int(matched[2])
        if last < first:
            raise InputError(f"{option}: the range {part} runs downwards.", hint=f"Write {last}-{first}.")
        if first < least:
            raise InputError(f"{option}: {first} is too small; the least is {least}.")
        if last - first < MOST_VALUES:
            values.update(dict.fromkeys(range(first, last + 1)))
        if last - first >= MOST_VALUES or len(values) > MOST_VALUES:
            raise InputError(f"{option}: more than {MOST_VALUES} values.", hint="Give fewer.")
    return tuple(values)


def byte_count(text: str, option: str) -> int:
    """Read ``2GB``, ``512MiB`` or ``1.5G``: GB is 1000³ bytes, GiB is 1024³.

    Raises:
        InputError: not a size, or less than 1 MB.
    """
    matched = _BYTES.fullmatch(text.strip())
    if matched is None:
        raise InputError(f"{option}: '{ascii(text)[1:-1][:40]}' is not a size.", hint="Write 2GB or 512MiB.")
    unit = matched[2].lower().removesuffix("b")
    size = int(float(matched[1]) * (_BINARY_FACTORS.get(unit) or _FACTORS[unit]))
    if size < 1_000_000:
        raise InputError(f"{option}: {matched[0]} is less than 1 MB.", hint="Write 2GB or 512MiB.")
    return size


def one_of(value: str, choices: Sequence[str], option: str) -> str:
    """``value`` if it is one of ``choices``; otherwise an error that names the nearest.

    Raises:
        InputError: it is not.
    """
    if value in choices:
        return value
    near = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
    advice = f"Did you mean {near[0]}?" if near else f"There are {', '.join(choices)}."
    raise InputError(f"{option}: no '{ascii(value)[1:-1][:40]}'.", hint=advice)


def assignments(texts: Sequence[str] | None) -> dict[str, str]:
    """Read ``--set table.key=value``; a key set twice takes the last value. Values stay text here.

    Raises:
        InputError: no ``=``, or no ``table.key`` before it.
    """
    values: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.-]+", key.strip()):
            raise InputError(
                f"--set: '{ascii(text)[1:-1][:60]}' is not table.key=value.",
                hint="Write --set phase2.epochs=5.",
            )
        values[key.strip()] = value.strip()
    return values
