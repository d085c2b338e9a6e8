"""Pairs of configurations that differ in one respect: what a study takes away, sets or trains otherwise.

What a run was trained with is every key of its recipe's tables, with its own value on every axis. Two configurations are
two arms where nothing else differs that matters to them: with the context at zero nothing of phase 1 does, and without
phase 1 none of its settings.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from cvfp_cli.core.config import HeadConfig, JointConfig, ModelConfig, Phase1Config, Phase2Config
from cvfp_cli.results.reader import Results
from cvfp_cli.results.schema import CVFP, scalar
from cvfp_cli.study.families import Family, Group

END_TO_END, NGRAM = "end-to-end", "ngram"
TABLES: Mapping[str, Mapping[str, type[Any]]] = {
    CVFP: {"model": ModelConfig, "head": HeadConfig, "phase1": Phase1Config, "phase2": Phase2Config},
    END_TO_END: {"model": ModelConfig, "head": HeadConfig, "joint": JointConfig},
}
FACTORS = (
    "model.layers",
    "model.context_dim",
    "model.tokens",
)  # their effects are estimated together elsewhere
SKIP, TRAIN_CONTEXTS = "phase1.skip", "phase2.train_contexts"
CONTEXTS = ("phase2.context", "joint.context")
TAKEN_AWAY: Mapping[str, tuple[Any, ...]] = {
    SKIP: (True,),
    "phase1.diversity_weight": (0.0, 1.0),
    **dict.fromkeys(CONTEXTS, ("zero",)),
}
# How long each way of training may take, and with which steps, belongs to it.
OF_TRAINING = ("phase2.epochs", "phase2.patience", "phase2.min_improvement", "phase2.learning_rate")
PARTS = ("context", "phase1", "phases", "ngram", "setting")
"""What arms differ in: the context, phase 1, whether the phases are separate, from counting alone, another setting."""

Settings = Mapping[str, Hashable]
Known = tuple[Group, Settings]


@dataclass(frozen=True)
class Arms:
    """Two configurations, and the respect in which they differ.

    Attributes:
        part: one of ``PARTS``. key: the recipe's key, or ``kind``.
        base: what the other one is compared with. value: what the other one has there.
        unfair: why the two do not compare: ``train-contexts``, or ``unrecorded`` where files do not tell; else empty.
        besides: further keys in which two ways of training differ.
    """

    part: str
    key: str
    base: Group
    other: Group
    value: Hashable
    unfair: str = ""
    besides: tuple[str, ...] = ()


def arms_of(family: Family, results: Sequence[Results]) -> tuple[Arms, ...]:
    """Every two arms of a family, by ``PARTS``; first those whose base is itself made from the fewest others."""
    recipes = {id(run): item.summary.recipe for item in results if item.summary for run in item.runs}
    known = [
        (group, settings_of(group, recipes.get(id(group.runs[0]), {}).get("resolved")))
        for group in family.groups
        if group.cells
    ]
    found = [*_settings(known), *_kinds(known), *_counted([group for group, _ in known])]
    made = Counter(id(arms.other) for arms in found)
    return tuple(sorted(found, key=lambda arms: (PARTS.index(arms.part), made[id(arms.base)])))


def settings_of(group: Group, resolved: object = None) -> Settings:
    """All that a configuration was trained with, by ``table.key``.

    Args:
        resolved: the recipe as its file records it. Without one a run's axes are known, and for the rest it is taken
            to have what a recipe says as long as nobody sets it; which training contexts it had then stays open.
    """
    recorded: Mapping[str, Any] = resolved if isinstance(resolved, dict) else {}
    tables = TABLES.get(group.kind, {})
    found: dict[str, Any] = {
        f"{name}.{item.name}": item.default for name, table in tables.items() for item in fields(table)
    }
    if "phase2" not in recorded:
        found.pop(TRAIN_CONTEXTS, None)
    for name in (*(tables or (group.kind,)), "embedding", "tokenizer"):
        if isinstance(values := recorded.get(name), dict):
            found |= {f"{name}.{key}": value for key, value in values.items()}
    own = {key.partition(".")[2]: key for key in FACTORS} if tables else {}
    found |= {own.get(name, name): value for name, value in group.axes.items()}
    return {key: scalar(value) for key, value in found.items()}


def _settings(known: Sequence[Known]) -> Iterator[Arms]:
    """Two of one kind that differ in one key."""
    keys = dict.fromkeys(key for _, settings in known for key in settings if "." in key)
    for key in keys:
        values = _values(key, known)
        if len(values) < 2 or key in (*FACTORS, TRAIN_CONTEXTS):
            continue
        # What each of the bases would be with another one's value.
        bases: dict[Hashable, list[Known]] = {}
        for base, ours in known:
            for value in values[1:]:
                of_all = value in TAKEN_AWAY.get(key, ()) and key in CONTEXTS
                if key in ours and (ours[key] != value if of_all else ours[key] == values[0]):
                    bases.setdefault((base.kind, value, _model(ours, key, value)), []).append((base, ours))
        for other, theirs in known:
            if key in theirs and theirs[key] != values[0]:
                same = bases.get((other.kind, theirs[key], _model(theirs, key, theirs[key])), ())
                yield from (_named(key, base, other, ours, theirs[key]) for base, ours in same)


def _values(key: str, known: Sequence[Known]) -> list[Hashable]:
    """Values of a key in the order in which they are met; what takes a part away comes last."""
    values = dict.fromkeys(settings[key] for _, settings in known if key in settings)
    return sorted(values, key=lambda value: value in TAKEN_AWAY.get(key, ()))


def _model(settings: Settings, key: str, value: Hashable) -> Hashable:
    """All that decides a model with this value, and that two arms must share."""
    changed = {**settings, key: value}
    zero = any(changed.get(name) == "zero" for name in CONTEXTS)
    skipped = zero or changed.get(SKIP)
    no_matter = (TRAIN_CONTEXTS, "phase2.dropout_context", "joint.dropout_context") if zero else ()
    if key == SKIP:
        no_matter = (*no_matter, TRAIN_CONTEXTS)  # whether these agree is told, not asked
    return frozenset(
        (name, setting)
        for name, setting in changed.items()
        if name not in no_matter and not (skipped and name.startswith("phase1.") and (zero or name != SKIP))
    )


def _named(key: str, base: Group, other: Group, ours: Settings, value: Hashable) -> Arms:
    if key in CONTEXTS and value == "zero":
        return Arms("context", key, base, other, value)
    if key != SKIP:
        return Arms("setting", key, base, other, value)
    contexts = ours.get(TRAIN_CONTEXTS)
    unfair = "" if contexts == "recurrence" else "train-contexts" if contexts else "unrecorded"
    return Arms("phase1", key, base, other, value, unfair)


def _kinds(known: Sequence[Known]) -> Iterator[Arms]:
    """The same model in two phases and trained together; what else of the training differs is named."""
    for other, theirs in known:
        if other.kind != END_TO_END:
            continue
        joint = {key.replace("joint.", "phase2."): value for key, value in theirs.items()}
        for base, ours in known:
            if base.kind != CVFP or ours.get(SKIP) or ours["phase2.context"] == "zero":
                continue
            differ = [key for key, value in ours.items() if key in joint and joint[key] != value]
            if not any(key.startswith(("model.", "embedding.", "tokenizer.")) for key in differ) and (
                "phase2.context" not in differ
            ):
                besides = tuple(key for key in differ if key not in OF_TRAINING)
                yield Arms("phases", "kind", base, other, END_TO_END, besides=besides)


def _counted(groups: Sequence[Group]) -> Iterator[Arms]:
    """Every CVFP model against the n-gram with the lowest PPL at its largest size."""
    counted = [group for group in groups if group.kind == NGRAM]
    if counted:
        best = min(counted, key=lambda group: (-group.cells[-1].size, group.cells[-1].val_ppl or 0.0))
        yield from (
            Arms("ngram", "kind", best, group, group.kind) for group in groups if group.kind in TABLES
        )
