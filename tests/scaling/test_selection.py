"""Which law predicts best: ranking, what is not decided, and the sentence that says so."""

from typing import Any

import numpy as np
import pytest

from cvfp_cli.laws.registry import get_law
from cvfp_cli.scaling.batch import make_batch
from cvfp_cli.scaling.fits import FitOptions, fit_groups
from cvfp_cli.scaling.held_out import Origin, own_pools
from cvfp_cli.scaling.selection import Selection, akaike_weights, laws_left, select
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points


def groups_of(count: int, sizes: int, floor: float, noise: float) -> list[Points]:
    rng = np.random.default_rng(1)
    x = 6e4 * 2.0 ** np.arange(sizes)
    return [
        Points(
            x, (floor + 600 * (x / x[0]) ** -0.6) * np.exp(noise * rng.standard_normal(sizes)), label=f"c{g}"
        )
        for g in range(count)
    ]


def selected(groups: list[Points], laws: tuple[str, ...]) -> Selection:
    study = run_study(groups, Request(laws=laws))
    assert study.selection is not None
    return study.selection


def test_a_clear_winner_is_named() -> None:
    result = selected(groups_of(4, 8, floor=150.0, noise=0.001), ("power", "saturating"))
    assert [score.law for score in result.laws] == ["saturating", "power"]
    assert all(score.decided for score in result.laws)
    assert result.sentence.startswith("saturating predicts larger sizes best")


def test_noise_decides_nothing_and_the_sentence_flips() -> None:
    result = selected(groups_of(4, 8, floor=150.0, noise=0.5), ("power", "saturating"))
    assert not any(score.decided for score in result.laws)
    assert result.sentence.startswith("Not decided between")


def test_one_held_out_size_never_decides() -> None:
    result = selected(groups_of(9, 4, floor=150.0, noise=0.001), ("power", "saturating", "exp-decay"))
    assert not any(score.decided for score in result.laws)
    assert "1 held-out size" in result.sentence
    last = result.laws[-1]
    assert last.law == "exp-decay"
    assert last.rank is None
    assert "at least 5 sizes" in last.reason
    assert "exp-decay cannot be tested" in result.sentence


def test_only_tests_that_all_laws_can_take_are_compared() -> None:
    groups = groups_of(1, 6, floor=100.0, noise=0.02)
    laws = ("power", "saturating", "exp-decay")
    origins = {law: own_pools(get_law(law), make_batch(groups, "log")).origins() for law in laws}
    assert [o.sizes for o in origins["power"]] == [2, 3, 4, 5]
    assert [o.sizes for o in origins["exp-decay"]] == [4, 5]
    result = select({law: fit_groups(groups, law) for law in laws}, origins)
    assert {score.tests for score in result.laws} == {2}
    for score in result.laws:
        errors = [o.error for o in origins[score.law] if o.sizes >= 4]
        assert score.mean_error == pytest.approx(np.mean(errors))
        assert score.spread == pytest.approx(np.std(errors, ddof=1))


def test_a_rolling_origin_is_a_fit_to_the_first_sizes() -> None:
    groups = groups_of(1, 5, floor=0.0, noise=0.03)
    points = groups[0]
    origin = next(o for o in own_pools(get_law("power"), make_batch(groups, "log")).origins() if o.sizes == 3)
    slope, level = np.polyfit(np.log(points.x[:3]), np.log(points.y[:3]), 1)
    assert origin.error == pytest.approx(abs(level + slope * np.log(points.x[3]) - np.log(points.y[3])))


def test_akaike_weights() -> None:
    groups = groups_of(2, 8, floor=100.0, noise=0.02)
    fits: dict[str, Any] = {law: fit_groups(groups, law, FitOptions()) for law in ("power", "saturating")}
    weights = akaike_weights(fits)
    assert sum(weights.values()) == pytest.approx(1.0)
    aic = {law: sum(8 * np.log(f.rss_log / 8) + 2 * f.k for f in members) for law, members in fits.items()}
    assert weights["power"] / weights["saturating"] == pytest.approx(
        np.exp(-0.5 * (aic["power"] - aic["saturating"]))
    )


def test_exact_fits_have_no_weights() -> None:
    groups = groups_of(1, 3, floor=100.0, noise=0.01)
    fits = {law: fit_groups(groups, law) for law in ("power", "saturating")}
    assert akaike_weights(fits) == {}


def test_nothing_to_predict() -> None:
    groups = groups_of(1, 2, floor=0.0, noise=0.0)
    fits = {law: fit_groups(groups, law) for law in ("power", "saturating")}
    result = select(fits, {"power": [], "saturating": []})
    assert "nothing to predict" in result.sentence


def test_laws_fitted_to_fewer_groups_are_not_ranked_with_the_others() -> None:
    groups = [*groups_of(2, 4, floor=100.0, noise=0.02), *groups_of(1, 8, floor=90.0, noise=0.02)]
    named = [Points(p.x, p.y, label=f"g{i}") for i, p in enumerate(groups)]
    study = run_study(named, Request())
    assert study.selection is not None
    assert {score.law for score in study.selection.laws} == {"power", "saturating"}
    assert "not-ranked" in {note.code for note in study.notes}


def test_origin_of_a_missing_law_is_no_test() -> None:
    origins = {"power": [Origin(0, 2, 0.1)], "saturating": []}
    groups = groups_of(1, 3, floor=0.0, noise=0.02)
    fits = {law: fit_groups(groups, law) for law in ("power", "saturating")}
    assert "power alone could be tested" in select(fits, origins).sentence


def test_a_line_that_bends_is_ruled_out_where_too_few_sizes_are_held_out() -> None:
    """Six sizes hold out two, which decide nothing; that power holds is ruled out all the same."""
    result = selected(groups_of(1, 6, floor=150.0, noise=0.003), ("power", "saturating", "exp-decay"))
    by_law = {score.law: score for score in result.laws}
    assert by_law["power"].bend_p is not None
    assert by_law["power"].bend_p < 0.05
    assert by_law["saturating"].bend_p is None
    assert "Not decided between" in result.sentence
    assert "power is ruled out, since it cannot follow a log-log line that bends" in result.sentence
    assert "power" not in result.sentence.split(":")[0]
    alone = selected(groups_of(1, 5, floor=150.0, noise=0.001), ("power", "saturating"))
    assert alone.sentence.startswith("saturating has the smallest error")
    assert "; saturating alone is left" in alone.sentence


def test_a_straight_line_is_not_ruled_out() -> None:
    result = selected(groups_of(1, 6, floor=0.0, noise=0.003), ("power", "saturating"))
    assert all(score.bend_p is None for score in result.laws)
    assert "ruled out" not in result.sentence


def test_a_law_that_is_ruled_out_is_not_the_one_even_where_it_predicts_best() -> None:
    """Noise can give a straight line the smallest error and a bend at once: 7 sizes, 20 tries."""
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = 6e4 * 2.0 ** np.arange(7)
        y = 600 * (x / x[0]) ** -0.4 * np.exp(0.02 * rng.standard_normal(7) + 0.012 * np.log(x / x[3]) ** 2)
        result = selected([Points(x, y, label="c")], ("power", "saturating"))
        first = result.laws[0]
        if first.bend_p is None:
            continue
        seen += 1
        assert laws_left(result.laws) == ["saturating"]
        assert "saturating alone is left" in result.sentence
        assert "power predicts larger sizes best" not in result.sentence
    assert seen > 0


def repeated(groups: list[Points], seeds: int, noise: float) -> list[Points]:
    rng = np.random.default_rng(2)
    return [
        Points(
            np.repeat(p.x, seeds),
            np.repeat(p.y, seeds) * np.exp(noise * rng.standard_normal(seeds * len(p))),
            label=p.label,
        )
        for p in groups
    ]


def test_akaike_weights_count_sizes_and_not_seeds() -> None:
    laws = ("power", "saturating")
    once = groups_of(2, 8, floor=2.0, noise=0.1)
    own = akaike_weights({law: fit_groups(once, law) for law in laws})
    assert 0.05 < own["power"] < 0.95
    many = akaike_weights({law: fit_groups(repeated(once, 5, 1e-4), law) for law in laws})
    assert many == pytest.approx(own, abs=0.01)


def test_a_law_that_meets_the_mean_of_every_size_has_no_weight_however_many_seeds_there_are() -> None:
    groups = repeated(groups_of(1, 3, floor=150.0, noise=0.001), 4, 0.002)
    assert not fit_groups(groups, "saturating")[0].limit
    assert akaike_weights({law: fit_groups(groups, law) for law in ("power", "saturating")}) == {}


def test_a_law_that_ended_as_the_line_is_ruled_out_with_it() -> None:
    """A line that steepens: saturating finds no asymptote and is the power law."""
    x = np.array([50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0])
    points = Points(x, np.array([220.7, 196.3, 171.1, 138.4, 115.6, 94.6]), label="c")
    result = selected([points], ("power", "saturating"))
    assert {score.law: score.bend_p is not None for score in result.laws} == {
        "power": True,
        "saturating": True,
    }
    assert laws_left(result.laws) == []
    assert "power and saturating are ruled out, since they cannot follow" in result.sentence
    assert result.sentence.startswith("Not decided: ")
    assert "alone is left" not in result.sentence
