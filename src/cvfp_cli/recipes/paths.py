"""A recipe's local files: relative to the recipe where it is read, absolute where a run records it."""

import os.path
from collections.abc import Callable, Mapping
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any

from cvfp_cli.data.files import SUFFIXES, existing

FIELDS = (
    ("data", "source"),
    ("data", "also"),
    ("validation", "source"),
    ("tokenizer", "name"),
    ("embedding", "name"),
    ("joint", "start_from"),
)
"""The keys that may hold a path; each may hold a word of its own or a name of the hub instead."""

_NO_FILE = "pydocs"
_ENDINGS = (*SUFFIXES, ".npy", ".safetensors")
_PATTERN = frozenset("*?[")
_PLACES = ("{samples}", "{seed}")


def read_beside(raw: dict[str, Any], folder: Path) -> None:
    """Make the paths of a recipe, as TOML gave it, relative to the working folder.

    Args:
        folder: where the recipe's file is.
    """
    _change(raw, lambda name: _beside(name, folder))


def made_absolute(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a recipe whose local files are named in a way that holds from any folder."""
    changed = {key: dict(value) if isinstance(value, dict) else value for key, value in tables.items()}
    _change(changed, _absolute)
    return changed


def of_run(tables: Mapping[str, Any], samples: int, seed: int) -> Mapping[str, Any]:
    """The tables of one run of a study, whose ``start_from`` may name another folder for each size and seed."""
    joint = tables.get("joint")
    if joint is None or not any(place in joint.start_from for place in _PLACES):
        return tables
    filled = joint.start_from.replace("{samples}", str(samples)).replace("{seed}", str(seed))
    return {**tables, "joint": replace(joint, start_from=filled)}


def _change(tables: dict[str, Any], change: Callable[[str], str]) -> None:
    for table, key in FIELDS:
        holder = tables.get(table)
        value = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(value, str) and value and not _is_special(value):
            tables[table][key] = change(value)
        elif isinstance(value, list):
            tables[table][key] = [change(item) if isinstance(item, str) else item for item in value]


def _is_special(name: str) -> bool:
    """What is no path whatever lies in the folder, or one that needs none."""
    return name.partition(":")[0] == _NO_FILE or name.startswith("~") or Path(name).is_absolute()


def _beside(name: str, folder: Path) -> str:
    beside = os.path.normpath(folder / name)
    return beside if _is_path(name, beside) else name


def _absolute(name: str) -> str:
    return os.path.normpath(Path(name).absolute()) if _is_path(name, name) else name


def _is_path(name: str, place: str) -> bool:
    """Whether there is something at a name's place, or it can be nothing else: then an error says where it looked."""
    return (
        name.startswith(("./", "../"))
        or name.lower().endswith(_ENDINGS)
        or any(place in name for place in _PLACES)
        or existing(place) is not None
        or (not _PATTERN.isdisjoint(name) and bool(glob(place)))  # noqa: PTH207  Path.glob takes no absolute one
    )
