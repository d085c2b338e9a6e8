"""A command's dataclass parameters become options, and come back filled in."""

import inspect
from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

import pytest
import typer

from cvfp_cli.cli import app as door
from cvfp_cli.cli.spread import spread


@dataclass(frozen=True)
class Pair:
    first: Annotated[int, typer.Option("--first")] = 1
    second: Annotated[str, typer.Option("--second")] = "b"


def command(pair: Pair, more: Annotated[int, typer.Option("--more")] = 3) -> tuple[Pair, int]:
    """What the command does."""
    return pair, more


def test_the_signature_has_the_fields_in_the_dataclass_s_place() -> None:
    seen = spread(command)
    parameters = inspect.signature(seen).parameters
    assert [(name, parameter.default) for name, parameter in parameters.items()] == [
        ("first", 1),
        ("second", "b"),
        ("more", 3),
    ]
    assert get_type_hints(seen) == {"first": int, "second": str, "more": int}
    assert seen.__doc__ == command.__doc__


def test_the_command_receives_its_dataclass() -> None:
    assert spread(command)(first=5, second="c", more=7) == (Pair(5, "c"), 7)


def test_what_acts_by_itself_is_not_passed_on() -> None:
    alone = Parameter("alone", Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    seen = spread(command, alone)
    assert list(inspect.signature(seen).parameters)[-1] == "alone"
    assert seen(first=1, second="b", more=3, alone=True) == (Pair(), 3)


@pytest.mark.parametrize("name", door.PAGES)
def test_no_two_fields_of_a_command_share_a_name_and_all_reach_it(name: str) -> None:
    made: Any = typer.main.get_command(door.app)
    for word in name.split():
        made = made.get_command(None, word)
    names = [param.name for param in made.params]
    options = [option for param in made.params for option in param.opts]
    assert len(names) == len(set(names))
    assert len(options) == len(set(options))
