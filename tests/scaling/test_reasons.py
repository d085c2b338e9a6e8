"""Every figure without an interval has the reason beside it: in text, JSON and CSV."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.document import fit_blocks
from cvfp_cli.scaling.figure_rows import HEADER, figure_rows
from cvfp_cli.scaling.fits import FitOptions
from cvfp_cli.scaling.predictions import NOTHING_LEFT, SHARED_UNSEEN
from cvfp_cli.scaling.result import Fit
from cvfp_cli.scaling.study import Request, Study, run_study
from cvfp_cli.study.points import Points


def noisy(sizes: int, seeds: Sequence[int], asymptote: float = 0.0) -> list[Points]:
    """A group for each number of seeds."""
    rng = np.random.default_rng(3)
    groups = []
    for g, count in enumerate(seeds):
        x = np.repeat(100.0 * 2.0 ** np.arange(sizes), count)
        y = (asymptote + (3.5 + 0.2 * g) * x**-0.1) * np.exp(0.02 * rng.standard_normal(len(x)))
        groups.append(Points(x, y, label=f"c{g}", y_name="val_loss"))
    return groups


def rows_of(study: Study, law: str, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = (dict(zip(HEADER, row, strict=True)) for row in figure_rows(study))
    return [row for row in rows if row["law"] == law and row["kind"] in kinds]


def text_of(fit: Fit) -> str:
    return "\n".join(str(block) for block in fit_blocks(fit))


KINDS = ("parameter", "derived", "prediction", "law", "target")


@pytest.mark.parametrize("law", ["power", "saturating"])
def test_what_a_size_that_is_shared_hides_says_so_everywhere(law: str) -> None:
    """Parameters were "open .. open", as if every value were known to be allowed."""
    name = "alpha" if law == "power" else "a"
    options = FitOptions(predict=(1e4,), targets=(1.7,))
    groups = noisy(2, (2, 3, 4), asymptote=0.0 if law == "power" else 0.5)
    study = run_study(groups, Request((law,), options, constraint=Constraint(shared=(name,))))
    rows = rows_of(study, law, KINDS)
    bare = [row for row in rows if row["value"] is not None and row["low"] is None and row["high"] is None]
    assert {row["reason"] for row in bare} == {SHARED_UNSEEN}
    assert {row["kind"] for row in bare} >= {"parameter", "derived", "prediction", "law"}
    for fit in study.fits:
        told = fit.to_json()
        assert told["parameters"][name]["reason"] == SHARED_UNSEEN
        assert told["per_doubling"]["reason"] == SHARED_UNSEEN
        assert told["predictions"][0]["reason"] == SHARED_UNSEEN
        text = text_of(fit)
        assert "open .. open" not in text
        assert f"; no interval: {SHARED_UNSEEN}." in text
        assert f"No interval for these predictions: {SHARED_UNSEEN}." in text


def test_a_fit_without_any_interval_says_why_in_every_row() -> None:
    options = FitOptions(predict=(1e4,), targets=(2.0,))
    study = run_study(noisy(3, (1,)), Request(("saturating",), options))
    rows = [row for row in rows_of(study, "saturating", KINDS) if row["value"] is not None]
    assert {row["kind"] for row in rows} == set(KINDS)
    assert {row["reason"] for row in rows} == {NOTHING_LEFT}
    assert "no interval: " not in text_of(study.fits[0]).split("No interval for these predictions")[0]


def test_what_is_fixed_is_called_so_in_every_row() -> None:
    constraint = Constraint(fixed=(("ppl_min", 0.5),))
    study = run_study(noisy(5, (1,), 0.5), Request(("saturating",), FitOptions(), constraint=constraint))
    rows = {(row["kind"], row["name"]): row["reason"] for row in rows_of(study, "saturating", KINDS)}
    assert rows["parameter", "ppl_min"] == rows["derived", "asymptote"] == "fixed"
    assert rows["parameter", "a"] == ""


def test_local_exponents_of_two_sizes_say_why_they_have_no_interval() -> None:
    study = run_study(noisy(5, (2,)), Request(("power",), FitOptions(window=2)))
    (fit,) = study.fits
    assert [one.to_json()["reason"] for one in fit.local_exponents] == [NOTHING_LEFT] * 4
    assert {row["reason"] for row in rows_of(study, "power", ("local_exponent",))} == {NOTHING_LEFT}
    assert text_of(fit).count(f"No interval for these local exponents: {NOTHING_LEFT}.") == 1
    (wider,) = run_study(noisy(5, (2,)), Request(("power",), FitOptions(window=3))).fits
    assert {one.estimate.reason for one in wider.local_exponents} == {""}
    assert "these local exponents" not in text_of(wider)
