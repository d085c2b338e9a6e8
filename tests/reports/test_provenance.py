"""Every number that a reader sees is in the report's data, and every finding is worded in both languages."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from report_cases import (
    ARCHITECTURES,
    CONTEXT_DIM,
    EFFECTIVE_RANK,
    LANGUAGES,
    MATRIX,
    SHALLOW_WIDE,
    data_numbers,
    full_summary,
    html,
    markdown,
    published,
    report,
    simulated,
    with_failures,
)

from cvfp_cli.markdown import escape
from cvfp_cli.reports.figures import drawn
from cvfp_cli.reports.html import clean
from cvfp_cli.reports.model import Chart, Report, to_json
from cvfp_cli.reports.text import load_language

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
FIXED = re.compile(
    r"P1|[Pp]hase [12]|フェーズ[12]|AICc|n = 1\b|n\^|\(1 [-+]|tokens?\^|10\^|[A-Za-z]\w*\d\w*|\d+[A-Za-z_]\w*"
)
"""Digits that are part of words and formulas: P1, phase 1, n = 1, × (1 + …), names such as 2L_768d_2tok."""


def shown_numbers(text: str) -> list[str]:
    """Numbers in prose, tables and boxes, without headings' own numbering and without names."""
    words = []
    for token in MarkdownIt("gfm-like").parse(text):
        if token.type == "inline":
            words.append("".join(child.content for child in token.children or []))
        elif token.type == "fence" and not token.info:
            words.append(token.content)
    prose = "\n".join(re.sub(r"^\d+\. ", "", line) for line in words)
    return NUMBER.findall(FIXED.sub(" ", prose))


def value_and_step(shown: str) -> tuple[float, float]:
    """What a printed number says, and half a unit of its last digit."""
    mantissa, _, exponent = shown.replace(",", "").partition("×10")
    power = int(exponent.translate(SUPERSCRIPTS)) if exponent else 0
    decimals = len(mantissa.partition(".")[2])
    return float(mantissa) * 10.0**power, 0.5000001 * 10.0 ** (power - decimals)


def is_in(shown: str, data: list[float]) -> bool:
    """Whether the data hold this number, or the one it abbreviates (percent, millions, GB, minutes, a fall)."""
    value, step = value_and_step(shown)
    scaled = (abs(number * scale) for number in data for scale in (1.0, 100.0, 1e-6, 1e-9, 1 / 60))
    return any(abs(number - abs(value)) <= step for number in scaled)


CASES = {
    "matrix": lambda: report(published(MATRIX), earlier=published(SHALLOW_WIDE), earlier_name="old.json"),
    "architectures": lambda: report(published(ARCHITECTURES)),
    "effective-rank": lambda: report(published(EFFECTIVE_RANK)),
    "december": lambda: report(published(CONTEXT_DIM), laws_fitted=("all",)),
    "november": lambda: report(published("2025-11-27-3l"), published("2025-11-28-v2")),
    "sweep": lambda: report(full_summary(with_failures(simulated(seeds=(0, 1, 2))))),
}


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> Report:
    return CASES[request.param]()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_in_the_text_is_in_the_data(made: Report, language: str) -> None:
    data = sorted(data_numbers(made))
    text = markdown(made, language)
    shown = shown_numbers(text)
    assert len(shown) > 50
    missing = [number for number in shown if not is_in(number, data)]
    assert missing == []


def test_the_check_notices_a_number_that_is_not_there() -> None:
    data = sorted(data_numbers(report(published(MATRIX))))
    assert is_in("189.4", data)
    assert not is_in("188.7", data)
    assert not is_in("14,504", data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_formats_word_every_finding(made: Report, language: str) -> None:
    page, text, catalogue = html(made, language), markdown(made, language), load_language(language)
    shown = [drawn(block) for section in made.sections for block in section.blocks]
    pictured = {chart.finding.code for chart in shown if isinstance(chart, Chart) and chart.finding}
    for finding in made.findings():
        sentence = catalogue.sentence(finding)
        assert clean(sentence) in page, finding.code
        if finding.code in pictured and finding.code.startswith("picture-"):
            continue  # the words of a picture, which this Markdown has none of
        assert escape(sentence) in text or escape(sentence, cell=True) in text, finding.code
    assert text.count("\n## ") == len(made.sections)
    assert page.count("<h2") == len(made.sections)


def test_json_holds_no_sentence_and_no_nan(made: Report) -> None:
    shape = to_json(made)
    assert shape["schema"] == "cvfp-report/1"

    def walk(value: object) -> None:
        if isinstance(value, float):
            assert value == value
            assert abs(value) != float("inf")
        elif isinstance(value, dict):
            if "code" in value:
                assert set(value) == {"code", "values", "severity"}
                assert re.fullmatch(r"[A-Za-z0-9-]+", str(value["code"]))
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(shape)


def test_machines_and_cards_of_one_kind_are_one_environment() -> None:
    card = {"torch": "2.13.0", "device_name": "a card", "threads": 1}
    placed = [{**card, "node": node, "device": f"cuda:{n}"} for node in ("two", "one") for n in (1, 0)]
    summary = full_summary(simulated())
    assert summary.summary is not None

    def shown(*environments: dict[str, object]) -> str:
        return markdown(report(replace(summary, summary=replace(summary.summary, environments=environments))))

    text = shown(*placed)
    assert "| machine | one, two |" in text
    assert "| device | cuda:0, cuda:1 |" in text
    assert "environments;" not in text
    assert "2 environments;" in shown(*placed, {**placed[0], "device_name": "another"})
