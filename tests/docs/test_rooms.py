"""The tests stand in the rooms of what they test."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE, TESTS = ROOT / "src" / "cvfp_cli", ROOT / "tests"
# Folders of tests that belong to no room.
ELSEWHERE = {"benchmarks", "docs", "end_to_end", "golden"}


def folders(of: Path) -> set[str]:
    """Names of the folders in a folder that hold code; those of a room that is gone may keep Python's caches."""
    return {place.name for place in of.iterdir() if any(place.rglob("*.py"))}


def misplaced(tests: Iterable[tuple[str, str]], modules: Iterable[tuple[str, str]]) -> list[str]:
    """Of tests, by folder and name, those named after modules of which none is in that room."""
    of: dict[str, set[str]] = {}
    for room, name in modules:
        of.setdefault(name, set()).add(room)
    return [f"{room}/test_{name}.py" for room, name in tests if room not in of.get(name, {room})]


def test_every_room_has_its_tests_and_every_folder_of_tests_its_room() -> None:
    assert folders(TESTS) - ELSEWHERE == folders(PACKAGE)
    assert [room for room in sorted(folders(PACKAGE)) if not any((TESTS / room).glob("test_*.py"))] == []


def test_what_is_named_after_a_module_is_in_its_room() -> None:
    tests = [
        (path.parent.relative_to(TESTS).as_posix(), path.stem.removeprefix("test_"))
        for path in TESTS.rglob("test_*.py")
        if path.parent.name not in ELSEWHERE
    ]
    modules = [
        (path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else ".", path.stem)
        for path in PACKAGE.rglob("*.py")
    ]
    assert {("data", "files"), (".", "layout")} <= {*tests} & {*modules}
    assert misplaced(tests, modules) == []


def test_a_test_in_another_room_is_found() -> None:
    modules = [("data", "files"), ("data", "tables"), ("study", "tables")]
    tests = [("data", "files"), ("study", "tables"), ("scaling", "tables"), ("scaling", "published")]
    assert misplaced(tests, modules) == ["scaling/test_tables.py"]
