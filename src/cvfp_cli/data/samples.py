"""From one row of a data set to a sample's text."""

from collections.abc import Mapping

from cvfp_cli.data.config import DataConfig
from cvfp_cli.errors import InputError, one_line
from cvfp_cli.notes import Note

_MOST_NAMES = 20  # columns named in one message
_DIALOGUES = ("messages", "conversations")
_ALPACA = ("instruction", "input", "output")
_CALLS = ("tool_calls", "function_call")  # what stands in a message that has no text
_WITHOUT_TEXT = ("tool_use", "tool_call", "tool_result")  # parts of a message, likewise


class Skipped:
    """Empty samples that were left out while reading, of each place that was read."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def record(self, place: str, count: int, first: str) -> None:
        """Keep what one reading of a place left out; of several from its beginning, the longest counts."""
        if count > self.count(place):
            self._found[place] = (count, first)

    def count(self, place: str) -> int:
        """How many of a place were left out."""
        return self._found.get(place, (0, ""))[0]

    def first(self, place: str) -> str:
        """Where the first of them stands; nothing where there is none."""
        return self._found.get(place, (0, ""))[1]

    def notes(self) -> tuple[Note, ...]:
        """A note for every place that had any."""
        return tuple(
            Note(
                "empty-samples",
                f"{place}: 1 empty sample is skipped ({first})."
                if count == 1
                else f"{place}: {count} empty samples are skipped (the first is {first}).",
                values={"count": count, "place": place, "first": first},
            )
            for place, (count, first) in self._found.items()
        )


def sample_text(row: object, config: DataConfig, where: str) -> str:
    """The text of one row; nothing where it is empty or null, unless ``config.empty`` refuses that.

    A row is a string, or a mapping with a dialogue, a text column, or an instruction with its output.

    Args:
        row: what the reader found.
        config: ``text_field`` names the column; empty means, in this order, ``messages``, ``conversations``,
            ``text``, ``instruction`` with ``input`` and ``output``, or the only column of text.
        where: file and line, or data set and row, for the error.

    Raises:
        InputError: the row has no such text, or holds half of a character, or is empty and may not be.
    """
    value = row if row is None or isinstance(row, str) else _column(row, config.text_field, where)
    if value is None:
        text = ""
    else:
        text = value if isinstance(value, str) else _chat_text(value, config.messages, where)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: half of a character ({text[error.start]!a}, an unpaired surrogate).",
            hint="Mend the sample, or remove it.",
        ) from error
    if text.strip():
        return text
    if config.empty == "refuse":
        raise InputError(f"{where}: the sample is empty.", hint="Remove it, or use --empty skip.")
    return ""


def _column(row: object, field: str, where: str) -> object:
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: expected a string or an object, found {_kind(row)}.")
    if field:
        if field not in row:
            raise InputError(
                f"{where}: no column '{field}'; there are {_names(row)}.", hint="See --text-field."
            )
        return row[field]
    dialogues = [row[name] for name in _DIALOGUES if name in row]
    for dialogue in dialogues:
        if dialogue is not None:
            return dialogue
    if "text" in row and isinstance(row["text"], str | None):
        return row["text"]
    if dialogues:
        return None
    if "instruction" in row and "output" in row:
        parts = [row.get(name) for name in _ALPACA]
        if all(isinstance(part, str | None) for part in parts):
            return "\n".join(part for part in parts if part and part.strip())
    columns = [name for name, value in row.items() if isinstance(value, str)]
    if not columns and None in row.values():
        return None
    if len(columns) != 1:
        found = "no column of text" if not columns else f"{len(columns)} columns of text"
        raise InputError(
            f"{where}: {found} among {_names(row)}.", hint="Name the one to read with --text-field."
        )
    return row[columns[0]]


def _chat_text(value: object, messages: str, where: str) -> str:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected text or a list of messages, found {_kind(value)}.")
    contents = []
    for number, message in enumerate(value[:1] if messages == "first" else value, start=1):
        contents += _message_text(message, f"{where}: message {number}")
    return "\n".join(contents)


def _message_text(message: object, where: str) -> list[str]:
    """What one message says: nothing where it only calls a tool.

    Raises:
        InputError: it has no text and calls none.
    """
    if isinstance(message, Mapping):
        content = message.get("content", message.get("value"))
        if isinstance(content, str):
            return [content]
        if content is None and any(message.get(call) for call in _CALLS):
            return []
        if isinstance(content, list):
            return ["".join(_part_text(part, where) for part in content)]
    raise InputError(f"{where} has no text in 'content'.")


def _part_text(part: object, where: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            return str(part["text"])
        if part.get("type") in _WITHOUT_TEXT:
            return ""
    raise InputError(f"{where} has a part that is no text.", hint="Only text can be trained on.")


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _names(row: Mapping[object, object]) -> str:
    shown = [one_line(str(name), 80) for name in row]
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return (", ".join(shown[:_MOST_NAMES]) or "none") + more
