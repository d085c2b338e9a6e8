"""Lists of integers, sizes in bytes and settings, as people type them."""

import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.cli.options import Range, assignments, byte_count, integers, one_of, ranges
from cvfp_cli.cli.shared import Machine, StudyOptions
from cvfp_cli.core.config import Execution
from cvfp_cli.errors import InputError
from cvfp_cli.recipes import DEFAULT_RECIPE


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["3"], (3,)),
        (["1-3"], (1, 2, 3)),
        (["50,100,200"], (50, 100, 200)),
        (["1-3,7, 9-10"], (1, 2, 3, 7, 9, 10)),
        (["1", "2", "1"], (1, 2)),
        (["5,1-2"], (5, 1, 2)),
        (["100-500:100"], (100, 200, 300, 400, 500)),
        (["50-400:150,7", "50"], (50, 200, 350, 7)),
        (["3-3:2"], (3,)),
        ([], None),
        (None, None),
    ],
)
def test_integer_lists(texts: list[str] | None, values: tuple[int, ...] | None) -> None:
    assert integers(texts, "--layers") == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "--samples: 0 is too small"),
        ("0-3", "--samples: 0 is too small"),
        ("5-1", "Write 1-5"),
        ("", "whole number"),
        ("1,,2", "no number beside it"),
        ("-3", "whole number"),
        ("2.5", "whole number"),
        ("1e3", "whole number"),
        ("٣", "whole number"),
        ("1-2-3", "whole number"),
        ("1-999999999999", "more than 1000 values"),
        ("5-1:2", "Write 1-5:2"),
        ("1-5:0", "has no step"),
        ("1-5:", "whole number"),
        ("5:2", "Write 5-2"),
        ("1-1000,1001", "more than 1000 values"),
        ("9" * 5000, "whole number"),
    ],
)
def test_wrong_integer_lists_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        integers([text], "--samples")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 20)), min_size=1, max_size=10), st.randoms())
def test_any_list_reads_as_the_union_of_its_parts(parts: list[tuple[int, int]], random: object) -> None:
    written = [f"{low}-{low + more}" if more else str(low) for low, more in parts]
    expected = list(dict.fromkeys(value for low, more in parts for value in range(low, low + more + 1)))
    assert integers([",".join(written)], "--x") == tuple(expected)
    assert integers(written, "--x") == tuple(expected)


@given(st.integers(1, 500), st.integers(0, 400), st.integers(1, 60))
def test_a_range_with_a_step_is_python_s(first: int, more: int, step: int) -> None:
    assert integers([f"{first}-{first + more}:{step}"], "--x") == tuple(range(first, first + more + 1, step))


@given(st.integers(1, 10**6), st.integers(31, 10**6))
def test_the_coarser_range_is_a_short_one(first: int, more: int) -> None:
    coarser = Range(first, first + more).coarser
    assert coarser.step > 1
    assert 3 <= len(coarser) <= 30
    assert ranges([str(coarser)], "--x") == (coarser,)


@pytest.mark.parametrize(
    ("given", "coarser"),
    [
        ("100-300", "100-300:100"),
        ("50-500", "50-500:50"),
        ("1-200", "1-200:50"),
        ("64-768", "64-768:64"),
        ("900-1000", "900-1000:50"),
    ],
)
def test_the_step_that_was_perhaps_forgotten(given: str, coarser: str) -> None:
    [one] = ranges([given], "--samples")
    assert str(one.coarser) == coarser


@given(st.text(max_size=50))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        lambda: integers([text], "--x"),
        lambda: byte_count(text, "--x"),
        lambda: assignments([text]),
    ):
        try:
            read()
        except InputError as problem:
            assert str(problem).isprintable()  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2GB", 2 * 1000**3),
        ("2GiB", 2 * 1024**3),
        ("1.5g", 1_500_000_000),
        ("512 MiB", 512 * 1024**2),
        ("3000000", 3_000_000),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert byte_count(text, "--memory") == count


@pytest.mark.parametrize("text", ["", "GB", "2XB", "-1GB", "1kB", "0", "2 i", "nan"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(InputError, match="--memory"):
        byte_count(text, "--memory")


def test_settings() -> None:
    assert assignments(["phase2.epochs=5", " data.source = a=b ", "phase2.epochs=6"]) == {
        "phase2.epochs": "6",
        "data.source": "a=b",
    }
    with pytest.raises(InputError, match=r"table\.key=value"):
        assignments(["phase2.epochs"])
    with pytest.raises(InputError, match=r"table\.key=LIST") as caught:
        assignments(["phase1.noise"], "--grid")
    assert caught.value.hint == "Write --grid phase1.noise=0,0.1."


def test_the_nearest_choice_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean cuda"):
        one_of("cudaa", ("auto", "cpu", "cuda"), "--device")


def shown_default(group: type[Any], field: str) -> object:
    """The default that an option's help names."""
    (found,) = (item for item in fields(group) if item.name == field)
    return found.metadata["option"](field).show_default


def test_defaults_in_the_help_are_those_in_force() -> None:
    assert shown_default(StudyOptions, "recipe") == DEFAULT_RECIPE
    assert byte_count(str(shown_default(Machine, "memory")), "--memory") == Execution().memory_bytes
    from cvfp_cli.core.device import DEFAULT_PRECISION

    assert (
        shown_default(Machine, "precision")
        == f"{DEFAULT_PRECISION['cpu']}; cuda: {DEFAULT_PRECISION['cuda']}"
    )
    assert {DEFAULT_PRECISION["cpu"], DEFAULT_PRECISION["mps"]} == {"float32"}
