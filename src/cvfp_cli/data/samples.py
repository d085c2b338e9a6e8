"""From one row of a data set to a sample's text."""

from collections.abc import Mapping

from cvfp_cli.data.config import DataConfig
from cvfp_cli.errors import InputError

_MOST_NAMES = 20  # columns named in one message


def sample_text(row: object, config: DataConfig, where: str) -> str:
    """The text of one row.

    A row is a string, or a mapping with chat messages (a list of ``{"role", "content"}``, whose contents are joined by
    a newline) or a text column.

    Args:
        row: what the reader found.
        config: ``text_field`` names the column; empty means ``messages``, or the only column of text.
        where: file and line, or data set and row, for the error.

    Raises:
        InputError: the row has no such text, or the text is empty.
    """
    value = row if isinstance(row, str) else _column(row, config.text_field, where)
    text = value if isinstance(value, str) else _chat_text(value, config.messages, where)
    if not text.strip():
        raise InputError(f"{where}: the sample is empty.", hint="Remove it, or choose samples without it.")
    return text


def _column(row: object, field: str, where: str) -> object:
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: expected a string or an object, found {_kind(row)}.")
    if field:
        if field not in row:
            raise InputError(
                f"{where}: no column '{field}'; there are {_names(row)}.", hint="See --text-field."
            )
        return row[field]
    if "messages" in row:
        return row["messages"]
    columns = [name for name, value in row.items() if isinstance(value, str)]
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
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, str):
            raise InputError(f"{where}: message {number} has no text in 'content'.")
        contents.append(content)
    return "\n".join(contents)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _names(row: Mapping[object, object]) -> str:
    names = [str(name) for name in row]
    shown = [name if name.isprintable() and len(name) <= 80 else ascii(name)[1:-1][:80] for name in names]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(shown[:_MOST_NAMES]) or "none") + more
