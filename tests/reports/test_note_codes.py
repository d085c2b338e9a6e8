"""Every note has a known code, and every one that a report shows its sentence in every language."""

import ast
import re
from pathlib import Path

import pytest
from report_cases import LANGUAGES

import cvfp_cli
from cvfp_cli.notes import CODES, DATA, FIT, JOINT_LAW, Note, told
from cvfp_cli.reports.text import load_language

LISTED = frozenset().union(*CODES.values())


def words(node: ast.expr, names: dict[str, str]) -> set[str]:
    """The codes that an expression can be: a literal, a constant of the module, or a text with a part filled in."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.Name) and node.id in names:
        return {names[node.id]}
    if isinstance(node, ast.IfExp):
        return words(node.body, names) | words(node.orelse, names)
    if isinstance(node, ast.JoinedStr):
        pattern = "".join(
            re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in node.values
        )
        found = {code for code in LISTED if re.fullmatch(pattern, code)}
        assert found, f"no listed code looks like {ast.unparse(node)}"
        return found
    if ast.unparse(node).endswith(
        "code"
    ):  # a note made anew from another one, or by a function that is given it
        return set()
    raise AssertionError(f"what codes is {ast.unparse(node)}? Teach this test.")


def codes(path: Path) -> set[str]:
    """Every code in the calls ``Note(...)`` and ``_note(...)`` of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("Note", "_note"):
            given = [*node.args[:1], *(key.value for key in node.keywords if key.arg == "code")]
            if given:
                found |= words(given[0], names)
    return found


def every_code() -> set[str]:
    return set().union(*(codes(path) for path in Path(cvfp_cli.__file__).parent.rglob("*.py")))


def test_every_code_in_the_source_is_listed_and_every_listed_one_is_there() -> None:
    assert {
        "rising",
        "limit-power",
        "no-aicc",
        "cache-damaged",
        "stale-lock",
        "joint-unbounded",
    } <= every_code()
    assert every_code() == LISTED


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_that_a_report_shows_has_its_sentence(language: str) -> None:
    sentences = load_language(language).findings
    wanted = {f"fit-{code}" for code in CODES[FIT] | CODES[DATA]} | {
        f"joint-fit-{code}" for code in CODES[JOINT_LAW]
    }
    there = {code for code in sentences if re.match(r"(joint-)?fit-", code)}
    assert there - {"fit-warning"} == wanted


def test_where_a_note_is_told() -> None:
    assert told(Note("no-freedom", "")) == {FIT, JOINT_LAW}
    assert told(Note("of-another-package", "")) == frozenset()
