"""A folder that 0.1.0 began is read by every command and can be extended."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import Recorder, sweep_into, tiny_recipe

from cvfp_cli.errors import InputError
from cvfp_cli.results import read_results

OLD = Path(__file__).parent / "v0.1.0"  # written by 0.1.0: 1 layer, 1 and 2 tokens, 2 and 4 samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "out"))


def test_its_runs_have_kind_axes_and_stages(folder: Path) -> None:
    runs = read_results(folder).runs
    assert len(runs) == 4
    assert {run.kind for run in runs} == {"cvfp"}
    assert runs[0].axes == {"layers": 1, "tokens": 1, "context_dim": 8}
    assert [(stage.name, stage.steps) for stage in runs[0].stages] == [
        ("phase1", 3),
        ("contexts", 0),
        ("phase2", 2),
    ]


@pytest.mark.parametrize(
    ("more", "new"),
    [
        ({}, 0),
        ({"runs__samples": [2, 4, 8]}, 2),
        ({"grid__layers": [1, 2]}, 4),
        ({"runs__seeds": [42, 43]}, 4),
    ],
)
def test_it_is_extended_and_what_it_has_is_not_trained_again(
    folder: Path, more: dict[str, Any], new: int
) -> None:
    watcher = Recorder()
    before = {run.run_id for run in read_results(folder).runs}
    recipe = tiny_recipe(**{"grid__layers": [1], "runs__samples": [2, 4], **more})
    ended = sweep_into(folder, recipe, watcher=watcher)
    assert len(watcher.names()) == new
    assert before <= {run.run_id for run in ended.runs}
    assert len(ended.runs) == 4 + new


def test_a_new_axis_finds_the_runs_of_before_where_their_study_held_it(folder: Path) -> None:
    more = {"grid__layers": [1], "runs__samples": [2, 4], "grid__phase1.noise": [0.1, 0.3]}
    watcher = Recorder()
    ended = sweep_into(folder, tiny_recipe(**more), watcher=watcher)
    assert watcher.names() == [
        f"1L_8d_{tokens}tok_noise=0.3_s{samples}_seed42" for samples in (2, 4) for tokens in (1, 2)
    ]
    assert {run.axes["phase1.noise"] for run in ended.runs} == {0.1, 0.3}
    assert len({run.config for run in ended.runs}) == 4
    assert {run.config for run in ended.here} == {run.config for run in ended.runs}
    again = sweep_into(folder, tiny_recipe(grid__layers=[1], runs__samples=[2, 4]), watcher=Recorder())
    assert {run.config for run in again.runs} == {run.config for run in ended.runs}


def test_another_setting_is_still_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"phase1\.noise is 0\.1 there and 0\.3 here"):
        sweep_into(folder, tiny_recipe(grid__layers=[1], phase1__noise=0.3))
