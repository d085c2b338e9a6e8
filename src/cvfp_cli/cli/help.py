"""How ``--help`` is laid out: description, examples, then options in groups, in plain text."""

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDEST = 100
NAMES_WIDTH = 30
COMMON_PANEL = "Common"


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
    """A command whose help page shows arguments, then options by their ``rich_help_panel``."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole page; the layout does not depend on the version of Typer."""
        width = help_width()
        arguments: list[tuple[str, str]] = []
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if getattr(param, "hidden", False):
                continue
            row = (_option_names(param), _option_help(param))
            if param.param_type_name == "argument":
                arguments.append(row)
            elif "--help" in param.opts:
                panels.setdefault(COMMON_PANEL, []).append(("-h, --help", "Show this page and exit."))
            else:
                panels.setdefault(getattr(param, "rich_help_panel", None) or COMMON_PANEL, []).append(row)
        common = panels.pop(COMMON_PANEL, [])
        common.insert(-1, ("--debug", "On an error, show the traceback too."))
        # The last group takes them in, so that the page stays within one screen.
        panels.setdefault(list(panels)[-1] if panels else "Options", []).extend(common)
        usage = " ".join([ctx.command_path, *_usage_words(self.get_params(ctx))])
        parts = [f"Usage: {usage}", description_text(self.help or "", width)]
        if arguments:
            parts.append("Arguments:\n" + rows_text(arguments, width))
        parts += [f"{panel}:\n{rows_text(rows, width)}" for panel, rows in panels.items()]
        formatter.write("\n\n".join(part for part in parts if part) + "\n")


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
        rows += [
            ("--debug", "On an error, show the traceback too."),
            ("-h, --help", "Show this page and exit."),
        ]
        parts = [
            f"Usage: {ctx.command_path} COMMAND [OPTIONS]...",
            description_text(self.help or "", width),
            "Commands:\n" + rows_text(self.one_liners.items(), width, 12),
            "Options:\n" + rows_text(rows, width),
            f"`{ctx.command_path} COMMAND --help` explains one command, with examples.",
        ]
        formatter.write("\n\n".join(parts) + "\n")
