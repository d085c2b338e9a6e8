"""How ``--help`` is laid out: description, examples, then options in groups, in plain text.

``--help`` fits a screen of 80 by 50: what is rarely needed is named there, and explained by ``--help-all``.
"""

import shutil
import textwrap
from collections.abc import Iterable
from inspect import Parameter
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cvfp_cli.cli.options import MORE

WIDEST = 100
NAMES_WIDTH = 25
HELP_ROW = ("-h, --help", "Show this page and exit.")
BOTH_HELPS_ROW = ("-h, --help", "Show this page and exit; --help-all: every option.")
DEBUG_ROW = ("--debug", "On an error, show the traceback too.")


def help_width() -> int:
    """Columns of a help page: the terminal's, at most 100 and at least 60."""
    return max(60, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def rows_text(rows: Iterable[tuple[str, str]], width: int, names_width: int = NAMES_WIDTH) -> str:
    """Two columns: names on the left, wrapped text on the right, below the name where it is too long."""
    lines: list[str] = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, width - names_width, break_on_hyphens=False) or [""]
        left = f"  {name}"
        if len(left) > names_width - 2:
            lines.append(left)
            left = ""
        lines.append(f"{left:<{names_width}}{wrapped[0]}".rstrip())
        lines += [f"{'':<{names_width}}{line}" for line in wrapped[1:]]
    return "\n".join(lines)


def description_text(text: str, width: int) -> str:
    """Wrap the paragraphs of a docstring; those that start with a ``\\b`` line keep their lines."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    kept = []
    for paragraph in paragraphs:
        if paragraph.startswith("\b"):
            kept.append(paragraph.removeprefix("\b").strip("\n"))
        else:
            kept.append(textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False))
    return "\n\n".join(kept)


def _option_names(param: Any) -> str:
    """``--layers LIST`` for an option, its metavar for an argument."""
    metavar = param.metavar or param.name.upper()
    if param.param_type_name == "argument":
        return str(metavar)
    names = ", ".join([*param.opts, *param.secondary_opts])
    return names if param.is_flag else f"{names} {metavar}"


def _option_help(param: Any) -> str:
    text = param.help or ""
    shown = getattr(param, "show_default", False)
    default = param.default
    if isinstance(shown, str):
        text += f" [default: {shown}]"
    elif (
        shown
        and not getattr(param, "is_flag", False)
        and not callable(default)
        and default not in (None, "", [], ())
    ):
        text += f" [default: {default}]"
    envvar = getattr(param, "envvar", None)
    if envvar and getattr(param, "show_envvar", False):
        text += f" [env: {envvar}]"
    return text


def _usage_words(params: Iterable[Any]) -> list[str]:
    """``[OPTIONS] [RESULTS]...``: Typer before 0.29 leaves out that an argument may be repeated."""
    words = ["[OPTIONS]"]
    for param in params:
        if param.param_type_name == "argument":
            name = _option_names(param) if param.required else f"[{_option_names(param)}]"
            words.append(name + "..." * (param.nargs == -1))
    return words


class PlainCommand(TyperCommand):
    """A command whose help page shows arguments, then options by their ``rich_help_panel``.

    The layout does not depend on the version of Typer.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does; an error about an option's value knows its command, too."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page that fits a screen."""
        formatter.write(self.page(ctx))

    def page(self, ctx: Any, *, everything: bool = False) -> str:
        """The help page; with ``everything`` the rare options have their help, too."""
        width = help_width()
        arguments: list[tuple[str, str]] = []
        panels: dict[str, list[tuple[str, str]]] = {}
        rare: list[tuple[str, str]] = []
        rare_names: list[str] = []
        for param in self.get_params(ctx):
            row = (_option_names(param), _option_help(param))
            panel = getattr(param, "rich_help_panel", None)
            if param.param_type_name == "argument":
                arguments.append(row)
            elif panel == MORE:
                rare.append(row)
                rare_names.append(param.opts[0])
            elif panel:
                panels.setdefault(panel, []).append(row)
        # The last group takes them in, so that the page stays within one screen.
        panels[list(panels)[-1]].append(BOTH_HELPS_ROW)
        usage = " ".join([ctx.command_path, *_usage_words(self.get_params(ctx))])
        parts = [f"Usage: {usage}", description_text(self.help or "", width)]
        if arguments:
            parts.append("Arguments:\n" + rows_text(arguments, width))
        parts += [f"{panel}:\n{rows_text(rows, width)}" for panel, rows in panels.items()]
        if everything:
            parts.append(f"{MORE}:\n{rows_text([*rare, DEBUG_ROW], width)}")
        else:
            names = ", ".join([*rare_names, DEBUG_ROW[0]])
            parts.append(
                textwrap.fill(f"{MORE}: {names} (explained by --help-all).", width, break_on_hyphens=False)
            )
        return "\n\n".join(part for part in parts if part) + "\n"


def _show_everything(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        command: Any = ctx.command
        print(command.page(ctx, everything=True), end="")
        raise typer.Exit


HELP_ALL = Parameter(
    "help_all",
    Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--help-all", help="Show every option.", is_eager=True, callback=_show_everything)
    ],
)
"""The option as a parameter of every command."""


class PlainGroup(TyperGroup):
    """The top level's help page: what there is, one line a command, without loading any of them."""

    one_liners: dict[str, str] = {}  # noqa: RUF012  (replaced by the app, never changed)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole page."""
        width = help_width()
        rows = [
            (_option_names(param), _option_help(param))
            for param in self.get_params(ctx)
            if not getattr(param, "hidden", False) and "--help" not in param.opts
        ]
        rows += [DEBUG_ROW, HELP_ROW]
        parts = [
            f"Usage: {ctx.command_path} COMMAND [OPTIONS]...",
            description_text(self.help or "", width),
            "Commands:\n" + rows_text(self.one_liners.items(), width, 12),
            "Options:\n" + rows_text(rows, width),
            f"`{ctx.command_path} COMMAND --help` explains one command, with examples.",
        ]
        formatter.write("\n\n".join(parts) + "\n")
