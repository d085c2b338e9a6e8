"""Points to fit: one configuration's perplexities over training sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note
from cvfp_cli.study.units import YUnit, unit_of

Vector = NDArray[np.float64]

SAME_SIZE = 0.02  # points of one nominal size are of the same size if their ln n differ by at most this


@dataclass(frozen=True)
class Holdout:
    """What the forward error leaves out, where it is not the largest sizes.

    Attributes:
        column: its name. values: each point's, shape (m,). each: every value in turn, instead of the largest ones.
    """

    column: str
    values: Vector
    each: bool


@dataclass(frozen=True)
class Points:
    """The measurements of one group, in any order; fits do not depend on it.

    Attributes:
        x: training sizes (tokens or samples), shape (m,), all above 0.
        y: perplexities (or losses), shape (m,), all above 0.
        label: the group's name, such as ``2L_768d_2tok``.
        sizes: what makes two points replicates of one another (the nominal size: sample count), shape (m,);
            ``x`` itself where not given. Replicates may differ a little in x: another data seed, other tokens.
        parameters: model parameters (context_block + token_block) of each point for the ``joint`` law, shape
            (m,), or None.
        passes: how often the data of each point were passed over, shape (m,), at least 1, or None where nobody says.
        weights: relative precisions (1 / variance) of the points, shape (m,), all above 0, or None for equal ones.
            Only their ratios within a group matter.
        holdout: what the forward error leaves out; None for the largest sizes.
        flops: operations that each point's training took, shape (m,), where they are known.
        tokens: training tokens of each point, shape (m,), where x counts samples and they are known.
        x_name, y_name: the names of the columns.
        study: what the group belongs to: the configurations of one study share a joint law.
        unit: of y, where it is known from more than these points; see ``y_unit``.
        of_members: made of the runs of other groups, as an ensemble is, and so no further evidence beside them.
        notes: remarks on how the points were gathered; they travel into ``Fit.warnings``.

    Raises:
        InputError: a value that is not finite and above 0; shapes that differ.
    """

    x: Vector
    y: Vector
    label: str = ""
    sizes: Vector | None = None
    parameters: Vector | None = None
    passes: Vector | None = None
    flops: Vector | None = None
    weights: Vector | None = None
    holdout: Holdout | None = None
    tokens: Vector | None = None
    x_name: str = "train_tokens"
    y_name: str = "val_ppl"
    study: str = ""
    unit: YUnit | None = None
    of_members: bool = False
    notes: tuple[Note, ...] = field(default=())

    def __post_init__(self) -> None:
        x = np.asarray(self.x, dtype=float).reshape(-1)
        y = np.asarray(self.y, dtype=float).reshape(-1)
        sizes = x if self.sizes is None else np.asarray(self.sizes, dtype=float).reshape(-1)
        where = f" in {self.label}" if self.label else ""
        if not len(x) == len(y) == len(sizes):
            raise InputError(
                f"{self.x_name} and {self.y_name}{where} differ in length: {len(x)} and {len(y)}."
            )
        for name, values in ((self.x_name, x), (self.y_name, y)):
            bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if bad.size:
                raise InputError(
                    f"{name}{where} is {values[bad[0]]:g} at point {bad[0] + 1}: it must be finite and above 0.",
                    hint="Remove that run or correct it.",
                )
        # Sorted once here, so that no result downstream can depend on the order of rows.
        order = np.lexsort((y, x))
        object.__setattr__(self, "x", x[order])
        object.__setattr__(self, "y", y[order])
        object.__setattr__(self, "sizes", sizes[order])
        checked = (
            ("parameters", "Model parameters"),
            ("passes", "Epochs"),
            ("flops", "Operations"),
            ("weights", "Weights"),
            ("tokens", "Tokens"),
        )
        for field_name, called in checked:
            if (given := getattr(self, field_name)) is None:
                continue
            values = np.asarray(given, dtype=float).reshape(-1)
            if len(values) != len(x) or not np.all(np.isfinite(values) & (values > 0)):
                raise InputError(f"{called}{where} must be finite and above 0, one for each point.")
            object.__setattr__(self, field_name, values[order])
        if self.passes is not None and self.passes.min() < 1.0:
            raise InputError(f"Epochs{where} are {self.passes.min():g}: data that were read once have 1.")
        if self.holdout is not None:
            object.__setattr__(self, "holdout", replace(self.holdout, values=self.holdout.values[order]))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def y_unit(self) -> YUnit:
        """The unit of y: as given, else by its name and values."""
        return self.unit or unit_of(self.y_name, self.y)

    @property
    def relative_weights(self) -> Vector:
        """The points' weights with the mean 1, shape (m,); all 1 where none were given."""
        return np.ones(len(self)) if self.weights is None else self.weights / self.weights.mean()

    @property
    def size_index(self) -> NDArray[np.int64]:
        """Which distinct size each point has, 0 for the smallest, shape (m,)."""
        assert self.sizes is not None  # set in __post_init__
        return np.unique(self.sizes, return_inverse=True)[1].astype(np.int64)

    @property
    def distinct_sizes(self) -> int:
        """How many different sizes there are; replicates count once."""
        assert self.sizes is not None
        return len(np.unique(self.sizes))

    @property
    def other_unit(self) -> tuple[str, Vector] | None:
        """The sizes in another unit than x, with its name: tokens of samples or samples of tokens; None if unknown."""
        if self.tokens is not None:
            return "train_tokens", self.tokens
        assert self.sizes is not None  # set in __post_init__
        return None if np.array_equal(self.sizes, self.x) else ("samples", self.sizes)

    def only(self, kept: NDArray[np.bool_]) -> "Points":
        """The same group with the points at ``kept`` (m,) alone, and the usual held-out sizes."""

        def part(values: Vector | None) -> Vector | None:
            return None if values is None else values[kept]

        return replace(
            self,
            x=self.x[kept],
            y=self.y[kept],
            sizes=part(self.sizes),
            parameters=part(self.parameters),
            passes=part(self.passes),
            flops=part(self.flops),
            weights=part(self.weights),
            tokens=part(self.tokens),
            holdout=None,
        )

    def require_fittable(self) -> None:
        """Check that a law can be drawn at all.

        Raises:
            InputError: fewer than two points, or all at one x.
        """
        name = self.label or "these data"
        if len(self) < 2:
            raise InputError(
                f"{name} has {counted(len(self), 'point')} with {self.x_name} and {self.y_name}; "
                "a law needs at least two.",
                hint="Train at more sizes.",
            )
        if np.ptp(self.x) == 0.0:
            raise InputError(
                f"All {len(self)} points of {name} have {self.x_name} = {self.x[0]:g}; a law needs two different sizes.",
                hint="Train at more sizes, or choose another --x.",
            )


def counted_once(groups: Sequence[Points]) -> tuple[Points, ...]:
    """The groups without those that are made of the runs of others; all, where there are no others."""
    return tuple(points for points in groups if not points.of_members) or tuple(groups)
