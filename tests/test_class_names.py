"""No two public classes of the package share a name: a word means one thing."""

import ast
from pathlib import Path

import cvfp_cli

PACKAGE = Path(cvfp_cli.__file__).parent


def public_classes() -> dict[str, list[str]]:
    """The modules of every class without a leading underscore, by its name."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    return found


def test_a_public_class_is_alone_with_its_name() -> None:
    found = public_classes()
    assert {"Run", "Points", "Fit", "Finding"} <= found.keys()
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
