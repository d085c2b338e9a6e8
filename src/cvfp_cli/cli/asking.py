"""Questions before work that may not be meant: asked on a terminal, and refused without one unless ``--yes`` is given."""

import sys
from dataclasses import dataclass

import typer

from cvfp_cli.cli.terminal import printable
from cvfp_cli.errors import InputError


@dataclass(frozen=True)
class Question:
    """What a command is about to do.

    Attributes:
        says: one sentence about it.
        instead: one sentence about what was perhaps meant; empty where there is none.
    """

    says: str
    instead: str = ""


def refuse_unattended(question: Question, *, yes: bool) -> None:
    """Refuse what needs an answer where nobody can give it, before any work is done.

    Raises:
        InputError: there is no terminal, and ``--yes`` was not given.
    """
    if not yes and not _somebody_is_there():
        hint = " ".join([*filter(None, [question.instead]), "If it is meant, add --yes."])
        raise InputError(question.says, hint=hint)


def ask(question: Question, *, yes: bool) -> None:
    """Go on with ``--yes`` or an answer of yes; anything else ends the command with everything as it was.

    Raises:
        InputError: as ``refuse_unattended``. typer.Exit: with code 1, the answer was no.
    """
    if yes:
        return
    refuse_unattended(question, yes=yes)
    lines = " ".join(filter(None, [question.says, question.instead]))
    print(f"{printable(lines)}\nGo on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        print("Nothing was changed.", file=sys.stderr, flush=True)
        raise typer.Exit(1)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
