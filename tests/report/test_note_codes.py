"""Every note that a fit can carry into a report has its sentence in every language."""

import ast
from pathlib import Path

import pytest
from report_cases import LANGUAGES

import cvfp_cli
from cvfp_cli.report.sections.laws import JOINT_WARNINGS, KNOWN_WARNINGS, POOL_DIFFERS
from cvfp_cli.report.text import load_language

# Notes that no report shows: on tables that it does not read, on what `cvfp fit` chose to fit, and on --share, which
# a report has not.
TABLES = {
    "best-of",
    "recovered",
    "rows-left-out",
    "rows-repeated",
    "runs-diverged",
    "runs-left-out",
    "samples-unused",
    "studies-pooled",
    "y-unit",
}
CHOICES = {
    "group-left-out",
    "joint-group-left-out",
    "joint-left-out",
    "joint-unanswered",
    "not-ranked",
    "not-shared",
    "nothing-pooled",
    "model-sizes-unused",
    "window-too-wide",
}
SHARED = {"shared-fit", "common-errors", "common-errors-unknown"}


def words(node: ast.expr, names: dict[str, str]) -> set[str]:
    """The codes that an expression can be: a literal, a constant of the module, or a text with a part filled in."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.Name) and node.id in names:
        return {names[node.id]}
    if isinstance(node, ast.IfExp):
        return words(node.body, names) | words(node.orelse, names)
    if isinstance(node, ast.JoinedStr) and ast.unparse(node) == "f'limit-{simple}'":
        return {"limit-power", "limit-saturating"}
    if isinstance(node, ast.JoinedStr) and ast.unparse(node) == "f'joint-{reason}'":
        return {code for code in JOINT_WARNINGS if code not in ("limit-joint", "no-freedom")}
    if ast.unparse(node).endswith(".code"):  # a note made anew from another one
        return set()
    raise AssertionError(f"what codes is {ast.unparse(node)}? Teach this test.")


def codes(path: Path) -> set[str]:
    """Every code in the calls ``Note(...)`` of a module."""
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
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Note":
            given = [*node.args[:1], *(key.value for key in node.keywords if key.arg == "code")]
            found |= words(given[0], names)
    return found


def every_code() -> set[str]:
    package = Path(cvfp_cli.__file__).parent
    rooms = ("laws", "scaling", "stats", "study")
    return set().union(*(codes(path) for room in rooms for path in (package / room).rglob("*.py")))


def test_codes_are_found_in_the_source() -> None:
    assert {"rising", "flat", "limit-steepest", "limit-power", "no-aicc", "limit-joint"} <= every_code()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_of_a_fit_has_its_sentence(language: str) -> None:
    wanted = every_code() - TABLES - CHOICES - SHARED
    wanted.discard(POOL_DIFFERS)  # said by the sentences of the test of a pool
    unknown = sorted(wanted - set(KNOWN_WARNINGS) - set(JOINT_WARNINGS))
    assert not unknown, f"report/sections/laws.py, KNOWN_WARNINGS, lacks {', '.join(unknown)}"
    sentences = load_language(language).findings
    missing = sorted(
        f"{prefix}-{code}"
        for prefix, known in (("fit", KNOWN_WARNINGS), ("joint-fit", JOINT_WARNINGS))
        for code in wanted & set(known)
        if f"{prefix}-{code}" not in sentences
    )
    assert not missing, f"report/text/{language}/judgements.py lacks {', '.join(missing)}"


def test_no_code_is_listed_that_no_fit_has() -> None:
    assert set(KNOWN_WARNINGS) <= every_code()
    assert every_code() >= TABLES | CHOICES | SHARED
