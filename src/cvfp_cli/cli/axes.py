"""The options of the learners' axes, made from what the learners declare: ``--layers``, ``--tokens``, …"""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from typing import Any

from cvfp_cli.cli.options import given, option_of


@dataclass(frozen=True)
class Axes:
    """What was given for each axis: a field for every one that a known learner has, None where it was not given."""

    def given(self) -> Mapping[str, tuple[str, Any]]:
        """For each axis the recipe's field, with its option and what was given for it."""
        return {f"grid.{name}": (option_of(name), texts) for name, texts in vars(self).items()}


@dataclass(frozen=True)
class AxisOptions:
    """Marks a command's parameter of type :class:`Axes`.

    Attributes:
        panel: the options' group on the help page. metavar: what stands there for their value.
    """

    panel: str
    metavar: str

    def dataclass(self) -> type[Axes]:
        """The dataclass to fill, made anew for each command line, so that it knows every learner."""
        from cvfp_cli.learners import learners

        every = [axis for learner in learners().values() for axis in learner.axes]
        axes = {axis.name: axis.help for axis in every if axis.help}
        fields = [
            (name, list[str] | None, given(self.panel, self.metavar, help)) for name, help in axes.items()
        ]
        return make_dataclass("GivenAxes", fields, bases=(Axes,), frozen=True)
