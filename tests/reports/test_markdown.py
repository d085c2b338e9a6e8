"""The Markdown read again by GitHub's rules: tables come back, nothing from data becomes markup."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_cases import (
    ARCHITECTURES,
    LANGUAGES,
    MATRIX,
    full_summary,
    markdown,
    markdown_tables,
    published,
    report,
    results,
    simulated,
    with_failures,
)

from cvfp_cli.markdown import escape
from cvfp_cli.reports.model import Table
from cvfp_cli.reports.text import load_language

pytestmark = pytest.mark.pinned_only(
    "the project's own text; tests/reports/test_golden.py holds whole documents"
)

PARSER = MarkdownIt("gfm-like")
TEXT_TOKENS = ("text", "text_special", "softbreak")


def plain(markdown_text: str, *, cell: bool = False) -> str:
    """The text that a reader sees; fails if anything but text came out."""
    source = f"| a |\n|---|\n| {markdown_text} |\n" if cell else f"{markdown_text}\n"
    tokens = PARSER.parse(source)
    inline = [token for token in tokens if token.type == "inline"]
    if cell:
        assert tokens[0].type == "table_open"
        inline = inline[1:]
    else:
        assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}, tokens
    shown = []
    for token in inline:
        for child in token.children or []:
            assert child.type in TEXT_TOKENS, (markdown_text, child)
            shown.append(child.content)
    return "".join(shown)


def printable(text: str) -> str:
    """What is left of a text when control characters and runs of spaces are one space."""
    from cvfp_cli.markdown import _CONTROL

    return " ".join(_CONTROL.sub(" ", text).split())


NASTY = st.text(
    st.sampled_from(list("ab1 |*_~`<>[]()!#&;:/\\-+=.@\"'{}$^%日本 \n\t")), min_size=1, max_size=30
)


@given(NASTY)
@example("* a")
@example("1. one")
@example("__a__ **b** ~~c~~ `d`")
@example("<script>alert(1)</script> &amp; &#42;")
@example("[a](http://b) ![c](d) [e]: f")
@example("https://example.org www.example.org a@b.cd")
@example("# h")
@example("a\\")
@example("---")
@example("|---|")
@example("- [x] done")
def test_escaped_text_shows_as_it_is(text: str) -> None:
    wanted = printable(text)
    if not wanted:
        return
    assert plain(escape(text)) == wanted
    assert plain(escape(text, cell=True), cell=True) == wanted


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", [MATRIX, ARCHITECTURES])
def test_the_tables_come_back(study: str, language: str) -> None:
    made = report(published(study))
    text = markdown(made, language)
    parsed = markdown_tables(text)
    blocks = [block for section in made.sections for block in section.blocks if isinstance(block, Table)]
    catalogue = load_language(language)
    assert len(parsed) == len(blocks)
    for rows, block in zip(parsed, blocks, strict=True):
        assert rows[0] == [catalogue.heading(column) for column in block.columns]
        assert len(rows) == len(block.rows) + 1
        for row, values in zip(rows[1:], block.rows, strict=True):
            assert len(row) == len(values)
            for shown, value, column in zip(row, values, block.columns, strict=True):
                assert shown.startswith(catalogue.figure(value, column.kind).replace("\n", " ").strip())


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_asterisks_are_left_in_the_text(language: str) -> None:
    for made in (
        report(published(ARCHITECTURES)),
        report(full_summary(simulated(seeds=(0, 1, 2), token_effect=-0.3, layer_effect=0.3))),
    ):
        text = markdown(made, language)
        tokens = PARSER.parse(text)
        assert "**" in text
        for token in tokens:
            for child in token.children or []:
                if child.type in TEXT_TOKENS:
                    assert "**" not in child.content


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_from_elsewhere_stay_text(language: str) -> None:
    evil = "<img src=x onerror=alert(1)>|**x**\n# head `code` [l](javascript:alert(1))"
    runs = [replace(run, study=evil, config=f"{run.config} {evil}") for run in simulated()]
    failed = replace(runs[0], status="failed", reason=evil, val_ppl=None)
    source = results([failed, *runs[1:]], data={evil: evil}, recipe={"name": evil, "overrides": {evil: evil}})
    text = markdown(report(source, title=evil), language)
    for token in PARSER.parse(text):
        assert token.type not in ("html_block", "link_open", "image")
        for child in token.children or []:
            assert child.type not in ("html_inline", "image", "code_inline"), child
            if child.type == "link_open":  # of the first page, to the report's own headings
                assert str(child.attrs["href"]).startswith("#")
            if child.type == "strong_open":
                assert token.level >= 3  # only marked figures in tables are bold


def test_commands_cannot_leave_their_block() -> None:
    runs = simulated()
    source = results(runs, command="cvfp sweep\n```\n# out\n<b>")
    text = markdown(report(source))
    fences = [token for token in PARSER.parse(text) if token.type == "fence" and token.info == "bash"]
    (own,) = (fence.content for fence in fences if "cvfp sweep" in fence.content)
    assert "<b>" in own
    assert len(fences) == 2  # the other one says what to run next


@pytest.mark.parametrize("language", LANGUAGES)
def test_lines_end_in_newlines_and_nothing_is_coloured(language: str) -> None:
    text = markdown(report(full_summary(with_failures(simulated()))), language)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text
    assert "\x1b" not in text
