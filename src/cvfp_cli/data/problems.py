"""Problems gathered while everything is checked, so that a user hears of all of them at once."""

from collections.abc import Callable
from typing import TypeVar

from cvfp_cli.data.hub import HubUnreachableError
from cvfp_cli.errors import InputError

Found = TypeVar("Found")


class TextProblems:
    """What was found wrong so far."""

    def __init__(self) -> None:
        self._found: list[InputError] = []

    def attempt(self, work: Callable[[], Found]) -> Found | None:
        """What ``work`` returns; None if it raises an InputError, which is kept for later."""
        try:
            return work()
        except InputError as error:
            self._found.append(error)
            return None

    def raise_any(self) -> None:
        """Raise what was found as one InputError; everything wanted from an unreachable hub is one problem."""
        unreachable = [error for error in self._found if isinstance(error, HubUnreachableError)]
        found = [error for error in self._found if error not in unreachable]
        if unreachable:
            wanted = [name for error in unreachable for name in error.wanted]
            found.insert(0, HubUnreachableError(wanted, unreachable[0].endpoint))
        if len(found) == 1:
            raise found[0]
        if found:
            raise InputError("\n- ".join([f"{len(found)} problems with the data:", *map(str, found)]))
