"""The runs of all groups as a joint law sees them: model sizes, data sizes, losses and passes over the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.laws.surface import Surface
from cvfp_cli.scaling.constraint import Constraint
from cvfp_cli.scaling.joint import HeldCoordinates, JointData, joint_data
from cvfp_cli.stats.error_model import Flags
from cvfp_cli.stats.solver import Array, Rows
from cvfp_cli.study.points import Points
from cvfp_cli.study.units import PPL, YUnit, loss_of, required_unit


@dataclass(frozen=True)
class JointRuns:
    """The runs of all groups in an order of their own, by data size, model size and y.

    Attributes:
        n, d, y, loss: model sizes, data sizes, measured values and losses in nats, (m,). unit: of y. data: what is fitted.
        member: the group of each run. order: where each run stands among those of all groups. size, model: codes of the
            data sizes, which are shared within a study, and of the models, (m,) each.
        flops: operations of each run, where all groups know them.
    """

    n: Array
    d: Array
    y: Array
    loss: Array
    unit: YUnit
    data: JointData
    member: Rows
    order: Rows
    size: Rows
    model: Rows
    flops: Array | None

    @classmethod
    def of(cls, groups: Sequence[Points], law: Surface, constraint: Constraint) -> "JointRuns":
        """Put the runs of all groups together.

        Raises:
            InputError: there are none, a group has no parameter counts or no passes that the law asks for, or
                ``joint_data`` refuses them.
        """
        n, d, y, member, order = _runs(groups)
        unit = required_unit(groups[0].y_unit, groups[0].y_name)
        held, passes = HeldCoordinates.of(constraint, law), _passes(groups, law)[order]
        loss = _losses(y, unit, groups[0].y_name)
        data = joint_data(n, d, loss, held, law=law, passes=passes)
        studies = np.unique([points.study for points in groups], return_inverse=True)[1]
        known = [points.flops for points in groups if points.flops is not None]
        flops = np.concatenate(known)[order] if len(known) == len(groups) else None
        return cls(
            n, d, y, loss, unit, data, member, order, _codes(studies[member], d), _codes(member, n), flops
        )

    def part(self, keep: Flags) -> JointData:
        """What is fitted of some of the runs, centred anew."""
        n, d, loss = self.n[keep], self.d[keep], self.loss[keep]
        return joint_data(n, d, loss, self.data.held, law=self.data.law, passes=self.data.passes[keep])


def _codes(owner: Rows, sizes: Array) -> Rows:
    """A number for each pair of an owner and a size, (m,)."""
    return np.unique(np.column_stack([owner, sizes]), axis=0, return_inverse=True)[1].ravel()


def _runs(groups: Sequence[Points]) -> tuple[Array, Array, Array, Rows, Rows]:
    """N, D, y and the group of every run, (m,) each, in an order of their own, and that order.

    Raises:
        InputError: there are none, or a group has no parameter counts.
    """
    if not groups:
        raise InputError("The joint law needs runs; there are none.")
    missing = [points.label for points in groups if points.parameters is None]
    if missing:
        raise InputError(
            f"The joint law needs the parameter counts of both blocks; {missing[0] or 'this table'} has none.",
            hint="Name the column that holds model sizes with --parameters, or fit power, saturating or exp-decay "
            "instead.",
        )
    n = np.concatenate([points.parameters for points in groups if points.parameters is not None])
    d = np.concatenate([points.x for points in groups])
    y = np.concatenate([points.y for points in groups])
    member = np.repeat(np.arange(len(groups)), [len(points) for points in groups])
    order = np.lexsort((y, n, d))
    return n[order], d[order], y[order], member[order], order


def _passes(groups: Sequence[Points], law: Surface) -> Array:
    """How often each run passed over its data, (m,) in the groups' order; 1 for a law that does not ask.

    Raises:
        InputError: the law asks, and a group does not say.
    """
    missing = [points.label for points in groups if points.passes is None]
    if law.repeats and missing:
        raise InputError(
            f"{law.name} needs to know how often each run passed over its data; {missing[0] or 'this table'} does not "
            "say.",
            hint="Name the column that holds it with --epochs, or fit joint.",
        )
    return np.concatenate(
        [
            points.passes if law.repeats and points.passes is not None else np.ones(len(points))
            for points in groups
        ]
    )


def _losses(y: Array, unit: YUnit, name: str) -> Array:
    """Losses, as ``units.loss_of``.

    Raises:
        InputError: a perplexity of 1 or less, which has no loss above 0.
    """
    low = y[y <= 1.0]
    if unit.name == PPL and low.size:
        raise InputError(
            f"The joint law needs losses above 0 nats; {low.size} of {counted(len(y), 'value')} of {name} are perplexities of 1 or "
            f"less, such as {low[0]:g}, and have none.",
            hint="Say with --y-unit what it is: nats, bits, bpb or other.",
        )
    return loss_of(y, unit)
