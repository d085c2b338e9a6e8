"""The Typer app, and the one place where an error becomes a message and an exit code.

Commands are loaded when they are asked for, so that ``cvfp --help``, ``--version`` and shell completion
answer at once.
"""

import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Any

import typer

from cvfp_cli import __version__
from cvfp_cli.cli.help import HELP_ALL, PlainCommand, PlainGroup
from cvfp_cli.cli.spread import spread
from cvfp_cli.cli.terminal import say
from cvfp_cli.errors import CvfpError

COMMANDS = {
    "train": "Train one experiment and show its figures.",
    "sweep": "Train every experiment of a grid, and sum them up.",
    "fit": "Fit scaling laws to results, with honest intervals.",
    "compare": "Compare configurations, pair by pair.",
    "report": "Write a report on a study, in English or Japanese.",
    "plan": "Say what to run next, so that an interval shrinks most for what it costs.",
    "evaluate": "Evaluate a trained model on other text.",
    "generate": "Generate text with a trained model.",
    "export": "Write a trained model as a folder that Transformers load.",
    "data": "Keep the text that a study reads: cvfp data export.",
}
"""The first word after ``cvfp``, and the first sentence of its help."""

GROUPS = {
    "data": {
        "export": "Write the samples of any source as JSON lines.",
    },
}
"""Words that take another one behind them."""

PAGES = tuple(
    f"{name} {inner}" if inner else name for name in COMMANDS for inner in GROUPS.get(name, {"": ""})
)
"""Every command as it is typed after ``cvfp``. Its module in ``cvfp_cli.cli`` is called so, with ``_`` between words."""

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's own error for a wrong command line; its home differs between versions of Typer."""


class CommandGroup(PlainGroup):
    """The subcommands, each imported when it is needed."""

    one_liners = COMMANDS
    group = ""

    def list_commands(self, ctx: Any) -> list[str]:
        """All subcommands, in the order of daily use."""
        return list(self.one_liners)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command's module and make its function of that name a command."""
        if cmd_name not in self.one_liners:
            return None
        if cmd_name in GROUPS:
            return typer.main.get_command(data_app)
        module = importlib.import_module(f"cvfp_cli.cli.{self.group}{cmd_name}")
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(cmd_name, cls=PlainCommand)(spread(getattr(module, cmd_name), HELP_ALL))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer does, but answer an unknown word with the nearest command."""
        word = args[0]
        if word not in self.one_liners and not word.startswith("-") and not ctx.resilient_parsing:
            from cvfp_cli.cli.guesses import command_for

            right = command_for(word, PAGES if self.one_liners is COMMANDS else self.one_liners)
            elsewhere = right in PAGES or right.split(" ")[0] in COMMANDS
            path = "cvfp" if elsewhere and right not in self.one_liners else ctx.command_path
            advice = (
                f"Did you mean '{path} {right}'?" if right else f"There are {', '.join(self.one_liners)}."
            )
            raise UsageError(f"no command '{word}'. {advice}")
        return super().resolve_command(ctx, args)


class DataGroup(CommandGroup):
    """What stands behind ``cvfp data``."""

    one_liners = GROUPS["data"]
    group = "data_"


app = typer.Typer(
    name="cvfp",
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cvfp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def cvfp(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Train context-vector fixed-point language models, sweep them, fit scaling laws, report.

    \b
    cvfp sweep --recipe demo --out first   a small study on text that is here
    cvfp fit first                         its scaling laws
    cvfp report first > report.md          its report
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


data_app = typer.Typer(
    name="data", cls=DataGroup, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
)


@data_app.callback(invoke_without_command=True)
def data(ctx: typer.Context) -> None:
    """Keep the text that a study reads: cvfp data export.

    \b
    cvfp data export pydocs pydocs.jsonl   the demo's text, with its versions
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def _complain(text: str) -> None:
    """Print one line a problem on stderr; ``--quiet`` does not reach it."""
    for line in text.split("\n"):
        say(f"cvfp: {' '.join(line.split())}")


def _invoke(arguments: list[str]) -> Any:
    # Not app(...), which would put Typer's own hook for uncaught exceptions in the place of ours.
    return typer.main.get_command(app).main(args=arguments, prog_name="cvfp", standalone_mode=False)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 wrong input, 130 interrupted.

    Whatever is no error of the user's or the system's is a bug and passes through.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without α shows ? and no traceback
    if not debug and not sys.warnoptions:
        # What libraries warn their programmers of; what concerns the user comes as a note of our own.
        warnings.simplefilter("ignore")
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # The reader of our pipe has gone (`cvfp report | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except (CvfpError, UsageError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, CvfpError):
            _complain(str(error))
            return error.exit_code
        if isinstance(error, UsageError):
            from cvfp_cli.cli.guesses import usage_message

            _complain(usage_message(error))
            return 2
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            _complain(f"{where}{error.strerror or error}")
        else:
            _complain("out of memory.")
        return 1


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an exception that nobody should ever see, as the bug it is; Python then exits with 1."""
    if "--debug" in sys.argv:
        sys.__excepthook__(kind, error, trace)
    more = "" if "--debug" in sys.argv else " Run it again with --debug for the traceback."
    _complain(f"bug in cvfp: {kind.__name__}: {error}.{more}")


def main() -> None:
    """The console script ``cvfp``."""
    sys.excepthook = show_bug
    raise SystemExit(run(sys.argv[1:]))
