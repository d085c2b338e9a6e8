"""What --validation can say."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.data.validation import (
    AfterLargest,
    File,
    Last,
    LastShare,
    SplitRange,
    Tail,
    WholeSplit,
    parse_validation,
)
from cvfp_cli.errors import InputError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("train_sft:1000-1019", SplitRange("train_sft", 1000, 1019)),
        ("test:0-0", SplitRange("test", 0, 0)),
        ("after-largest:10", AfterLargest(10)),
        ("last:40", Last(40)),
        ("test_sft", WholeSplit("test_sft")),
        ("10%", LastShare(Fraction(1, 10))),
        ("0.5%", LastShare(Fraction(1, 200))),
        ("tail:10%", Tail(Fraction(1, 10))),
        ("tail:2.5%", Tail(Fraction(1, 40))),
    ],
)
def test_known_forms(text: str, meant: object) -> None:
    assert parse_validation(text) == meant
    assert str(parse_validation(text)) == text


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "held:out.txt"
    path.write_text("text")
    assert parse_validation(str(path)) == File(path)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "20", "0.1", "0%", "51%", "10 %", "%", "last:0%", "10%:5", "train:5", "train:9-3", "last:", "last:0", "last:-1", "last:x", "last:²", "tail:10",
        "tail:0%", "tail:51%", "tail:1e1%", "after-largest:", "after-largest:1.5", "missing.jsonl", "train:1-2-3",
        "train:" + "9" * 5000 + "-1", "last:" + "9" * 5000, "x" * 5000, "a\0b",
    ],
)  # fmt: skip
def test_others_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="--validation") as caught:
        parse_validation(text)
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"(tail|last|after-largest|[a-z]+):[-0-9.%]*", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    message = ""
    try:
        parse_validation(text)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
