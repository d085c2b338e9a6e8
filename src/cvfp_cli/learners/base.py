"""What every learner declares and does, and the list of learners by their kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cvfp_cli.errors import InputError
from cvfp_cli.spelling import advice

if TYPE_CHECKING:
    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.experiment import Checkpoint, Outcome
    from cvfp_cli.core.result import ExperimentData, Progress

AxisValue = int | float | str | bool | tuple[int | str, ...]


@dataclass(frozen=True)
class Axis:
    """A field of a learner's tables that stands in every run's name, as a rule with an option of its own.

    Attributes:
        name: in options, JSON keys and tables, such as ``context_dim``; no two learners share one.
        field: where a recipe holds it, such as ``model.context_dim``; a whole number with a least value.
        help: for the option, one clause; empty where there is none, and ``--grid`` takes the field.
    """

    name: str
    field: str
    help: str = ""


@dataclass(frozen=True)
class Stage:
    """One part of a run that takes steps.

    Attributes:
        name: in events and results, such as ``phase1``. title: for people, such as ``phase 1``.
        unit: what its steps are called, such as ``iteration``.
        most: steps that the recipe allows.
        likely: steps to expect before any run has shown its own.
        operations: floating-point operations of one step.
        free: first steps that cost nothing, such as an untrained start.
        arithmetic: whether ``operations`` counts arithmetic; False where it only stands for the time that a step takes.
    """

    name: str
    title: str
    unit: str
    most: int
    likely: int
    operations: float
    free: int = 0
    arithmetic: bool = True

    def work(self, steps: int) -> float:
        """Floating-point operations of so many steps; at least one counts."""
        return self.operations * max(steps - self.free, 1 if self.free else 0)


def flops_of(stages: Sequence[Stage], steps: Mapping[str, int]) -> float | None:
    """Floating-point operations of a run's products: the work of every stage in the steps that it took.

    Optimisers, activations, the recurrence between phases and what is measured of contexts are not counted.

    Args:
        steps: by the stage's name; a stage that was never reached has none.

    Returns:
        None where the operations of a stage are no arithmetic.
    """
    if not all(stage.arithmetic for stage in stages):
        return None
    return sum(stage.work(steps[stage.name]) for stage in stages if steps.get(stage.name))


@dataclass(frozen=True)
class Sizes:
    """Lengths of a run's streams in tokens, rows (V) and width (E) of its table."""

    train_tokens: int
    val_tokens: int
    vocab_size: int
    embed_dim: int


class RunParameters(Protocol):
    """Parameter counts of a run."""

    @property
    def parts(self) -> Mapping[str, int]:
        """Of each part that is no table and no head, by name, such as ``context_block``."""

    @property
    def total(self) -> int | None:
        """Of everything, the table included; None where only training tells."""


class Memory(Protocol):
    """What a run holds, and where."""

    @property
    def held_bytes(self) -> int:
        """What its device has to hold whatever the size of pieces."""

    @property
    def peak_bytes(self) -> int:
        """Estimate of the most that it takes on its device."""

    @property
    def host_bytes(self) -> int:
        """What the host's memory keeps for the device."""


class Learner(Protocol):
    """Makes runs of one kind. A ``config`` is a frozen dataclass of the learner's own, with a ``seed``."""

    @property
    def kind(self) -> str:
        """Its name in recipes, options and results."""

    @property
    def tables(self) -> Mapping[str, type[Any]]:
        """The recipe's tables that belong to it, with their dataclasses."""

    @property
    def axes(self) -> Sequence[Axis]:
        """Its own axes; of a grid the first varies fastest."""

    @property
    def name(self) -> str:
        """What a configuration is called, each axis's value in braces: ``{layers}L_{context_dim}d_{tokens}tok``."""

    def config(self, tables: Mapping[str, Any], seed: int) -> Any:
        """What decides the figures of a run, up to its data.

        Args:
            tables: the learner's dataclasses by table name.
        """

    def contradictions(self, tables: Mapping[str, Any]) -> list[str]:
        """What no single key of its tables shows; a clause each."""

    def record(self, config: Any) -> Mapping[str, AxisValue]:
        """What its runs record of a configuration besides the axes, by keys of the schema."""

    def stages(self, config: Any, sizes: Sizes) -> Sequence[Stage]:
        """The parts of a run that take steps, in order."""

    def parameters(self, config: Any, sizes: Sizes) -> RunParameters:
        """Counts of each part."""

    def memory(self, config: Any, execution: "Execution", sizes: Sizes) -> Memory:
        """What a run holds, and where."""

    def train(
        self,
        config: Any,
        data: "ExperimentData",
        execution: "Execution",
        progress: "Progress",
        checkpoint: "Checkpoint | None",
        notify: Callable[[str], None],
    ) -> "Outcome":
        """Train and measure one run; the same arguments on the same machine give the same figures.

        Raises:
            WorkError: the run cannot be done, for a reason that it names.
        """


@runtime_checkable
class DecidesAxes(Protocol):
    """A learner some of whose other keys decide where its runs stand on an axis of its own."""

    def decided_axes(self, raw: Mapping[str, Any]) -> Mapping[str, tuple[AxisValue, str]]:
        """Values on its axes that other keys decide, each with the key, such as ``model.blocks``.

        Args:
            raw: a recipe's tables as they were read, not yet checked.
        """

    def shown_axes(self, tables: Mapping[str, Any]) -> Mapping[str, str]:
        """How a name shows values on its axes that it shows otherwise than as they are: ``{"context_dim": "2x256"}``."""


_learners: dict[str, Learner] = {}


def register(learner: Learner) -> None:
    """Make a learner known to recipes, options and commands; one of the same kind is replaced."""
    _learners[learner.kind] = learner


def learners() -> Mapping[str, Learner]:
    """Every known learner by its kind, in the order in which they were registered."""
    return dict(_learners)


def get_learner(kind: str) -> Learner:
    """The learner of a kind.

    Raises:
        InputError: there is none.
    """
    if kind not in _learners:
        raise InputError(
            f"there is no kind of model called {ascii(kind)[:42]}.", hint=advice(kind, _learners)
        )
    return _learners[kind]


def identity_of(config: Any) -> dict[str, Any]:
    """The fields of a dataclass that tell its run from others, for hashes and for what a folder's runs share.

    Their metadata decides: ``identity`` False never does; ``needs`` (a field and its value) leaves out a field that
    has no meaning otherwise; ``since`` leaves out a later field at its default, and ``before`` at the value that runs
    had before there was such a field, so that a run keeps its identity.
    """
    found: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        needed, needed_value = item.metadata.get("needs", ("", None))
        if (
            not item.metadata.get("identity", True)
            or (needed and getattr(config, needed) != needed_value)
            or value == earlier_value(item)
        ):
            continue
        found[item.name] = identity_of(value) if is_dataclass(value) else value
    return found


def earlier_value(item: "Field[Any]") -> Any:
    """What a field that came after 0.1.0 was before it came; an object equal to nothing for the others."""
    return item.metadata.get("before", item.default if "since" in item.metadata else object())
