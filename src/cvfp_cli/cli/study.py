"""What ``train`` and ``sweep`` do alike: options to a checked plan, and a plan to figures."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from cvfp_cli.cli.choices import DEVICES, PRECISIONS
from cvfp_cli.cli.options import byte_count, integers, one_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Machine, Place, Study, Text, check_folder
from cvfp_cli.cli.terminal import shown
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

if TYPE_CHECKING:
    from cvfp_cli.core.config import Execution
    from cvfp_cli.recipes import Recipe
    from cvfp_cli.results import ResultsStore
    from cvfp_cli.sweep.executor import Keeping
    from cvfp_cli.sweep.plan import Plan
    from cvfp_cli.sweep.session import Ended


def overrides(chosen: Study, text: Text, problems: Problems) -> dict[str, object]:
    """The recipe's fields that ``--set`` and the text options set."""
    found: dict[str, object] = {}
    with problems.collect():
        found |= chosen.overrides()
    return found | text.overrides()


def grid_overrides(
    given: Mapping[str, tuple[str, list[str] | None]], problems: Problems, *, single: bool = False
) -> dict[str, object]:
    """The recipe's fields that the grid's options set.

    Args:
        given: each field's option and what was given for it. single: refuse more than one value.
    """
    found: dict[str, object] = {}
    for field, (name, texts) in given.items():
        with problems.collect():
            values = integers(texts, name, least=0 if "seeds" in field else 1)
            if values is not None and single and len(values) > 1:
                raise InputError(f"{name}: train takes one value.", hint="For several use cvfp sweep.")
            if values is not None:
                found[field] = values
    return found


def say(text: str, *, quiet: bool = False) -> None:
    """One line of progress or advice on stderr."""
    if not quiet:
        print(shown(text, sys.stderr), file=sys.stderr, flush=True)


def tell(notes: "tuple[Note, ...] | list[Note]", *, quiet: bool) -> None:
    """Notes and warnings on stderr, each once; ``--quiet`` leaves the warnings."""
    for note in dict.fromkeys(notes):
        if note.severity == "warning" or not quiet:
            print(shown(f"{note.severity}: {note.message}", sys.stderr), file=sys.stderr, flush=True)


def check_machine(machine: Machine, problems: Problems) -> None:
    """Check the machine's options as far as that needs no device: names, sizes, counts."""
    with problems.collect():
        kind, colon, number = machine.device.partition(":")
        one_of(kind, DEVICES, "--device")
        if colon and not number.isdecimal():
            raise InputError(
                f"--device: '{ascii(machine.device)[1:-1][:40]}' has no device number.", hint="Write cuda:0."
            )
    with problems.collect():
        if machine.precision is not None:
            one_of(machine.precision, PRECISIONS, "--precision")
    with problems.collect():
        if machine.memory is not None:
            byte_count(machine.memory, "--memory")
    with problems.collect():
        if machine.threads is not None and machine.threads < 1:
            raise InputError(f"--threads: {machine.threads} is too small; the least is 1.")


def check_place(place: Place, problems: Problems) -> None:
    """Check that results and curves can be written to their folders."""
    if place.tensorboard is not None:
        from cvfp_cli.sweep.tensorboard import check_installed

        with problems.collect():
            check_installed()
        with problems.collect():
            check_folder(place.tensorboard, "--tensorboard")
    with problems.collect():
        check_folder(place.out, "--out")


def resolve(machine: Machine, *, quiet: bool) -> "tuple[Execution, dict[str, Any]]":
    """The execution that the options ask for, and its environment for the record.

    Raises:
        InputError: the device is not on this machine, or does not do that precision.
    """
    import torch

    from cvfp_cli.core.config import Execution
    from cvfp_cli.core.device import (
        describe_environment,
        device_memory,
        physical_memory,
        resolve_device,
        resolve_precision,
    )

    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    device = resolve_device(machine.device)
    precision = resolve_precision(device, machine.precision)  # type: ignore[arg-type]
    execution = Execution(device, precision, device_bytes=device_memory(device), host_bytes=physical_memory())
    if machine.memory is not None:
        execution = replace(execution, memory_bytes=byte_count(machine.memory, "--memory"))
    environment: dict[str, Any] = dict(describe_environment(execution))
    if machine.device == "auto":
        say(f"device: {device} ({environment.get('device_name')}), {precision}", quiet=quiet)
    return execution, environment


def checked_plan(
    recipe: "Recipe", machine: Machine, place: Place, *, fresh: bool = False
) -> "tuple[Plan, ResultsStore, dict[str, Any]]":
    """Everything about a command that can be known before training, or all that is wrong with it.

    Raises:
        CvfpError: all of it, a line each.
    """
    from cvfp_cli.core.config import Execution
    from cvfp_cli.sweep.plan import make_plan

    problems = Problems()
    check_place(place, problems)
    execution, environment = Execution(), dict[str, Any]()
    with problems.collect():
        execution, environment = resolve(machine, quiet=place.quiet)
    store = place.store()
    plan = None
    with problems.collect():
        plan = make_plan(
            recipe,
            execution,
            store,
            cache_dir=place.cache_dir,
            fresh=fresh,
            notify=lambda text: say(text, quiet=place.quiet),
        )
    problems.raise_found()
    assert plan is not None
    tell([*plan.data.notes, *store.notes], quiet=place.quiet)
    return plan, store, environment


def carry_out_plan(
    plan: "Plan",
    store: "ResultsStore",
    environment: dict[str, Any],
    place: Place,
    *,
    keeping: "Keeping",
    fresh: bool = False,
    again: bool = False,
    go_on: str,
) -> "Ended":
    """Run what remains, with bars or lines; an interrupt ends in advice and exit code 130.

    Args:
        fresh: delete the folder's study first; again: delete the command's own runs first.
        go_on: the command line that goes on after an interrupt.

    Raises:
        WorkError: the folder is in use, or a result could not be written.
        typer.Exit: interrupted.
    """
    from cvfp_cli.cli.progress import progress_for
    from cvfp_cli.core.experiment import run_experiment
    from cvfp_cli.results.store import LOG_FILE
    from cvfp_cli.sweep.estimate import TimeEstimate
    from cvfp_cli.sweep.journal import Metrics, SweepLog
    from cvfp_cli.sweep.session import carry_out
    from cvfp_cli.sweep.tensorboard import TensorBoard
    from cvfp_cli.sweep.watch import Together, Watcher

    times = TimeEstimate(plan.jobs, plan.remaining)
    progress = progress_for(times, total=len(plan.remaining), quiet=place.quiet)

    told = len(store.notes)

    def watchers(held: "Plan") -> Watcher:
        tell(store.notes[told:], quiet=place.quiet)
        log = SweepLog(place.out / LOG_FILE)
        log.line(f"cvfp {shlex.join(sys.argv[1:])}")
        extra = [] if place.tensorboard is None else [TensorBoard(place.tensorboard)]
        return Together([times, log, Metrics(), *extra, progress])

    try:
        with progress:
            return carry_out(
                plan,
                store,
                run=run_experiment,
                environment=environment,
                watchers=watchers,
                warn=progress.note,
                keeping=keeping,
                command=shlex.join(["cvfp", *sys.argv[1:]]),
                fresh=fresh,
                again=again,
            )
    except KeyboardInterrupt:
        say(f"interrupted; everything finished is in {place.out}. To go on:\n  {go_on}")
        raise typer.Exit(130) from None


def command_line(*, without: tuple[str, ...] = (), add: tuple[str, ...] = ()) -> str:
    """The command line as it was given, for the user to copy, less and plus some flags."""
    kept = [word for word in sys.argv[1:] if word not in without]
    return shlex.join(["cvfp", *kept, *(word for word in add if word not in kept)])


def load(name: str | None, overrides: dict[str, Any], problems: Problems) -> "Recipe":
    """The recipe with the options laid over it.

    Raises:
        CvfpError: all problems found so far. Only with right options it pays to load torch and look at the data.
    """
    from cvfp_cli.recipes import DEFAULT_RECIPE, load_recipe

    recipe = None
    with problems.collect():
        recipe = load_recipe(name or DEFAULT_RECIPE, overrides=overrides)
    problems.raise_found()
    assert recipe is not None
    return recipe


def end(ended: "Ended", place: Place) -> None:
    """Say where the results are; runs without figures make the command fail.

    Raises:
        typer.Exit: with code 1 when a run failed or diverged.
    """
    say(f"results: {place.out / 'summary.json'}", quiet=place.quiet)
    if ended.unfinished:
        count, all_of = len(ended.unfinished), len(ended.here)
        say(
            f"cvfp: {count} of {all_of} runs ended without figures; their reasons are in the table's footnotes."
        )
        raise typer.Exit(1)


def list_recipes() -> None:
    """Print the names of the recipes that come with cvfp, and what they are."""
    from cvfp_cli import recipes
    from cvfp_cli.cli.help import help_width, rows_text

    print(rows_text(recipes.list_recipes().items(), help_width()))
