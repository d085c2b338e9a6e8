"""What data are worth: known truths, Fieller's interval against a search, and what sizes share."""

import numpy as np
import pytest
from scipy.special import stdtrit

from cvfp_cli.stats.lines import RunPoint, fit_lines
from cvfp_cli.stats.worth import Worth, alike, lines_of_pair, worth

X = np.log(50_000.0) + np.log(2.0) * np.arange(5)
LEVEL = 0.95


def points(
    levels: dict[str, float],
    noise: float = 0.0,
    *,
    seed: int = 0,
    slopes: dict[str, float] | None = None,
    shared: float = 0.0,
    shift: float = 0.0,
) -> list[RunPoint]:
    """Lines at X; the sizes of the second configuration may be moved by ``shift``."""
    rng = np.random.default_rng(seed)
    bump = shared * rng.standard_normal(len(X))
    found = []
    for place, (name, level) in enumerate(levels.items()):
        for i, x in enumerate(X + shift * (place == 1)):
            y = 12.0 + level + (slopes or {}).get(name, -0.5) * x + bump[i] + noise * rng.standard_normal()
            found.append(RunPoint(name, float(i), None, float(x), float(y)))
    return found


def of(made: list[RunPoint], first: str = "a", second: str = "b") -> Worth:
    lines = fit_lines(made, own=True)
    assert lines is not None
    found = worth(lines, [first], [second], LEVEL)
    assert found is not None
    return found


def test_a_known_shift_of_the_curve_is_found_whichever_way_round() -> None:
    made = points({"a": 0.0, "b": -0.5 * np.log(1.7)}, 1e-6)
    one, other = of(made), of(made, "b", "a")
    assert one.times.value == pytest.approx(1.7, rel=1e-4)
    assert one.decided
    assert not one.outside
    # Read off both lines by hand, at the PPL that is named.
    sizes = [np.exp((one.log_y - 12.0 - level) / -0.5) for level in (0.0, -0.5 * np.log(1.7))]
    assert one.sizes == pytest.approx(sizes, rel=1e-4)
    assert [1.0 / (end or 0.0) for end in (other.times.value, other.times.high, other.times.low)] == (
        pytest.approx([one.times.value, one.times.low, one.times.high])
    )


def test_it_is_outside_the_data_where_one_side_must_be_read_off_beyond_them() -> None:
    assert not of(points({"a": 0.0, "b": -0.5 * np.log(15.0)}, 1e-4)).outside
    far = of(points({"a": 0.0, "b": -0.5 * np.log(17.0)}, 1e-4))
    assert far.outside
    assert far.times.value == pytest.approx(17.0, rel=0.01)


def test_a_curve_that_bends_alike_is_worth_what_it_is_shifted_by() -> None:
    made = [
        RunPoint(name, float(i), None, x, 12.0 - 0.5 * (x + shift) + 0.03 * (x + shift - X.mean()) ** 2)
        for name, shift in (("a", 0.0), ("b", np.log(2.0)))
        for i, x in enumerate(X)
    ]
    assert of(made).times.value == pytest.approx(2.0, rel=0.02)


def test_the_ends_are_where_the_gap_of_the_moved_lines_is_just_told_from_none() -> None:
    """Two configurations in the same sizes: at a ratio r, line 1 at m r^(1/2) against line 2 at m r^(-1/2)."""
    made = points({"a": 0.0, "b": -0.2}, 0.03, seed=4)
    found = of(made)
    fits = []
    for name in "ab":
        y = np.array([point.y for point in made if point.configuration == name])
        slope, level = np.polyfit(X - X.mean(), y, 1)
        fits.append((level, slope, y - level - slope * (X - X.mean())))
    (level1, slope1, left1), (level2, slope2, left2) = fits
    middle = np.log(found.sizes[0] * found.sizes[1]) / 2 - X.mean()
    # One error of each size is shared, one is each configuration's own: their covariance matrix by its moments.
    own = float((left1 - left2) @ (left1 - left2)) / (len(X) - 2) / 2
    both = float((left1 + left2) @ (left1 + left2)) / (len(X) - 2) / 2
    spread = float((X - X.mean()) @ (X - X.mean()))
    for end in (found.times.low, found.times.high):
        assert end is not None
        step = np.log(end) / 2
        gap = level1 + slope1 * (middle + step) - level2 - slope2 * (middle - step)
        # Sum and difference of the two figures rest on errors that are independent.
        minus, plus = 2.0, 0.0
        variance = own * (minus**2 / len(X) + (2 * middle) ** 2 / spread) / 2 + both * (
            plus + 2 * step**2 / spread
        )
        assert abs(gap) == pytest.approx(stdtrit(found.times.df, 0.975) * np.sqrt(variance), rel=1e-6)


def test_what_a_size_adds_to_all_leaves_the_worth_as_it_is() -> None:
    plain, shared = (points({"a": 0.0, "b": -0.1}, 0.01, seed=2, shared=by) for by in (0.0, 0.05))
    bare, moved = of(plain), of(shared)
    assert bare.times.value == pytest.approx(moved.times.value, rel=0.05)
    apart = lines_of_pair(shared, "b", independent=True)
    assert apart is not None
    alone = worth(apart, ["a"], ["b"], LEVEL)
    assert alone is not None
    assert moved.times.low is not None
    assert moved.times.high is not None
    assert alone.times.low is not None
    assert alone.times.high is not None
    paired, unpaired = (np.log(item.times.high / item.times.low) for item in (moved, alone))
    assert paired < 0.5 * unpaired


@pytest.mark.parametrize(("times", "apart"), [(1.0, 0.0), (1.6, 0.0), (1.6, 0.1)])
def test_intervals_hold_the_truth_as_often_as_they_say(times: float, apart: float) -> None:
    levels = {"a": 0.0, "b": -0.5 * np.log(times) + apart * X.mean(), "c": 0.1}
    slopes = {"b": -0.5 - apart}
    held = decided = 0
    for seed in range(200):
        found = of(points(levels, 0.02, seed=seed, slopes=slopes, shared=0.05))
        log_y = found.log_y - 12.0
        truth = np.exp(log_y / -0.5 - (log_y - levels["b"]) / slopes["b"])
        held += (found.times.low or 0.0) <= truth <= (found.times.high or np.inf)
        decided += found.decided
    assert 181 <= held <= 199
    assert decided <= 19 if times == 1.0 else decided > 190


def test_slopes_that_cannot_be_told_from_none_leave_it_open() -> None:
    flat = points({"a": 0.0, "b": -0.1}, 0.2, seed=7, slopes={"a": -0.1, "b": -0.1})
    found = of(flat)
    assert None in (found.times.low, found.times.high)
    assert not found.decided
    lines = fit_lines(points({"a": 0.0, "b": 0.0}, 0.001, slopes={"b": 0.1}), own=True)
    assert lines is not None
    assert worth(lines, ["a"], ["b"], LEVEL) is None


def test_kinds_are_compared_by_the_means_of_their_lines() -> None:
    made = points({"a": 0.0, "b": 0.1, "c": -0.5 * np.log(2.0), "d": 0.1 - 0.5 * np.log(2.0)}, 1e-6)
    lines = fit_lines(made, own=True)
    assert lines is not None
    found = worth(lines, ["a", "b"], ["c", "d"], LEVEL)
    assert found is not None
    assert found.times.value == pytest.approx(2.0, rel=1e-4)


def test_a_size_that_one_side_lacks_does_not_part_it_from_the_mean_difference() -> None:
    """What sizes share cancels at common sizes only: the verdict is that of the paired difference there."""
    agree = 0
    for seed in range(40):
        made = points({"a": 0.0, "b": -0.02}, 0.01, seed=seed, shared=0.05)
        made += [made[3]._replace(y=made[3].y + 0.01)]  # and one more seed of a cell
        made = [point for point in made if (point.configuration, point.size) != ("b", 0.0)]
        lines = lines_of_pair(made, "b", independent=False)
        assert lines is not None
        found = worth(lines, ["a"], ["b"], LEVEL)
        assert found is not None
        y = [
            [np.mean([p.y for p in made if (p.configuration, p.size) == (name, i)]) for i in range(1, 5)]
            for name in "ab"
        ]
        apart = np.array(y[1]) - np.array(y[0])
        line = np.polynomial.Polynomial.fit(X[1:], apart, 1)
        error = np.sqrt(np.sum((apart - line(X[1:])) ** 2) / 2 / 4)
        agree += found.decided == bool(abs(apart.mean()) > stdtrit(2, 0.975) * error)
    assert agree >= 33  # 26 where all runs make the lines


def test_alike_runs_stay_as_they_are() -> None:
    made = points({"a": 0.0, "b": -0.1}, 0.01)
    assert alike(made, "a", "b") is made
    few = [point for point in made if point.configuration == "a" or point.size < 2.0]
    assert alike(few, "a", "b") is few
