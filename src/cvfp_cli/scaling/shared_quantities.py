"""Figures of one group within a shared fit: those of the law, in the unknowns of all groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.laws.base import HEAVY, Law
from cvfp_cli.laws.quantities import Bound, Quantity
from cvfp_cli.scaling.shared import Layout, SharedFit
from cvfp_cli.stats.solver import Array, Rows

# A gradient this much smaller in the free unknowns than in the fixed ones is none.
STILL = 1e-12


def lifted(quantity: Quantity, law: Law, layout: Layout, group: int) -> Quantity:
    """A figure of the law as one of ``group`` within all groups' unknowns.

    Args:
        quantity: for a batch of which the group is problem ``group``.

    While the figure is held, the group's own coordinates stand in place of its common ones among the unknowns: so the
    one that is solved for remains one of them.
    """
    at = layout.position[group]

    def mine(rows: Rows) -> Rows:
        return np.full(len(rows), group, dtype=np.intp)

    def functional(unknowns: Array, rows: Rows) -> tuple[Array, Array]:
        theta, by_own = law.from_common(unknowns[:, at])
        value, gradient = quantity.functional(theta, mine(rows))
        if by_own is not None:
            gradient = np.einsum("pi,pij->pj", gradient, by_own)
        return value, layout.scatter(group, gradient)

    def enter(unknowns: Array, t: Array, rows: Rows) -> Array:
        out = unknowns.copy()
        theta, _ = law.from_common(unknowns[:, at])
        out[:, at] = theta if quantity.enter is None else quantity.enter(theta, t, mine(rows))
        return out

    def hold(unknowns: Array, t: Array, rows: Rows) -> tuple[Array, Array]:
        assert quantity.hold is not None  # below
        theta, by_unknown = quantity.hold(unknowns[:, at], t, mine(rows))
        own, by_theta = law.to_common(theta)
        out = unknowns.copy()
        out[:, at] = own
        whole = np.tile(np.eye(unknowns.shape[1]), (len(unknowns), 1, 1))
        whole[:, at[:, None], at] = by_unknown if by_theta is None else by_theta @ by_unknown
        return out, whole

    def bound(own: Bound | None) -> Bound | None:
        common = None if own is None else law.bound_in_common(own)
        if common is None or not layout.free[at[common.coordinate]]:
            return None
        return replace(common, coordinate=int(at[common.coordinate]))

    held = quantity.hold is not None
    return replace(
        quantity,
        functional=functional,
        user=lambda t, rows: quantity.user(t, mine(rows)),
        hold=hold if held else None,
        enter=enter if held else None,
        low=bound(quantity.low),
        high=bound(quantity.high),
    )


def measured_instead(
    fit: SharedFit, quantities: Sequence[Quantity], *, held: bool
) -> tuple[list[Quantity], NDArray[np.bool_]]:
    """Lifted figures as they can be held in this fit, and which of them no free unknown moves, (Q,).

    Where coordinates are fixed or tied, the one that is solved for may be among them. Such a figure, and one that no
    coordinate can be solved for, is held by a measurement of it instead: one that weighs ``HEAVY`` times what the data
    know of it, which makes an interval wider by less than 0.1 %.

    Args:
        held: whether coordinates are fixed or tied.
    """
    none = np.zeros(1, dtype=np.intp)
    free = fit.layout.free
    gram = fit.pose(none, None, None).evaluate(fit.theta, none).gram[0][np.ix_(free, free)]
    unit = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    inverse = np.linalg.pinv(gram * np.outer(unit, unit), rcond=1e-12, hermitian=True) * np.outer(unit, unit)
    result, still = [], []
    for quantity in quantities:
        row = quantity.functional(fit.theta, none)[1][0]
        mine = row[free]
        fast = bool(np.all(np.abs(mine) <= STILL * np.abs(row).max(initial=0.0)))
        still.append(fast and quantity.place is None and held)
        if quantity.place is None and (held or quantity.hold is None):
            known = float(mine @ inverse @ mine)
            weight = HEAVY / known if known > 0.0 else HEAVY
            quantity = replace(quantity, hold=None, enter=None, weight=weight)
        result.append(quantity)
    return result, np.array(still, dtype=np.bool_)
