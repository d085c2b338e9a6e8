"""What every reader of CSV and TSV decides alike: the separator, whether a row fits its header, what is an index.

Tables of figures (``scaling``) and files of text (``data``) read rows in their own ways, and agree here.
"""

import re
from collections import Counter
from collections.abc import Sequence

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError, one_line

SEPARATORS = (",", "\t", ";", "|")

_QUOTED = re.compile(r'"[^"]*"')
# What pandas and pyarrow call an index that was written as a column.
_INDEX = re.compile(r"Unnamed: 0(\.\d+)?|__index_level_\d+__")


def separator_of(header: str, usual: str = ",") -> str:
    """The separator that stands most often in a header line, outside quotes; ``usual`` where there is none."""
    line = _QUOTED.sub("", header)
    found = max(SEPARATORS, key=line.count)
    return found if found in line else usual


def is_index(name: str, place: int) -> bool:
    """Whether a column (``place`` counts from 0) is an index that pandas or pyarrow wrote beside the data."""
    return (place == 0 and not name) or _INDEX.fullmatch(name) is not None


def check_names(names: Sequence[str], where: str) -> None:
    """Check that no two columns have one name; columns without any are for the caller.

    Raises:
        InputError: two have.
    """
    for name, count in Counter(names).items():
        if name and count > 1:
            raise InputError(
                f"{where}: the header line needs a different name for every column; '{one_line(name, 80)}' stands "
                f"{count} times."
            )


def check_cells(cells: int, columns: int, where: str, separator: str) -> None:
    """Check that a row has as many cells as the header.

    Raises:
        InputError: it has more or fewer; ``where`` names the file and the line.
    """
    if cells == columns:
        return
    word = {"\t": "tabs", ";": "semicolons", ",": "commas"}.get(separator, f"'{separator}'")
    raise InputError(
        f"{where}: {counted(cells, 'cell')}, but the header has {columns}.",
        hint=f'Put "quotes" around cells that hold {word}.' if cells > columns else "",
    )
