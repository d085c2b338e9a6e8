"""Figures under other choices: each is the fit that anyone would make by hand under that choice."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.fits import FitOptions, fit_law
from cvfp_cli.scaling.rendering import to_csv, to_json, to_text
from cvfp_cli.scaling.sensitivity import Sensitivity
from cvfp_cli.scaling.shared_fits import fit_constrained
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points

FAR = 1e8


def line(label: str = "a", sizes: int = 6, noise: float = 0.02, seed: int = 0) -> Points:
    """A power law over tokens, at sizes whose samples are not quite in proportion."""
    samples = 50.0 * 2.0 ** np.arange(sizes)
    x = 1200.0 * samples**1.02
    e = noise * np.random.default_rng(seed).standard_normal(sizes)
    return Points(x=x, y=4e4 * x**-0.4 * np.exp(e), label=label, sizes=samples)


def asked(groups: list[Points], *laws: str, **request: object) -> tuple[Sensitivity, ...]:
    options = FitOptions(predict=(FAR,))
    made = Request(laws=laws or ("power",), options=options, sensitivity=True)
    return run_study(groups, replace(made, **request)).sensitivity  # type: ignore[arg-type]


def figures(found: Sensitivity) -> dict[str, dict[str, float | None]]:
    return {one.name: {name: e.value for name, e in one.figures.items()} for one in found.choices}


def test_each_choice_is_the_fit_made_under_it() -> None:
    points = line()
    (found,) = asked([points])
    got = figures(found)
    assert got["as asked"]["alpha"] == pytest.approx(np.polyfit(np.log(points.x), np.log(points.y), 1)[0])
    by_hand = fit_law(points, "power", objective="ppl", predict=(FAR,))
    for name in ("A", "alpha"):
        assert got["objective ppl"][name] == pytest.approx(by_hand.parameters[name].value)
    assert got["objective ppl"]["law at 100,000,000"] == pytest.approx(by_hand.predictions[0].value)
    for i in range(6):
        kept = np.arange(6) != i
        slope, level = np.polyfit(np.log(points.x[kept]), np.log(points.y[kept]), 1)
        own = got[f"without {points.x[i]:,.0f}"]
        assert own["alpha"] == pytest.approx(slope)
        assert own["A"] == pytest.approx(np.exp(level))
        assert own["law at 100,000,000"] == pytest.approx(np.exp(level) * FAR**slope)
        assert own["per_doubling"] == pytest.approx(100.0 * (1.0 - 2.0**slope))


def test_other_unit_of_sizes_keeps_what_a_size_means() -> None:
    points = line()
    (found,) = asked([points])
    assert points.sizes is not None
    slope, level = np.polyfit(np.log(points.sizes), np.log(points.y), 1)
    mean = np.exp(np.mean(np.log(points.x / points.sizes)))
    own = figures(found)["sizes in samples"]
    assert own["alpha"] == pytest.approx(slope)
    assert own["law at 100,000,000"] == pytest.approx(np.exp(level) * (FAR / mean) ** slope)
    by_samples = replace(points, x=points.sizes, tokens=points.x, x_name="samples")
    (back,) = asked([by_samples])
    assert figures(back)["sizes in train_tokens"]["alpha"] == pytest.approx(
        figures(found)["as asked"]["alpha"]
    )
    alike = replace(points, sizes=points.x / 1200.0)  # in proportion, nothing to choose
    assert not any(name.startswith("sizes in") for name in figures(asked([alike])[0]))


def test_other_laws_and_the_mixture_stand_beside() -> None:
    (found,) = asked([line()], "saturating")
    got = figures(found)
    study = run_study([line()], Request(options=FitOptions(predict=(FAR,))))
    for fit in study.fits:
        if fit.law in ("power", "exp-decay"):
            (name,) = (name for name in got if name.startswith(f"law {fit.law}, weight"))
            assert got[name]["law at 100,000,000"] == pytest.approx(fit.predictions[0].value)
            assert "A" not in got[name]
    assert got["mixture of laws"]["law at 100,000,000"] == pytest.approx(
        study.forecasts[0].predictions[0].value
    )
    assert got["mixture of laws"]["ppl_min"] == study.forecasts[0].asymptote.value  # type: ignore[union-attr]
    last = f"without {line().x[-1]:,.0f}"
    assert "per_doubling" in got["as asked"]
    assert "per_doubling" not in got[last]  # it is told from the largest size


def test_a_run_that_stands_out_and_the_range_that_it_opens() -> None:
    points = line(sizes=10, noise=1e-4)
    y = points.y.copy()
    y[8] *= 1.5
    (found,) = asked([replace(points, y=y)])
    got = figures(found)
    assert got["without 1 that stands out"]["alpha"] == pytest.approx(-0.4, abs=2e-4)
    assert got["as asked"]["alpha"] != pytest.approx(-0.4, abs=0.02)
    values = [own["alpha"] for own in got.values() if "alpha" in own]
    span = found.span("alpha")
    assert (span.value, span.low, span.high) == (got["as asked"]["alpha"], min(values), max(values))  # type: ignore[type-var]


def test_a_range_is_open_where_a_choice_never_reaches_the_target() -> None:
    x = 100.0 * 2.0 ** np.arange(6)
    points = Points(
        x=x, y=(20.0 + 800.0 * x**-0.5) * np.exp(0.01 * np.array([1, -1, 0, 1, -1, 0])), label="a"
    )
    study = run_study(
        [points],
        Request(laws=("power",), options=FitOptions(targets=(15.0,)), sensitivity=True),
    )
    (found,) = study.sensitivity
    (name,) = (one for one in found.asked if one.startswith("size for"))
    values = [one.figures[name].value for one in found.choices]
    assert values[0] is not None
    assert None in values  # the saturating law stays above it
    span = found.span(name)
    assert (span.low, span.high) == (min(value for value in values if value is not None), None)
    text = to_text(study)
    assert next(row for row in text.splitlines() if row.lstrip().startswith("range")).endswith(".. open")
    assert name in next(row for row in text.splitlines() if row.startswith("A choice moves further"))


def test_what_rounding_moves_is_not_called_a_move() -> None:
    x = 100.0 * 2.0 ** np.arange(6)
    request = Request(laws=("power",), options=FitOptions(predict=(FAR,)), sensitivity=True)
    for y in (800.0 * x**-0.5, np.full(6, 7.0)):
        assert "A choice moves further" not in to_text(run_study([Points(x=x, y=y, label="a")], request))


def test_what_is_shared_stays_shared_under_every_choice() -> None:
    groups = [line("a", seed=1), line("b", seed=2)]
    constraint = Constraint(shared=("alpha",))
    found = asked(groups, constraint=constraint)
    for i in (0, 5):
        kept = np.arange(6) != i
        by_hand = fit_constrained([points.only(kept) for points in groups], "power", constraint)
        for one, fit in zip(found, by_hand, strict=True):
            own = figures(one)[f"without {groups[0].x[i]:,.0f}"]
            assert own["alpha"] == pytest.approx(fit.parameters["alpha"].value)
            assert own["A"] == pytest.approx(fit.parameters["A"].value)


def test_a_law_that_a_choice_leaves_no_size_to_spare_is_not_fitted_to_it() -> None:
    (found,) = asked([line(sizes=3)])
    assert len([name for name in figures(found) if name.startswith("without")]) == 0
    (found,) = asked([line(sizes=4)])
    assert len([name for name in figures(found) if name.startswith("without")]) == 4


def grid(models: int, sizes: int) -> list[Points]:
    groups = []
    for i in range(models):
        x = 1e7 * 2.0 ** np.arange(sizes)
        n = np.full(sizes, 1e6 * 3.0**i)
        loss = 1.8 + 400.0 * n**-0.34 + 2000.0 * x**-0.37
        groups.append(Points(x=x, y=loss, label=f"m{i}", parameters=n, y_name="loss", study="s"))
    return groups


def test_a_joint_law_without_each_model_and_data_size() -> None:
    groups = grid(4, 5)
    (found,) = asked(groups, "joint", options=FitOptions(pairs=((1e9, 1e10),)))
    got = figures(found)
    assert len(got) == 1 + 4 + 5
    truth = {"E": 1.8, "A": 400.0, "alpha": 0.34, "B": 2000.0, "beta": 0.37}
    truth["law at 1.000e9:1.000e10"] = 1.8 + 400.0 * 1e9**-0.34 + 2000.0 * 1e10**-0.37
    for own in got.values():
        assert own == pytest.approx(truth, rel=1e-3)


def test_a_joint_law_without_runs_that_stand_out() -> None:
    groups = grid(6, 6)
    rng = np.random.default_rng(4)
    groups = [replace(points, y=points.y * np.exp(1e-3 * rng.standard_normal(6))) for points in groups]
    y = groups[2].y.copy()
    y[0] *= 1.4
    groups[2] = replace(groups[2], y=y)
    (found,) = asked(groups, "joint")
    got = figures(found)
    rest = [points.only(np.arange(6) > 0) if i == 2 else points for i, points in enumerate(groups)]
    (fit,) = run_study(rest, Request(laws=("joint",))).fits
    for name, estimate in fit.parameters.items():
        assert got["without 1 that stands out"][name] == pytest.approx(estimate.value)


def test_many_sizes_go_by_tenths_and_many_groups_by_one_line() -> None:
    (found,) = asked([line(sizes=25)])
    assert len([name for name in figures(found) if name.startswith("without") and " to " in name]) == 10
    groups = [line(f"g{i}", seed=i) for i in range(13)]
    study = run_study(groups, Request(laws=("power",), sensitivity=True))
    text = to_text(study).split("\nSensitivity\n")[1]
    assert text.count("g12") == 1
    assert "without" not in text
    few = run_study(groups[:2], Request(laws=("power",), sensitivity=True))
    assert to_text(few).split("\nSensitivity\n")[1].count("without") == 12


def test_it_is_in_every_format_and_only_where_asked_for() -> None:
    study = run_study([line()], Request(laws=("power",), sensitivity=True))
    (shape,) = json.loads(to_json(study))["sensitivity"]
    assert shape["choices"][0]["figures"]["alpha"] == shape_of(study.fits[0].parameters["alpha"])
    assert set(shape["range"]) == {"A", "alpha", "per_doubling"}
    rows = [row for row in csv.reader(io.StringIO(to_csv(study))) if row[2] == "sensitivity"]
    assert len(rows) == sum(len(one.figures) for one in study.sensitivity[0].choices)
    plain = run_study([line()], Request(laws=("power",)))
    assert json.loads(to_json(plain))["sensitivity"] == []
    assert "Sensitivity" not in to_text(plain)


def shape_of(estimate: object) -> dict[str, float | None]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high")}


def test_choices_that_leave_too_little_to_fit_are_named() -> None:
    few = line(sizes=4)
    (found,) = asked([few], "saturating")
    assert found.too_little == tuple(f"without {x:,.0f}" for x in few.x)
    study = run_study([few], Request(laws=("saturating",), sensitivity=True))
    assert f"Too little is left to fit without {few.x[0]:,.0f}; " in to_text(study)
    n, d = (part.ravel() for part in np.meshgrid([1e6, 1e7, 1e8], [1e7, 1e8]))
    y = 1.8 + 400.0 * n**-0.34 + 410.0 * d**-0.28
    y = y * np.exp(0.01 * np.random.default_rng(0).standard_normal(6))
    grid = Points(x=d, y=y, parameters=n, y_name="loss")
    (joint,) = run_study([grid], Request(laws=("joint",), sensitivity=True)).sensitivity
    assert {name.split()[1] for name in joint.too_little} == {"train_tokens"}
    assert len(joint.too_little) == 2
