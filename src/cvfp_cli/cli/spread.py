"""Commands as Typer reads them.

A command that takes a parameter of a dataclass type, such as ``machine: Machine``, is given to Typer with one
option for every field in its place, and receives the dataclass filled in. What ``given`` and ``flag`` say about a
parameter or field becomes its option.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any, get_type_hints


def spread(command: Callable[..., Any], *more: Parameter) -> Callable[..., Any]:
    """The command as Typer reads it: every dataclass parameter replaced by its fields, ``more`` at the end.

    Args:
        more: parameters that act by a callback of their own; the command does not receive them.
    """
    own: list[Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = _dataclass_of(parameter.annotation)
        if kind is not None:
            groups[parameter.name] = kind
            own += _fields(kind)
        else:
            own.append(_shown(parameter.replace(kind=Parameter.KEYWORD_ONLY)))

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        for parameter in more:
            given.pop(parameter.name, None)
        filled = {
            name: kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        return command(**given, **filled)

    seen = [*own, *more]
    run.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in seen}
    return run


def _dataclass_of(annotation: Any) -> type[Any] | None:
    """The dataclass that a parameter takes; the one that its marker makes (:class:`AxisOptions`), if it has one."""
    for marker in getattr(annotation, "__metadata__", ()):
        if hasattr(marker, "dataclass"):
            return marker.dataclass()  # type: ignore[no-any-return]
    return annotation if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) else None


def _fields(kind: type[Any]) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        _shown(Parameter(field.name, Parameter.KEYWORD_ONLY, default=field, annotation=hints[field.name]))
        for field in dataclasses.fields(kind)
    ]


def _shown(parameter: Parameter) -> Parameter:
    """A parameter as Typer reads it: what a dataclass field says about it becomes its annotation and default."""
    field = parameter.default
    if not isinstance(field, dataclasses.Field):
        return parameter
    if "option" in field.metadata:
        option = field.metadata["option"](parameter.name)
        parameter = parameter.replace(annotation=Annotated[parameter.annotation, option])
    missing = field.default is dataclasses.MISSING
    return parameter.replace(default=Parameter.empty if missing else field.default)
