"""The map of the code names what is there, and all that is there."""

import re
import tomllib
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


def test_the_arrows_drawn_are_the_arrows_held() -> None:
    """The diagram of rooms has import-linter's layers, and together with the table all rooms there are."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    held = [[name.strip().removeprefix("cvfp_cli.") for name in layer.split("|")] for layer in layers]
    blocks = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
    drawn = [[[name.strip() for name in line.split("│")] for line in block.splitlines()] for block in blocks]
    assert held in drawn
    rooms = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert set(re.findall(r"^\| `(\w+)/` \|", PAGE, flags=re.MULTILINE)) == rooms
    assert rooms <= {name for layer in held for name in layer}


def test_the_stations_of_a_figure_are_dataclasses_of_their_rooms() -> None:
    stations = re.search(r"```text\n (Recipe.*)\n (recipes/.*)\n", PAGE)
    assert stations is not None
    names, rooms = re.findall(r"\w+", stations[1]), re.findall(r"(\w+)/", stations[2])
    missing = [
        (name, room)
        for name, room in zip(names, rooms, strict=True)
        if not any(
            re.search(rf"@dataclass\(frozen=True.*\)\nclass {name}\b", module.read_text(encoding="utf-8"))
            for module in (PACKAGE / room).glob("*.py")
        )
    ]
    assert missing == []
