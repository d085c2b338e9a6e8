"""Text on a screen of some width: nothing is broken inside a number or a word, and nothing is lost."""

import random
import re

import pytest

from cvfp_cli.layout import Band, Screen, bands, cells, fold, shortened

WORDS = ["loss", "0.1234", "-12.5%", "5.9 s", "3 min 20 s", "1.6 GB", "[1.2,", "3.4]", "1L_768d_2tok", "x"]


@pytest.mark.parametrize("seed", range(20))
def test_sentences_are_folded_between_words_and_numbers_keep_their_unit(seed: int) -> None:
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=60)
    text = " ".join(words)
    for width in (20, 40, 80):
        lines = fold(text, width)
        assert all(cells(line) <= width for line in lines)
        assert " ".join(lines) == text
        ends = {line.split(" ")[-1] for line in lines}
        starts = {line.split(" ")[0] for line in lines[1:]}
        assert not starts & {"s", "GB", "min", "20"}
        assert not ends & {"min", "5.9", "1.6"}


def test_a_word_that_no_line_holds_is_broken_at_its_signs() -> None:
    assert fold("runs/2025-11-29-architectures/summary.json", 24) == [
        "runs/2025-11-29-",
        "architectures/",
        "summary.json",
    ]
    assert fold("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_japanese_is_folded_between_its_letters_but_no_line_starts_with_a_full_stop() -> None:
    text = "検証データの損失は、サイズが2倍になるごとに31.5%下がる。区間は[20.77, 40.80]である。"
    for width in range(12, 80):
        lines = fold(text, width)
        assert all(cells(line) <= width for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(line[0] not in "。、ー" for line in lines)
        assert any("31.5%" in line for line in lines)
        assert any("サイズ" in line for line in lines)
        assert any("データ" in line for line in lines)


def test_a_heading_of_wide_letters_does_not_stand_upright() -> None:
    found = bands(["基準", *["基準の次元数"] * 9], [["x", *["1"] * 9]], left=[True] + [False] * 9, width=60)
    assert max(len(band.header) for band in found) == 2


def test_off_a_terminal_a_sentence_stays_on_its_line() -> None:
    text = "word " * 60
    assert Screen().lines(text, first="- ") == [f"- {text}"]
    lines = Screen(40, folds=True).lines(text.strip(), first="- ", then="    ")
    assert lines[0].startswith("- word")
    assert all(line.startswith("    word") and cells(line) <= 40 for line in lines[1:])


def test_what_is_too_long_loses_its_middle() -> None:
    assert shortened("1L_768d_2tok", 12) == "1L_768d_2tok"
    assert shortened("a-very-long-name-of-a-study", 11) == "a-ver…study"
    assert cells(shortened("実験" * 20, 11)) <= 11


def flat(found: list[Band]) -> str:
    return "\n".join(
        line for band in found for line in (*band.header, *(x for row in band.rows for x in row))
    )


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "label", ["1L_768d_1tok", "1L_768d_1tok (2025-11-29-architectures)", "実験の記録 " * 8]
)
def test_tables_fit_and_hold_every_figure(width: int, label: str) -> None:
    draw = random.Random(len(label))
    header = ["config", *(f"figure {i} of the run [interval]" for i in range(12))]
    rows = [
        [label.strip(), *(f"{draw.uniform(-1, 1):.4f} [{draw.random():.4f}, 0.1]" for _ in range(12))]
        for _ in range(5)
    ]
    found = bands(header, rows, left=[True] + [False] * 12, width=width)
    text = flat(found)
    assert all(cells(line) <= width for line in text.splitlines())
    assert len(found) > 1
    for row in rows:
        for figure in row[1:]:
            assert text.count(figure) >= 1
    for i in range(12):
        assert re.search(rf"\b{i}\b", "\n".join(line for band in found for line in band.header))


def test_a_table_that_fits_is_one_band_as_it_is() -> None:
    [band] = bands(["a", "size"], [["x", "1"], ["longer", "20"]], left=[True, False], width=80)
    assert band.header == ("a       size",)
    assert band.rows == (("x          1",), ("longer    20",))


def test_wide_characters_count_twice() -> None:
    [band] = bands(["名前", "n"], [["x", "1"]], left=[True, False], width=80)
    assert band.header == ("名前  n",)
    assert band.rows == (("x     1",),)
