"""The two errors a user sees as one line; every other exception is a bug and is shown as one."""

from typing import Any


class CvfpError(Exception):
    """Something the user can act on.

    Attributes:
        message: what is wrong and where (file, key, line), in one sentence.
        hint: what to do about it, in one sentence; empty when the message says it.
        exit_code: the process exit code this error becomes.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message} {hint}")
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it stands: an exception's own way calls its class again, which keyword-only arguments forbid."""
        return _unpickled, (type(self), self.args, vars(self))


def _unpickled(kind: "type[CvfpError]", args: tuple[Any, ...], state: dict[str, Any]) -> "CvfpError":
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


class InputError(CvfpError):
    """The command line, a recipe, or an input file is wrong (exit code 2)."""

    exit_code = 2


class WorkError(CvfpError):
    """The input was right but the work failed: full disk, out of memory, divergence (exit code 1)."""

    exit_code = 1


def one_line(text: str, most: int | None = None) -> str:
    """Text from elsewhere as a one-line message can hold it: escapes for what does not print, ``most`` characters."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:most]


def first_line(error: BaseException) -> str:
    """The first line of an error from a library, to stand inside one of ours."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


EXTRAS = {
    "plot": "matplotlib",
    "ray": "ray",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow-skinny",
    "trackio": "trackio",
}
"""What people install for an option of their own, and the package that it brings."""


def missing_extra(option: str, extra: str) -> InputError:
    """An option's extra is not installed; how to add it, whichever way cvfp was installed."""
    return InputError(
        f"{option} needs the extra '{extra}', which is not installed.",
        hint=f"Install it with: pip install 'cvfp-cli[{extra}]', or, where pipx installed cvfp, "
        f"pipx inject cvfp-cli {EXTRAS[extra]}.",
    )
