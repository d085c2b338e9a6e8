"""The Typer app, and the one place where an error becomes a message and an exit code."""


def main() -> None:
    raise SystemExit(2)
