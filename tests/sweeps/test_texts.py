"""Texts are made once, kept while runs share them, and on idle processors made before they are asked for."""

import threading
from collections import defaultdict
from typing import Any

import pytest
from sweep_fakes import tiny_recipe

from cvfp_cli.errors import WorkError
from cvfp_cli.sweeps.grid import Experiment, experiments
from cvfp_cli.sweeps.texts import Texts


def of_all(maker: Any) -> Any:
    """The same for any data tables."""
    return defaultdict(lambda: maker)


class Maker:
    """Stands in for a study's data: remembers what was asked for, and where."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int | None]] = []
        self.threads: list[threading.Thread] = []
        self.happened = threading.Condition()
        self.failing: set[tuple[int, int | None]] = set()

    def experiment(self, samples: int, data_seed: int | None = None) -> Any:
        with self.happened:
            self.made.append((samples, data_seed))
            self.threads.append(threading.current_thread())
            self.happened.notify_all()
            if (samples, data_seed) in self.failing:
                self.failing.remove((samples, data_seed))
                raise WorkError("no memory")
        return f"text of {samples}, {data_seed}"

    def wait_for(self, count: int) -> None:
        with self.happened:
            assert self.happened.wait_for(lambda: len(self.made) >= count, timeout=60)


def order(**overrides: Any) -> tuple[Experiment, ...]:
    return experiments(tiny_recipe(**{"runs.samples": [2, 4], **overrides}))


@pytest.mark.parametrize("ahead", [False, True])
def test_each_text_is_made_once_for_the_runs_that_share_it(ahead: bool) -> None:
    maker, points = Maker(), order()
    texts = Texts(of_all(maker), points, ahead=ahead)  # type: ignore[arg-type]
    assert len(points) > 2
    for point in points:
        assert texts.of(point) == f"text of {point.samples}, None"
    assert maker.made == [(2, None), (4, None)]


def test_the_next_is_made_while_the_first_is_in_use() -> None:
    maker, points = Maker(), order()
    Texts(of_all(maker), points, ahead=True).of(points[0])  # type: ignore[arg-type]
    maker.wait_for(2)
    assert maker.made == [(2, None), (4, None)]
    assert maker.threads[1] is not threading.current_thread()


def test_nothing_is_made_ahead_where_the_processor_trains() -> None:
    maker, points = Maker(), order()
    Texts(of_all(maker), points, ahead=False).of(points[0])  # type: ignore[arg-type]
    assert maker.made == [(2, None)]
    assert maker.threads == [threading.current_thread()]


def test_runs_that_alternate_between_texts() -> None:
    maker, points = Maker(), order(**{"runs.data_seeds": [0, 1, 2]})
    texts = Texts(of_all(maker), points, ahead=True)  # type: ignore[arg-type]
    keys = [(point.samples, point.data_seed) for point in points]
    assert [texts.of(point) for point in points] == [f"text of {n}, {seed}" for n, seed in keys]
    assert maker.made == keys


def test_a_failure_ahead_is_met_by_its_run_alone_and_made_anew_for_the_next() -> None:
    maker, points = Maker(), order()
    small, large = (next(point for point in points if point.samples == n) for n in (2, 4))
    maker.failing.add((4, None))
    texts = Texts(of_all(maker), points, ahead=True)  # type: ignore[arg-type]
    assert texts.of(small) == "text of 2, None"
    with pytest.raises(WorkError, match="no memory"):
        texts.of(large)
    assert maker.made == [(2, None), (4, None)]
    assert texts.of(large) == "text of 4, None"
