"""A run that goes on from its checkpoint has the figures, metrics and weights of one that was never broken."""

from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import Recorder, sweep_into, tiny_recipe, without_times

from cvfp_cli.core.experiment import run_experiment
from cvfp_cli.core.result import Advance, Iteration
from cvfp_cli.recipes import Recipe
from cvfp_cli.sweeps.journal import Metrics
from cvfp_cli.sweeps.watch import Together
from cvfp_cli.sweeps.work import Keeping

KEEPING = Keeping(weights=True, seconds_between=0.0)
NAME = "2L_8d_2tok_s8_seed42"


def one() -> Recipe:
    return tiny_recipe(
        grid__layers=[2], grid__tokens=[2], runs__samples=[8], phase2__epochs=3, phase2__patience=0
    )


class BreakAt(Recorder):
    """Interrupts the run when its ``number``-th iteration or epoch is told."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number
        self.first: Any = None

    def advanced(self, job: Any, event: Any) -> None:
        if isinstance(event, Advance):
            return
        self.first = self.first or event
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("whole") / "out"
    return folder, sweep_into(folder, one(), run=run_experiment, keeping=KEEPING, watcher=Metrics())


def figures(folder: Path) -> tuple[bytes, list[str]]:
    """The run's weights, and its metrics without times."""
    metrics = (folder / "runs" / NAME / "metrics.jsonl").read_text().splitlines()
    return (folder / "runs" / NAME / "model.safetensors").read_bytes(), [
        line.rpartition(', "seconds"')[0] for line in metrics
    ]


@pytest.mark.parametrize("number", range(2, 10))
def test_broken_anywhere_and_resumed(tmp_path: Path, whole: tuple[Path, Any], number: int) -> None:
    folder, unbroken = whole
    with pytest.raises(KeyboardInterrupt):
        sweep_into(
            tmp_path / "out",
            one(),
            run=run_experiment,
            keeping=KEEPING,
            watcher=Together([Metrics(), BreakAt(number)]),
        )
    assert (tmp_path / "out" / "runs" / NAME / "checkpoint.pt").exists() == (number > 2)
    second = BreakAt(10**9)
    resumed = sweep_into(
        tmp_path / "out", one(), run=run_experiment, keeping=KEEPING, watcher=Together([Metrics(), second])
    )
    assert [without_times(run) for run in resumed.here] == [without_times(run) for run in unbroken.here]
    assert figures(tmp_path / "out") == figures(folder)
    assert not (tmp_path / "out" / "runs" / NAME / "checkpoint.pt").exists()
    if number > 3:  # it went on, and did not start over
        assert not (isinstance(second.first, Iteration) and second.first.iteration <= 2)


def test_without_resume_it_starts_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep_into(tmp_path / "out", one(), run=run_experiment, keeping=KEEPING, watcher=BreakAt(5))
    second = BreakAt(10**9)
    sweep_into(
        tmp_path / "out",
        one(),
        run=run_experiment,
        keeping=Keeping(resume=False, seconds_between=0.0),
        watcher=second,
    )
    assert isinstance(second.first, Iteration)
    assert second.first.iteration == 1
