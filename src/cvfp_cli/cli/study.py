"""What ``train`` and ``sweep`` do alike: options to a checked plan, and a plan to figures."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from cvfp_cli.cli import terminal
from cvfp_cli.cli.asking import Question
from cvfp_cli.cli.choices import PRECISIONS, TRACKERS
from cvfp_cli.cli.crew import Team, check_device, team_of, team_on_ray
from cvfp_cli.cli.options import MOST_VALUES, byte_count, integers, one_of, option_of, ranges, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Crew, Machine, Place, StudyOptions, TextOptions, check_folder, path_text
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError
from cvfp_cli.notes import Note

if TYPE_CHECKING:
    from cvfp_cli.core.config import Execution
    from cvfp_cli.recipes import Recipe
    from cvfp_cli.results import ResultsStore, Run
    from cvfp_cli.sweeps.plan import Plan
    from cvfp_cli.sweeps.session import Ended
    from cvfp_cli.sweeps.work import Keeping

MOST_UNASKED = 30
"""Values of one range that need no question: more are as a rule a step that was forgotten."""
FEW_SEEDS = range(2, 21)
"""Seeds that look like a number of seeds."""
LONG_SECONDS = 600
"""What is expected to take longer says so before it begins."""

ALONE = Crew()
"""One run after the other, in this process."""

Given = Mapping[str, tuple[str, list[str] | None]]
"""A recipe's fields that the grid's options set: each one's option, and what was given for it."""


def overrides(chosen: StudyOptions, text: TextOptions, problems: Problems) -> dict[str, object]:
    """The recipe's fields that ``--set`` and the text options set."""
    found: dict[str, object] = {}
    with problems.collect():
        found |= chosen.overrides()
    return found | text.overrides()


def grid_overrides(given: Given, problems: Problems, *, single: bool = False) -> dict[str, object]:
    """The recipe's fields that the grid's options set.

    Args:
        single: refuse more than one value.
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


def large_ranges(given: Given) -> list[Question]:
    """What to ask about ranges that were perhaps given without their step; ``grid_overrides`` checks the rest."""
    found = []
    for field, (name, texts) in given.items():
        with suppress(InputError):
            for one in ranges(texts, name, least=0):
                if not MOST_UNASKED < len(one) <= MOST_VALUES:
                    continue
                noun = "seed" if "seeds" in field else "size" if "samples" in field else "value"
                fewer = f"In steps it is {name} {one.coarser}."
                if noun == "seed":
                    fewer = f"Ten are {name} {one.first}-{one.first + 9}."
                found.append(Question(f"{name} {one} is {counted(len(one), noun)}, each trained.", fewer))
    return found


def about_seeds(given: Given) -> list[Note]:
    """A remark on ``--seeds 3``: one seed called 3, and no three seeds."""
    found = []
    for name, texts in (item for field, item in given.items() if "seeds" in field):
        if texts and len(texts) == 1 and texts[0].isdecimal() and int(texts[0]) in FEW_SEEDS:
            count = int(texts[0])
            several = f"{name} 42-{41 + count}"
            message = f"{name} {count} is one seed, number {count}; {counted(count, 'seed')} are {several}."
            found.append(Note("one-seed", message))
    return found


def about_fresh(place: Place, names: Sequence[str] | None = None) -> list[Question]:
    """What to ask before ``--fresh`` sets runs aside; nothing where there are none.

    Args:
        names: the runs; None for all that the folder holds.
    """
    aside = place.store().would_set_aside(names)
    if not (aside.finished or aside.unfinished):
        return []
    says = (
        f"--fresh sets {aside} of {path_text(place.out)} aside in {path_text(aside.place)} and starts over."
    )
    return [Question(says, "Nothing is deleted.")]


def say(text: str, *, quiet: bool = False) -> None:
    """One line of progress or advice on stderr."""
    if not quiet:
        terminal.say(text)


def tell(notes: "tuple[Note, ...] | list[Note]", *, quiet: bool) -> None:
    """Notes and warnings on stderr, each once; ``--quiet`` leaves the warnings."""
    for note in dict.fromkeys(notes):
        if note.severity == "warning" or not quiet:
            terminal.say(f"{note.severity}: {note.message}")


def check_machine(machine: Machine, problems: Problems) -> None:
    """Check the machine's options as far as that needs no device: names, sizes, counts."""
    with problems.collect():
        check_device(machine.device, "--device")
    problems.check_words(("--precision", machine.precision, PRECISIONS))
    with problems.collect():
        if machine.memory is not None:
            byte_count(machine.memory, "--memory")
    with problems.collect():
        if machine.threads is not None and machine.threads < 1:
            raise InputError(f"--threads: {machine.threads} is too small; the least is 1.")


def check_place(place: Place, problems: Problems) -> None:
    """Check that results and curves can be written to their folders."""
    if place.tensorboard is not None:
        from cvfp_cli.sweeps.tensorboard import check_installed

        with problems.collect():
            check_installed()
        with problems.collect():
            check_folder(place.tensorboard, "--tensorboard")
    for word in words_of(place.report_to):
        from cvfp_cli.sweeps.trackers import check_tracker

        with problems.collect():
            check_tracker(one_of(word, TRACKERS, "--report-to"))
    with problems.collect():
        check_folder(place.out, "--out")


def resolve(
    machine: Machine, *, quiet: bool, crew: Crew = ALONE, threads: int | None = None
) -> "tuple[Execution, dict[str, Any], Team]":
    """The execution that the options ask for, its environment for the record, and who runs the jobs.

    Args:
        threads: of the folder's runs, where it says so.

    Raises:
        InputError: the device is not on this machine, or does not do that precision.
    """
    import torch

    from cvfp_cli.core.device import resolve_device

    if machine.threads is not None:
        if threads not in (None, machine.threads):
            tell([_other_threads(machine.threads, threads)], quiet=quiet)
        threads = machine.threads
    if crew.name == "ray":
        execution, environment, team = _on_a_cluster(machine, crew, threads, quiet=quiet)
        return execution, environment, replace(team, threads=machine.threads)
    first = next(iter(words_of(crew.devices)), machine.device)
    device = resolve_device(first, "--device" if crew.devices is None else "--devices")
    team = replace(team_of(crew, device, threads), threads=machine.threads)
    if threads is None and team.size > 1:
        threads = max(torch.get_num_threads() // team.size, 1)
        if device == "cpu":
            tell([_share_of_threads(threads)], quiet=quiet)
    execution, environment = _here(replace(machine, device=device, threads=threads), team.sharing, team.size)
    if machine.device == "auto":
        say(f"device: {device} ({environment['device_name']}), {execution.precision}", quiet=quiet)
    return execution, environment, team


def _here(machine: Machine, sharing: float, beside: int) -> "tuple[Execution, dict[str, Any]]":
    """The execution that the options come to in this process, and its environment.

    Args:
        sharing: runs that share a device. beside: runs that share the machine.
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
    execution = Execution(
        device,
        resolve_precision(device, machine.precision),  # type: ignore[arg-type]
        device_bytes=_share(device_memory(device), sharing),
        host_bytes=_share(physical_memory(), beside),
        threads=torch.get_num_threads(),
    )
    if machine.memory is not None:
        execution = replace(execution, memory_bytes=byte_count(machine.memory, "--memory"))
    return execution, dict(describe_environment(execution))


def _on_a_cluster(
    machine: Machine, crew: Crew, threads: int | None, *, quiet: bool
) -> "tuple[Execution, dict[str, Any], Team]":
    """As ``resolve``, of a worker of the Ray cluster: this machine may have no card, or another."""
    from cvfp_cli.sweeps.executors.ray import has_cards, on_a_card

    device = machine.device
    if device == "auto":
        device = "cuda" if has_cards() else "cpu"
    if threads is None:
        threads = 1  # Ray's own choice for a process that takes one core
        if device == "cpu":
            tell([_share_of_threads(threads)], quiet=quiet)
    team, beside = team_on_ray(crew, device, threads)
    chosen = replace(machine, device=device, threads=threads)
    if device == "cpu":
        execution, environment = _here(chosen, 1, beside)
    else:
        execution, environment = on_a_card(_here, chosen, 1 / (crew.share or 1.0), beside)
    say(
        f"Ray: {counted(team.size, 'worker')} on {device} ({environment['device_name']}), {execution.precision}",
        quiet=quiet,
    )
    return execution, environment, team


def _share(all_bytes: int | None, workers: float) -> int | None:
    return None if all_bytes is None else int(all_bytes / workers)


def _share_of_threads(threads: int) -> Note:
    message = (
        f"Each run has {counted(threads, 'CPU thread')}: its figures differ in the last digits from those of runs "
        "with another number. --threads fixes it for the whole folder."
    )
    return Note("threads-shared", message)


def _other_threads(threads: int, recorded: int | None) -> Note:
    message = (
        f"The folder's runs are made with --threads {recorded}; those of --threads {threads} can differ from them in "
        "the last digits."
    )
    return Note("threads-differ", message, "warning")


def checked_plan(
    recipe: "Recipe", machine: Machine, place: Place, *, crew: Crew = ALONE, fresh: bool = False
) -> "tuple[Plan, ResultsStore, dict[str, Any], Team]":
    """Everything about a command that can be known before training, or all that is wrong with it.

    Folders and text come first: what is wrong with them is told before the device is looked at, which takes PyTorch
    seconds.

    Args:
        fresh: plan as if the folder held nothing.

    Raises:
        CvfpError: all that is wrong with folders and text, or with the device, a line each.
    """
    from cvfp_cli.sweeps.plan import make_plan, read_text

    def notify(text: str) -> None:
        say(text, quiet=place.quiet)

    problems = Problems()
    check_place(place, problems)
    store = place.store()
    with problems.collect():
        store.check_own()
    if crew.name == "ray":
        from cvfp_cli.sweeps.executors.ray import connect

        with problems.collect():
            connect(crew.ray_address)
    data = None
    with problems.collect():
        data = read_text(recipe, cache_dir=place.cache_dir, notify=notify)
    problems.raise_found()
    assert data is not None
    execution, environment, team = resolve(
        machine, quiet=place.quiet, crew=crew, threads=None if fresh else store.threads
    )
    plan = make_plan(recipe, data, execution, store, fresh=fresh, notify=notify)
    unused = [
        Note("recipe-left-out", f"Not used by kind {', '.join(recipe.kinds)}: {', '.join(recipe.left_out)}.")
    ] * bool(recipe.left_out)
    tell([*unused, *plan.notes, *store.notes], quiet=place.quiet)
    return plan, store, environment, team


def tell_if_long(plan: "Plan", place: Place, workers: int = 1) -> None:
    """Say before a long command begins how long it may take, and from what that is known."""
    from cvfp_cli.cli.figures import duration
    from cvfp_cli.sweeps.estimate import TimeEstimate
    from cvfp_cli.sweeps.rate import expected_rate

    if place.quiet or not plan.remaining:
        return
    times = TimeEstimate(plan.jobs, plan.remaining, expected_rate(plan.execution), workers=workers)
    expected, most = times.total(plan.remaining), times.total(plan.remaining, most=True)
    if expected is None or expected <= LONG_SECONDS:
        return
    message = (
        f"{counted(len(plan.remaining), 'run')} on {plan.execution.device} may take about {duration(expected)}, at "
        f"most {duration(most)} ({times.basis}). --dry-run shows them one by one and trains nothing."
    )
    tell([Note("long-run", message)], quiet=place.quiet)


def carry_out_plan(
    plan: "Plan",
    store: "ResultsStore",
    environment: dict[str, Any],
    place: Place,
    *,
    keeping: "Keeping",
    team: Team,
    fresh: bool = False,
    again: bool = False,
    command: str = "",
    go_on: str,
) -> "Ended":
    """Run what remains, with bars or lines; an interrupt ends in advice and exit code 130.

    Args:
        fresh: set the folder's study aside first; again: set the command's own runs aside first.
        command: for the record; the command line where empty. go_on: what goes on after an interrupt.

    Raises:
        WorkError: the folder is in use, or a result could not be written.
        typer.Exit: interrupted.
    """
    from cvfp_cli.cli.progress import progress_for
    from cvfp_cli.results.aside import LOG_FILE
    from cvfp_cli.sweeps.estimate import TimeEstimate
    from cvfp_cli.sweeps.journal import Metrics, SweepLog
    from cvfp_cli.sweeps.session import carry_out
    from cvfp_cli.sweeps.tensorboard import TensorBoard
    from cvfp_cli.sweeps.trackers import told_apart
    from cvfp_cli.sweeps.watch import Together, Watcher

    command = command or shlex.join(["cvfp", *sys.argv[1:]])
    times = TimeEstimate(plan.jobs, plan.remaining, workers=team.size)
    progress = progress_for(times, total=len(plan.remaining), workers=team.size, quiet=place.quiet)

    reported = told_apart(words_of(place.report_to), plan.recipe.name, place.out, progress.note)
    told = len(store.notes)

    def watchers(held: "Plan") -> Watcher:
        tell(store.notes[told:], quiet=place.quiet)
        name = LOG_FILE if plan.shard is None else f"sweep-{plan.shard}.log"
        log = SweepLog(place.out / name)
        log.line(command)
        extra = [] if place.tensorboard is None else [TensorBoard(place.tensorboard)]
        return Together([times, log, Metrics(), *extra, *trackers, progress])

    try:
        with progress, reported as trackers:
            return carry_out(
                plan,
                store,
                environment=environment,
                watchers=watchers,
                warn=progress.note,
                keeping=keeping,
                command=command,
                fresh=fresh,
                again=again,
                executor=team.maker,
                threads=team.threads,
            )
    except KeyboardInterrupt:
        say(f"interrupted; everything finished is in {place.out}. To go on:\n  {go_on}")
        raise typer.Exit(130) from None


def command_line(*, without: tuple[str, ...] = (), add: tuple[str, ...] = ()) -> str:
    """The command line as it was given, for the user to copy, less and plus some flags."""
    kept = [word for word in sys.argv[1:] if word not in without]
    return shlex.join(["cvfp", *kept, *(word for word in add if word not in kept)])


def point_options(run: "Run") -> list[str]:
    """The options that say where a run stands on the axes of its learner."""
    from cvfp_cli.learners import get_learner

    found: list[str] = []
    for axis in get_learner(run.kind).axes:
        value = run.axes[axis.name]
        found += [option_of(axis.name), str(value)] if axis.help else ["--set", f"{axis.field}={value}"]
    return found


def as_sweep(grid: Sequence[str]) -> str:
    """A ``train`` command line as the ``sweep`` of a grid on the same text, into the same folder.

    Args:
        grid: the options that say which, in place of those that named one run.
    """
    from cvfp_cli.learners import learners

    axes = (axis for learner in learners().values() for axis in learner.axes)
    own = {"--samples", *(option_of(axis.name) for axis in axes)}
    renamed = {"--seed": "--seeds", "--data-seed": "--data-seeds"}
    flags = {"--fresh", "--resume", "--yes", "-y"}
    kept: list[str] = []
    given = sys.argv[1:]
    if "train" in given:
        given.remove("train")  # the first one, which is the command; a folder may be called so, too
    words = iter(given)
    for word in words:
        option, equals, value = word.partition("=")
        if option in own:
            if not equals:
                next(words, None)
        elif word not in flags:
            kept.append(renamed.get(option, option) + equals + value)
    return shlex.join(["cvfp", "sweep", *kept, *grid])


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


def end(ended: "Ended", place: Place, *, next_commands: Sequence[str]) -> None:
    """Say where the results are and what to do next; runs without figures make the command fail.

    Raises:
        typer.Exit: with code 1 when a run failed or diverged.
    """
    say(f"results: {place.out / 'summary.json'}", quiet=place.quiet)
    if next_commands:
        say("\n".join(["next:", *(f"  {command}" for command in next_commands)]), quiet=place.quiet)
    if ended.unfinished:
        count, all_of = len(ended.unfinished), counted(len(ended.here), "run")
        if len(ended.here) == 1:
            say(f"cvfp: the run ended without figures ({ended.unfinished[0].status}).")
        else:
            say(
                f"cvfp: {count} of {all_of} ended without figures; their reasons are in the table's footnotes."
            )
        raise typer.Exit(1)


def reading_commands(ended: "Ended", place: Place) -> list[str]:
    """The commands that read the folder, those that have something to say about it."""
    out = shlex.quote(str(place.out))
    name = "report.md" if place.out.name == "" else f"{place.out}.md"
    done = any(run.status == "done" for run in ended.runs)
    return [
        *([f"cvfp fit {out}"] if ended.fits else []),
        *([f"cvfp report {out} > {shlex.quote(name)}"] if done else []),
    ]


def printed(chosen: StudyOptions) -> bool:
    """Print what the command was asked to show of the recipes; whether it was asked for anything.

    Raises:
        InputError: there is no recipe of the name.
    """
    if chosen.list_recipes:
        _list_recipes()
    elif chosen.print_recipe is not None:
        from cvfp_cli.cli.writing import write_answer
        from cvfp_cli.recipes import recipe_text

        write_answer(recipe_text(chosen.print_recipe), None)
    return chosen.list_recipes or chosen.print_recipe is not None


def _list_recipes() -> None:
    """Print the names of the recipes that come with cvfp, and what they are."""
    from cvfp_cli import recipes
    from cvfp_cli.cli.help import help_width, rows_text

    print(rows_text(recipes.list_recipes().items(), help_width()))
