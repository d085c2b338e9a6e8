"""Whose a results folder is: what all runs of its study share, and what tells it from another study."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.results.codec import listed, to_json
from cvfp_cli.results.jsontext import read_json

STUDY_FILE = "study.json"
STUDY_SCHEMA = "cvfp-study/1"
SETS_ASIDE = "which sets aside what is there"
_READ = "what_was_read."
"""What identities call the hashes of the text: they say that something differs, the recipe's keys say what."""
_TEXT_TABLES = ("data.", "validation.", "tokenizer.", "embedding.")


class OtherStudyError(InputError):
    """The folder holds another study.

    Attributes:
        differing: each key of the identity that differs: its value there and its value here.
    """

    def __init__(self, folder: Path, differing: Mapping[str, tuple[Any, Any]], *, hint: str = "") -> None:
        told = [
            f"{key} is {_quoted(there)} there and {_quoted(here)} here"
            for key, (there, here) in differing.items()
        ]
        super().__init__(
            f"{folder} holds another study: {listed(told)}.",
            hint=hint or f"Use another --out, or start over with --fresh, {SETS_ASIDE}.",
        )
        self.folder = folder
        self.differing = dict(differing)


def read_identity(path: Path) -> dict[str, Any]:
    """Whose folder it is, by its study file."""
    value = read_json(path)
    identity = value.get("identity") if isinstance(value, dict) else None
    if not isinstance(identity, dict) or value.get("schema") != STUDY_SCHEMA:
        raise InputError(f"{path} is not a study file of cvfp.")
    return identity


def differing_keys(
    theirs: Mapping[str, Any],
    ours: Mapping[str, Any],
    added: Mapping[str, Callable[[], Any]],
    defaults: Mapping[str, Any],
) -> dict[str, tuple[Any, Any]]:
    """Every ``table.key`` that differs, with its value there and here; hashes of the text only where nothing else
    about it does.

    Args:
        added: finds what an older folder, whose identity lacks a key, says about it elsewhere; None where it does not.
        defaults: what a key is where a study does not say.
    """
    there, here = flat(theirs), flat(to_json(dict(ours)))
    for key, recorded in added.items():
        if key in here and key not in there:
            there[key] = recorded() or here[key]
    differing = {
        key: (there.get(key), here.get(key))
        for key in sorted({*there, *here})
        if not _same(key, there.get(key, defaults.get(key)), here.get(key, defaults.get(key)))
        and not (key in defaults and _only_one_has(key.partition(".")[0], theirs, ours))
    }
    if any(key.startswith(_TEXT_TABLES) for key in differing):
        differing = {key: values for key, values in differing.items() if not key.startswith(_READ)}
    return differing


def _only_one_has(table: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    return (table in theirs) != (table in ours)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted keys; lists stay values."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return found


def _same(key: str, there: Any, here: Any) -> bool:
    """Whether both values of a key mean the same study.

    One file has many paths, from other folders and on other machines; what it holds is told apart by fingerprints.
    """
    if there == here:
        return True
    names_a_file = key.endswith((".source", ".name")) and isinstance(there, str) and isinstance(here, str)
    return names_a_file and PurePath(there).name == PurePath(here).name != ""


def _quoted(value: Any) -> str:
    text = "missing" if value is None else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
