"""The list of learners, and what of a configuration tells its run from others."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cvfp_cli.errors import InputError
from cvfp_cli.learners import Stage, base, get_learner, identity_of, learners, register
from cvfp_cli.learners.base import flops_of
from cvfp_cli.learners.cvfp import CVFP


class Other:
    kind = "other"


@dataclass(frozen=True)
class Part:
    width: int = 4
    shown: bool = field(default=False, metadata={"identity": False})


@dataclass(frozen=True)
class Config:
    part: Part = Part()
    start: str = "table"
    spread: float = field(default=0.5, metadata={"needs": ("start", "drawn")})
    later: int = field(default=3, metadata={"since": "0.2.0"})
    changed: str = field(default="new", metadata={"since": "0.2.0", "before": "old"})


def test_a_learner_is_found_by_its_kind_and_replaced_by_another_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "_learners", dict(base._learners))
    first, second = Other(), Other()
    for other in (first, second):
        register(other)  # type: ignore[arg-type]
        assert get_learner("other") is other
    assert list(learners())[-1] == "other"
    assert get_learner("cvfp") is CVFP


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as refused:
        get_learner("cvpf")
    assert "cvpf" in str(refused.value)
    assert "cvfp" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("config", "identity"),
    [
        (Config(), {"part": {"width": 4}, "start": "table", "changed": "new"}),
        (Config(part=Part(shown=True)), {"part": {"width": 4}, "start": "table", "changed": "new"}),
        (
            Config(start="drawn", later=4),
            {"part": {"width": 4}, "start": "drawn", "spread": 0.5, "later": 4, "changed": "new"},
        ),
        (Config(spread=0.7, changed="old"), {"part": {"width": 4}, "start": "table"}),
    ],
)
def test_only_what_can_change_a_figure_is_in_the_identity(config: Config, identity: dict[str, Any]) -> None:
    """Metadata decides: what is only shown, has no meaning, or came later with the value that runs had before."""
    assert identity_of(config) == identity


@pytest.mark.parametrize(("free", "steps", "work"), [(0, 0, 0.0), (0, 7, 70.0), (1, 1, 10.0), (1, 7, 60.0)])
def test_steps_that_cost_nothing_are_no_work(free: int, steps: int, work: float) -> None:
    assert Stage("a", "a", "step", 9, 9, 10.0, free).work(steps) == work


def test_operations_are_those_of_the_steps_that_were_taken() -> None:
    stages = (Stage("a", "a", "step", 9, 9, 10.0, 1), Stage("b", "b", "step", 9, 9, 5.0))
    assert flops_of(stages, {"a": 4, "b": 2, "contexts": 0}) == 40.0
    assert flops_of(stages, {"a": 4}) == 30.0  # a run that diverged before the second stage
    assert flops_of((*stages, Stage("c", "c", "pass", 1, 1, 1.0, arithmetic=False)), {"a": 4}) is None
