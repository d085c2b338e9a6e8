"""No law is named outside its room: the others ask the law, or use the constants of ``laws.names``."""

import ast
from pathlib import Path

from cvfp_cli.laws import names

SOURCE = Path(__file__).parents[2] / "src" / "cvfp_cli"
# The laws themselves, and the sentences that are written about each.
OWN = ("laws", "reports/text")
# A recipe's table that bears a law's name, and where it is named.
TABLES = {
    "learners/end_to_end.py": {names.JOINT},
    "recipes/paths.py": {names.JOINT},
    "study/arms.py": {names.JOINT},
}


def test_no_string_is_a_laws_name() -> None:
    known = {*names.SINGLE, names.JOINT}
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        if place.startswith(tuple(f"{room}/" for room in OWN)):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            f"{place}:{node.lineno} {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in known - TABLES.get(place, set())
        ]
    assert found == []
