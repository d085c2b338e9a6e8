"""What is wrong with a command line, told in one go."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cvfp_cli.cli.options import one_of
from cvfp_cli.errors import CvfpError


class Problems:
    """Collects what is wrong, so that it is told in one go."""

    def __init__(self) -> None:
        self.found: list[CvfpError] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Run a block; an error of the user's becomes one of the problems."""
        try:
            yield
        except CvfpError as problem:
            self.found.append(problem)

    def check_words(self, *asked: tuple[str, str | None, Sequence[str]]) -> None:
        """Check options that take one of some words: each one's name, its value if it was given, and the words."""
        for option, value, words in asked:
            with self.collect():
                if value is not None:
                    one_of(value, words, option)

    def raise_found(self) -> None:
        """Raise what was found, a line each.

        Raises:
            CvfpError: with the exit code of the first problem.
        """
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise type(self.found[0])("\n".join(str(problem) for problem in self.found))
