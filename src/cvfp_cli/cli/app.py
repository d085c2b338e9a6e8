"""The Typer app, and the one place where an error becomes a message and an exit code."""

import sys

import typer

from cvfp_cli.errors import CvfpError

app = typer.Typer(name="cvfp", rich_markup_mode=None, no_args_is_help=True, add_completion=True)


def main() -> None:
    """Run the command line; ``CvfpError`` becomes one line on stderr and its exit code."""
    try:
        app()
    except CvfpError as error:
        print(f"cvfp: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
