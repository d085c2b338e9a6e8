"""Which groups share a joint law, and whether a test says that they do not."""

from dataclasses import replace

import numpy as np
import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.joint_fits import fit_joint_groups
from cvfp_cli.scaling.joint_study import pools_of
from cvfp_cli.scaling.study import Request, run_study
from cvfp_cli.study.points import Points

N = np.repeat([5e7, 1e8, 4e8, 1e9], 4)
D = np.tile([1e9, 4e9, 2e10, 1e11], 4)


def group(
    label: str, seed: int, *, shift: float = 0.0, keep: object = slice(None), study: str = ""
) -> Points:
    y = 1.82 + shift + 482.0 / N**0.3478 + 2085.4 / D**0.3658
    y = y * np.exp(0.003 * np.random.default_rng(seed).standard_normal(len(N)))
    return Points(x=D[keep], y=y[keep], parameters=N[keep], y_name="loss", label=label, study=study)  # type: ignore[index]


def joint(
    *groups: Points, pooling: str = "study", law: str = "joint"
) -> tuple[list[tuple[str, int]], list[str]]:
    study = run_study(groups, Request(laws=(law,), pooling=pooling))
    return [(fit.config, fit.points) for fit in study.fits if fit.law == "joint"], [
        note.code for note in study.notes
    ]


def test_configurations_of_one_study_share_a_law_and_studies_do_not() -> None:
    a, b, c = group("a", 0, study="one"), group("b", 1, study="one"), group("c", 2, study="two")
    assert joint(a, b) == ([("2 configurations", 32)], [])
    assert joint(a, b, c) == ([("2 configurations (one)", 32), ("c", 16)], [])
    assert joint(a, b, c, pooling="none") == ([("a", 16), ("b", 16), ("c", 16)], [])
    assert joint(a, b, c, pooling="all") == ([("3 groups", 48)], [])
    assert [pool.label for pool in pools_of((a, b, c), "none")] == ["a", "b", "c"]


def test_a_group_of_one_size_is_a_row_of_a_joint_law() -> None:
    configurations = [group(str(i), i, keep=[i]) for i in range(16)]
    assert joint(*configurations) == ([("16 configurations", 16)], [])
    # Unasked too: the laws of x alone cannot be drawn through one point, and a note says that they are left out.
    fits, codes = joint(*configurations, law="all")
    assert fits == [("16 configurations", 16)]
    assert set(codes) == {"group-left-out", "joint-choice"}


def test_groups_that_cannot_have_a_law_of_their_own_are_named() -> None:
    whole, narrow = group("whole", 0), group("narrow", 1, keep=slice(0, 4))
    assert joint(whole, narrow, pooling="none") == ([("whole", 16)], ["joint-group-left-out"])
    parts = [group(str(i), i, keep=slice(4 * i, 4 * i + 4)) for i in range(4)]
    with pytest.raises(InputError) as caught:
        joint(*parts, pooling="none")
    assert "--pool" in caught.value.hint
    fits, codes = joint(*parts, pooling="none", law="all")
    assert not fits
    assert codes == ["joint-left-out"]


def test_the_test_of_a_pool_tells_different_laws_from_one() -> None:
    same = fit_joint_groups([group("a", 3), group("b", 4)])
    assert same.pool is not None
    assert (same.pool.groups, same.pool.df1, same.pool.df2) == (2, 5, 22)
    assert same.pool.p is not None
    assert same.pool.p > 0.05
    assert "pool-differs" not in {note.code for note in same.warnings}
    other = fit_joint_groups([group("a", 3), group("b", 4, shift=0.1)])
    assert other.pool is not None
    assert other.pool.p is not None
    assert other.pool.p < 1e-4
    assert "pool-differs" in {note.code for note in other.warnings}


def test_groups_of_one_model_size_are_tested_for_what_they_can_tell() -> None:
    parts = [group(str(i), 0, keep=slice(4 * i, 4 * i + 4)) for i in range(4)]
    test = fit_joint_groups(parts).pool
    assert test is not None
    # Each has a level and two parameters of D.
    assert (test.df1, test.df2) == (12 - 5, 4)
    assert fit_joint_groups([group("a", 0)]).pool is None
    single = fit_joint_groups([group(str(i), 0, keep=[i]) for i in range(16)]).pool
    assert single is not None
    assert (single.f, single.p, single.df2) == (None, None, 0)


def test_an_outlier_does_not_make_groups_differ() -> None:
    a, b = group("a", 3), group("b", 4)
    y = b.y.copy()
    y[5] *= 1.3
    test = fit_joint_groups([a, replace(b, y=y)]).pool
    assert test is not None
    assert test.p is not None
    assert test.p > 0.01


def test_ensembles_are_left_out_of_what_groups_share() -> None:
    a, b = group("a", 0, study="one"), group("b", 1, study="one")
    made = replace(group("b x3", 2, shift=-0.1, study="one"), of_members=True)
    for pooling in ("study", "all"):
        plain, mixed = (
            run_study(groups, Request(laws=("joint",), pooling=pooling)) for groups in ((a, b), (a, b, made))
        )
        assert [fit.to_json() for fit in mixed.fits] == [fit.to_json() for fit in plain.fits]
        assert [note.code for note in mixed.notes if note not in plain.notes] == ["ensembles-apart"]
    assert joint(a, b, made, pooling="none")[1] == []  # nothing is shared, so nothing is left out
    assert joint(made) == ([("b x3", 16)], [])


def test_ensembles_share_no_slope_with_their_members() -> None:
    a, b, made = (replace(group(name, i), parameters=None) for i, name in enumerate(("a", "b", "b x3")))
    request = Request(laws=("power",), constraint=Constraint(shared=("alpha",)))
    plain = run_study((a, b), request)
    mixed = run_study((a, b, replace(made, of_members=True)), request)
    assert [fit.parameters["alpha"] for fit in mixed.fits] == [fit.parameters["alpha"] for fit in plain.fits]
    assert "ensembles-apart" in {note.code for note in mixed.notes}
