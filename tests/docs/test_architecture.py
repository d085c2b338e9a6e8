"""The map of the code names what is there, and all that is there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "cvfp_cli"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# A path in the map: it holds a slash, or ends as a module's name does.
PATH = re.compile(r"`([\w.-]+\.py|[\w.-]*/[\w./-]*)`")
# One thing of the map: a heading, a row, an item or a paragraph.
BLOCKS = re.compile(r"\n(?=#|\||- |\d+\. |\n)")


def named(page: str) -> Iterator[tuple[str, Path | None]]:
    """Every path that the page names, and the place in the tree that it means, if there is one.

    A name without a folder lies in the room of its heading, or beside a path that the same item names.
    """
    room: list[Path] = []
    for block in BLOCKS.split(re.sub(r"```.*?```", "", page, flags=re.DOTALL)):
        names = PATH.findall(block)
        if block.lstrip().startswith("## "):
            room = [PACKAGE / name for name in names]
        folders = [*room, PACKAGE, ROOT]
        for name in names:
            places = [folder / name for folder in folders if (folder / name).exists()]
            place = places[0] if places else None
            yield name, place
            if place:
                folders.append(place if place.is_dir() else place.parent)


def test_every_path_of_the_map_is_in_the_tree():
    assert [name for name, place in named(PAGE) if place is None] == []


def test_a_name_that_is_gone_is_found():
    page = (
        "## Laws (`scaling/`)\n\n1. `fits.py`, `gone.py`\n| row | `data/files.py`, `samples.py`, `gone/` |\n"
    )
    assert [name for name, place in named(page) if place is None] == ["gone.py", "gone/"]


def test_every_module_has_its_place_in_the_map():
    """A folder within a room stands for its modules; a whole room does not."""
    places = {place for _, place in named(PAGE) if place}
    rooms = {PACKAGE, *(folder for folder in PACKAGE.iterdir() if folder.is_dir())}
    missing = [
        module.relative_to(PACKAGE).as_posix()
        for module in sorted(PACKAGE.rglob("*.py"))
        if module.name not in ("__init__.py", "__main__.py")
        and module not in places
        and not any(folder in places - rooms for folder in module.parents if PACKAGE in folder.parents)
    ]
    assert missing == []
