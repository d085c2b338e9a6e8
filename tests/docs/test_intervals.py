"""The page on intervals counts what its tables show."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "intervals.md").read_text(encoding="utf-8")
# A share in percent; the name of its figure, an interval and the share of none stand around it.
SHARE = re.compile(
    r"(?:^|, )(?:\w+(?: 10x| a| N)? )?(\*\*)?(\d+)(?:\*\*)?(?: \([^)]*\))?(?:, none \d+)?(?=,|$)"
)


def rows(header: str) -> list[list[str]]:
    """The cells of the table that begins with ``header``."""
    body = PAGE[PAGE.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def test_the_figures_that_pass_are_those_of_the_tables_that_are_not_bold() -> None:
    singles = [row[1] for row in rows("| cell | held |")]
    joints = [cell for row in rows("| models x data sizes | common | E |") for cell in row[2:]]
    figures = [bold for text in singles + joints for bold, _ in SHARE.findall(text)]
    told = re.search(r"(\d+) of (\d+) figures of both\s+tables pass", PAGE)
    assert told is not None
    assert [int(number) for number in told.groups()] == [figures.count(""), len(figures)]
