"""The laws of one variable, and those of model and data size; simpler ones first."""

from importlib import import_module
from typing import Any

from cvfp_cli.errors import InputError
from cvfp_cli.laws import names
from cvfp_cli.laws.base import Law
from cvfp_cli.laws.surface import Surface


def _built_in(name: str) -> Any:
    return import_module(f"cvfp_cli.laws.{name.replace('-', '_')}").LAW


LAWS: dict[str, Law] = {name: _built_in(name) for name in names.SINGLE}
SURFACES: dict[str, Surface] = {name: _built_in(name) for name in names.JOINTS}


def register(law: Law) -> None:
    """Add one more law to all commands.

    Raises:
        ValueError: there is a law of that name.
    """
    if law.name in LAWS or law.name in SURFACES:
        raise ValueError(f"there is a law {law.name} already")
    LAWS[law.name] = law
    names.add(law.name)


def unregister(name: str) -> None:
    """Take back what ``register`` added."""
    del LAWS[name]
    names.remove(name)


def get_law(name: str) -> Law:
    """The law of that name.

    Raises:
        InputError: no such law; the message names them all.
    """
    if name not in LAWS:
        raise InputError(f"There is no law {name!r}.", hint=f"The laws are {', '.join((*LAWS, *SURFACES))}.")
    return LAWS[name]
