"""Notes on residuals: told where they are true, and as rarely as they say where they are not."""

import numpy as np
import pytest

from cvfp_cli.scaling.checks import check_groups
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_groups, fit_law
from cvfp_cli.scaling.numbers import figure
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.study.points import Points

OPTIONS = FitOptions(hold_out=False)


def line(sizes: int, sd: float | np.ndarray, seed: int, label: str = "a") -> Points:
    x = 1e5 * 2.0 ** np.arange(sizes)
    noise = np.random.default_rng(seed).standard_normal(sizes)
    return Points(x=x, y=600.0 * (x / 1e5) ** -0.4 * np.exp(sd * noise), label=label)


def codes(points: list[Points], objective: str = "log") -> list[str]:
    options = FitOptions(objective=objective, hold_out=False)
    fits = {"power": fit_groups(points, "power", options)}
    return [note.code for note in check_groups(points, fits, options)]


def test_a_run_that_stands_out_is_named_with_the_fit_without_it() -> None:
    clean = line(10, 0.01, 1)
    y = clean.y.copy()
    y[3] *= np.exp(0.3)
    points = Points(x=clean.x, y=y, label="a")
    (note,) = check_groups([points], {"power": (fit_law(points, "power"),)}, OPTIONS)
    assert note.code == "outliers"
    assert "800,000" in note.message
    assert "Nothing was left out" in note.message
    rest = fit_law(points.only(np.arange(10) != 3), "power").parameters["alpha"].value
    assert rest is not None
    assert f"alpha = {rest:.4f}" in note.message


def test_points_without_some_keep_all_that_belongs_to_the_others() -> None:
    x = np.array([1.0, 2.0, 3.0])
    points = Points(x=x, y=x, sizes=10 * x, parameters=x + 1, weights=x + 2, label="a", study="s")
    rest = points.only(np.array([True, False, True]))
    assert rest.sizes is not None
    assert rest.weights is not None
    assert rest.parameters is not None
    assert rest.x.tolist() == [1.0, 3.0]
    assert rest.sizes.tolist() == [10.0, 30.0]
    assert rest.parameters.tolist() == [2.0, 4.0]
    assert (rest.label, rest.study) == ("a", "s")


@pytest.mark.pinned_only("many data sets for what other tests do with one")
def test_even_errors_are_rarely_called_uneven() -> None:
    told = [code for seed in range(150) for code in codes([line(8, 0.02, seed)])]
    assert told.count("unequal-variance") <= 16
    assert told.count("outliers") <= 6


def test_errors_that_grow_are_told_and_many_groups_make_it_no_likelier() -> None:
    growing = 0.002 * 2.0 ** np.arange(14)
    told = [codes([line(14, np.minimum(growing, 0.3), seed)]) for seed in range(20)]
    assert sum("unequal-variance" in each for each in told) >= 9
    many = [line(8, 0.02, seed, str(seed)) for seed in range(60)]
    assert codes(many).count("unequal-variance") <= 3


def test_a_new_run_beyond_sizes_whose_errors_grow_is_not_trusted() -> None:
    points = line(14, np.minimum(0.01 * 1.3 ** np.arange(14), 0.3), 3)
    fits = {"power": fit_groups([points], "power", OPTIONS)}
    largest = float(points.x.max())
    for size, said in ((10.0 * largest, True), (0.5 * largest, False)):
        notes = check_groups([points], fits, FitOptions(hold_out=False, predict=(size,)))
        (told,) = (note.message for note in notes if note.code == "unequal-variance")
        assert ("too narrow if it grows on" in told) is said


def test_an_objective_that_the_errors_contradict_is_named() -> None:
    """Errors of one relative size, under least squares of y itself: they shrink with n as y does."""
    found = 0
    for seed in range(12):
        points = line(16, 0.02, seed)
        options = FitOptions(objective="ppl", hold_out=False)
        notes = check_groups([points], {"power": fit_groups([points], "power", options)}, options)
        found += any(note.values.get("objective") == "log" for note in notes)
    assert found >= 7


def test_residuals_about_a_fixed_law_are_those_of_its_own_fit() -> None:
    points = line(10, 0.005, 3)
    y = points.y.copy()
    y[-1] *= np.exp(0.2)
    points = Points(x=points.x, y=y, label="a")
    constraint = Constraint(fixed=(("alpha", -0.4),))
    (fit,) = fit_constrained([points], "power", constraint, OPTIONS)
    notes = check_groups([points], {"power": (fit,)}, OPTIONS, constraint)
    (note,) = (one for one in notes if one.code == "outliers")
    level = float(np.exp(np.mean(np.log(y[:-1] * points.x[:-1] ** 0.4))))
    assert f"A = {figure(level)}, alpha = -0.4000" in note.message
