"""The Python interface: what the commands do, for notebooks and programs.

``import cvfp_cli`` offers it: ``cvfp_cli.sweep(...)``. Names, arguments and what comes back stay as they are within a
minor version; what is imported from the rooms beside this module may change at any time.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cvfp_cli.errors import CvfpError, InputError, WorkError
from cvfp_cli.laws.names import MAIN, single
from cvfp_cli.notes import Note
from cvfp_cli.results import Results, Run, read_results

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel

    from cvfp_cli.recipes import Recipe

__all__ = [
    "Answer",
    "CvfpError",
    "InputError",
    "Run",
    "StudyResults",
    "WorkError",
    "compare",
    "fit",
    "load_model",
    "load_results",
    "report",
    "run",
    "sweep",
]

Place = str | Path
Values = int | float | bool | str | Sequence[int | float | bool | str]


@dataclass(frozen=True)
class StudyResults:
    """Runs that were read or trained.

    Attributes:
        files: what each file or folder holds, in the order given.
    """

    files: tuple[Results, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, done or not; ``docs/file-formats.md`` explains each figure."""
        return tuple(run for file in self.files for run in file.runs)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What had to be inferred, left out or recovered on reading."""
        return tuple(note for file in self.files for note in file.notes)

    def to_pandas(self) -> "pd.DataFrame":
        """One row a run, with the columns of ``runs.csv``; a figure that a run does not have is missing."""
        from cvfp_cli.results.runs_csv import write_csv

        return _frame(write_csv(self.runs).decode())


@dataclass(frozen=True)
class Answer:
    """What ``fit``, ``compare`` or ``report`` found; shown as Markdown in a notebook.

    Attributes:
        render: the answer in one of the command's formats.
    """

    render: Callable[[str], str]

    def to_json(self) -> Any:
        """Everything that was found, in full precision, as the command's ``--format json``."""
        return json.loads(self.render("json"))

    def to_markdown(self) -> str:
        """As people read it."""
        return self.render("markdown")

    def to_html(self) -> str:
        """A report as one HTML page.

        Raises:
            InputError: it is no report.
        """
        return self.render("html")

    def to_pandas(self) -> "pd.DataFrame":
        """One row a figure, as the command's ``--format csv``.

        Raises:
            InputError: it is a report, which is no single table.
        """
        return _frame(self.render("csv"))

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def load_results(*places: Place, recover: bool = False) -> StudyResults:
    """Read results folders, ``summary.json``, ``runs.csv`` or the old scripts' files; ``results`` without any.

    Args:
        places: files and folders. recover: read what can be read of a damaged file, and say in a note how much that was.

    Raises:
        InputError: one of them is missing, damaged, or not results.
    """
    wanted = _places(places or "results")
    return StudyResults(tuple(read_results(place, recover=recover) for place in wanted))


def load_model(folder: Place, **given: Any) -> "PreTrainedModel":
    """A trained model as one of the Transformers library, with ``generate`` and all else that it brings.

    Args:
        folder: a run with weights (``runs/NAME``) or what ``cvfp export`` wrote.
        given: further arguments of ``from_pretrained``, such as ``device_map``.

    Raises:
        InputError: there is no model in the folder.
    """
    from transformers import AutoModelForCausalLM, utils

    import cvfp_cli.hf  # noqa: F401  makes the library know our class
    from cvfp_cli.results.weights import read_model_config

    read_model_config(Path(folder))
    logging: Any = utils.logging
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # which a small folder does not need, and some notebooks cannot draw
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(folder), **given)
    finally:
        if bars:
            logging.enable_progress_bar()
    return model


def run(
    recipe: Place | None = None,
    *,
    samples: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, Values] | None = None,
    out: Place = "results",
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    resume: bool = True,
    quiet: bool = False,
) -> Run:
    """Train one experiment, with its weights, as ``cvfp train`` does; one that is done is returned, not repeated.

    Args:
        recipe: a name or a TOML file; the first of its configurations, sizes and seeds where nothing says another.
        samples: training samples. seed: of initialisation and noise.
        settings: fields of the recipe, such as ``{"model.layers": 2, "phase2.epochs": 20, "data.source": "pydocs"}``.
        out: the results folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``. precision: ``float32``, ``tf32`` or ``bf16``; None is the
            device's. threads: of the CPU; None is the folder's, or by cores.
        resume: go on from the last iteration or epoch of an attempt that was broken off.
        quiet: show no progress.

    Raises:
        CvfpError: all that is wrong with recipe, text, folder or device; or a result cannot be written.
        KeyboardInterrupt: everything finished is on disk.
    """
    for name, value in (("samples", samples), ("seed", seed)):
        if _several(value) != (value,):
            raise InputError(f"run: {name}={value!r} is more than one.", hint="sweep trains a run of each.")
    grid = {"runs.samples": samples, "runs.seeds": seed}
    recipe_of = _recipe(recipe, grid, settings)
    first = recipe_of.only(
        recipe_of.configurations[0], recipe_of.sizes[0], recipe_of.runs.seeds[0], recipe_of.data_seeds[0]
    )
    call = _call("run", locals())
    return _carry_out(
        first, call, out, device, precision, threads, quiet=quiet, weights=True, resume=resume
    ).runs[0]


def sweep(
    recipe: Place | None = None,
    *,
    samples: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    grid: Mapping[str, Values] | None = None,
    settings: Mapping[str, Values] | None = None,
    out: Place = "results",
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    jobs: int | Literal["auto"] | None = None,
    save_models: bool = False,
    quiet: bool = False,
) -> StudyResults:
    """Train every experiment of a grid, as ``cvfp sweep`` does; what the folder holds already is not repeated.

    Args:
        recipe: a name or a TOML file.
        samples: sizes. seeds: of initialisation and noise.
        grid: axes, such as ``{"layers": [1, 2], "phase1.noise": [0, 0.1], "kind": ["cvfp", "ngram"]}``.
        settings: fields of the recipe, such as ``{"data.source": "pydocs", "phase2.epochs": 20}``.
        out: the results folder; it holds one study.
        device, precision, threads, quiet: as :func:`run` takes them.
        jobs: runs at a time; ``auto`` is one a card. save_models: keep the weights of every run.

    Returns:
        the runs of this grid, in its order.

    Raises:
        CvfpError: all that is wrong with recipe, text, folder or device; or a result cannot be written.
        KeyboardInterrupt: everything finished is on disk, and the same call goes on.
    """
    named = {key if key == "kind" else f"grid.{key}": value for key, value in (grid or {}).items()}
    call = _call("sweep", locals())
    chosen = _recipe(recipe, {**named, "runs.samples": samples, "runs.seeds": seeds}, settings)
    return _carry_out(
        chosen, call, out, device, precision, threads, jobs=jobs, quiet=quiet, weights=save_models
    )


def fit(
    results: "StudyResults | Place | pd.DataFrame | Sequence[Place]" = "results",
    *,
    model: str | Sequence[str] = "all",
    x: str = "train_tokens",
    y: str = "val_ppl",
    group: str | Sequence[str] = (),
    configs: str | Sequence[str] = (),
    objective: Literal["log", "ppl"] = "log",
    share: str | Sequence[str] = (),
    predict: float | Sequence[float] = (),
    target_ppl: float | Sequence[float] = (),
    budget: float | Sequence[float] = (),
    level: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> Answer:
    """Fit scaling laws, as ``cvfp fit`` does.

    Args:
        results: results, their files, or any table with a row a run.
        model: laws by name, or ``all``.
        x, y: columns of a table, or figures of a run. group: columns of a table that make a group.
        configs: only these. objective: residuals of the loss, ``log``, or of ``ppl``.
        share: parameters in common. predict: sizes. target_ppl: values of y whose size is asked for.
        budget: operations whose best model and data size the joint laws tell.
        level: of the intervals. bootstrap: they come from so many refits instead. seed: of the refits.

    Raises:
        InputError: as the command says it.
    """
    from cvfp_cli.scaling import rendering
    from cvfp_cli.scaling.constraint import Constraint
    from cvfp_cli.scaling.fits import FitOptions
    from cvfp_cli.scaling.study import Request, run_study
    from cvfp_cli.study.sources import Inputs, ReadTable, pick, points_of, read_inputs
    from cvfp_cli.study.table_points import Columns
    from cvfp_cli.study.tables import read_table

    columns = Columns(x, y, _several(group))
    if isinstance(results, StudyResults):
        inputs = Inputs(results.files, (), ())
    elif hasattr(results, "to_csv"):
        data = results.to_csv(index=False).encode()
        inputs = Inputs((), (ReadTable("the table", read_table(data, "the table")),), ())
    else:
        inputs = read_inputs([str(place) for place in _places(results)], columns)
    groups, notes = points_of(inputs, columns)
    options = FitOptions(
        objective=objective,
        level=level,
        predict=_several(predict),
        targets=_several(target_ppl),
        budgets=_several(budget),
    )
    request = Request(
        laws=_several(model),
        options=options,
        constraint=Constraint(_several(share)),
        bootstrap=bootstrap,
        seed=seed,
        pooling="none" if group else "study",
    )
    study = run_study(pick(groups, list(_several(configs))), request)
    study = replace(study, notes=(*notes, *study.notes))
    forms = {
        "json": rendering.to_json,
        "csv": rendering.to_csv,
        "markdown": rendering.to_markdown,
        "table": rendering.to_text,
    }
    return Answer(lambda form: _chosen(forms, form, "fit")(study))


def compare(
    results: "StudyResults | Place | Sequence[Place]" = "results",
    *,
    configs: str | Sequence[str] = (),
    by: str | None = None,
    model: str | None = None,
    x: str | None = None,
    level: float = 0.95,
    margin: float = 0.02,
    lang: str = "en",
) -> Answer:
    """Compare configurations pair by pair, as ``cvfp compare`` does.

    Args:
        results: results or their files.
        configs: only these. by: only pairs that differ in this axis alone.
        model: also compare this law's parameters. x: what sizes are measured in, ``train_tokens`` or ``samples``.
        level: of the intervals. margin: the share of PPL within which two are called equal.
        lang: ``en`` or ``ja``.

    Raises:
        InputError: as the command says it.
    """
    from cvfp_cli.cli.choices import LANGUAGES
    from cvfp_cli.cli.compare import SIZES
    from cvfp_cli.cli.options import one_of, share_between
    from cvfp_cli.cli.problems import Problems
    from cvfp_cli.reports.compare import build_comparison, factors_of

    problems = Problems()
    problems.check_words(("model", model, single()), ("x", x, SIZES), ("lang", lang, LANGUAGES))
    with problems.collect():
        share_between(level, "level")
    with problems.collect():
        share_between(margin, "margin", usual=0.02)
    problems.raise_found()
    found = _results(results)
    if by is not None:
        one_of(by, factors_of(found.files), "by")
    document, _ = build_comparison(
        found.files,
        names=_file_names(found),
        configs=_several(configs),
        by=by,
        law=model,
        x=x,
        level=level,
        margin=margin,
    )
    return _rendered(document, lang, ("json", "csv", "markdown", "table"), "compare")


def report(
    results: "StudyResults | Place | Sequence[Place]" = "results",
    *,
    lang: str = "en",
    sections: str | Sequence[str] = (),
    laws: str | Sequence[str] = MAIN,
    title: str | None = None,
    length: str = "full",
) -> Answer:
    """Write the report of a study, as ``cvfp report`` does; ``to_markdown()`` is its text.

    Args:
        results: results or their files.
        lang: ``en`` or ``ja``. title: in place of its own.
        sections: only these. laws: laws to fit, by name, or ``all``.
        length: ``full``, or ``short``: one or two pages.

    Raises:
        InputError: as the command says it.
    """
    from cvfp_cli.cli.choices import LANGUAGES, LENGTHS, laws_or_all
    from cvfp_cli.cli.problems import Problems
    from cvfp_cli.cli.report import command_line
    from cvfp_cli.reports.build import SECTIONS, build_report

    problems = Problems()
    problems.check_words(("lang", lang, LANGUAGES), ("length", length, LENGTHS))
    problems.check_words(*(("sections", name, SECTIONS) for name in _several(sections)))
    problems.check_words(*(("laws", name, laws_or_all()) for name in _several(laws)))
    problems.raise_found()
    found = _results(results)
    short = length == "short"
    document = build_report(
        found.files,
        names=_file_names(found),
        command=command_line(
            [Path(file.path) for file in found.files],
            lang,
            _several(sections),
            _several(laws),
            title,
            short=short,
        ),
        laws_fitted=_several(laws),
        sections=_several(sections) or SECTIONS,
        short=short,
        title=title,
    )
    return _rendered(document, lang, ("json", "html", "markdown"), "report")


def _recipe(name: Place | None, grid: Mapping[str, Any], settings: Mapping[str, Values] | None) -> "Recipe":
    """The recipe with what the arguments change in it; None changes nothing."""
    from cvfp_cli.recipes import DEFAULT_RECIPE, load_recipe

    changed = {**(settings or {}), **{key: value for key, value in grid.items() if value is not None}}
    for key, value in grid.items():
        if value is not None and not _several(value):
            raise InputError(f"{key}: the list is empty.", hint="Leave it out for the recipe's own.")
    lists = {
        key: list(value) if isinstance(value, tuple | range) else value for key, value in changed.items()
    }
    return load_recipe(name or DEFAULT_RECIPE, overrides=lists)


def _carry_out(
    recipe: "Recipe",
    call: str,
    out: Place,
    device: str,
    precision: str | None,
    threads: int | None,
    *,
    jobs: int | str | None = None,
    quiet: bool,
    weights: bool,
    resume: bool = False,
) -> StudyResults:
    import typer

    from cvfp_cli.cli import study
    from cvfp_cli.cli.crew import check_crew
    from cvfp_cli.cli.problems import Problems
    from cvfp_cli.cli.shared import Crew, Machine
    from cvfp_cli.cli.shared import Place as Folder
    from cvfp_cli.sweeps.work import Keeping

    machine = Machine(device=device, precision=precision, threads=threads)
    crew = Crew(jobs=None if jobs is None else str(jobs))
    folder = Folder(out=Path(out), quiet=quiet)
    problems = Problems()
    study.check_machine(machine, problems)
    check_crew(crew, machine, problems)
    problems.raise_found()
    plan, store, environment, team = study.checked_plan(recipe, machine, folder, crew=crew)
    try:
        ended = study.carry_out_plan(
            plan,
            store,
            environment,
            folder,
            keeping=Keeping(weights=weights, resume=resume),
            team=team,
            command=call,
            go_on=call,
        )
    except typer.Exit:  # what a command makes of Ctrl-C
        raise KeyboardInterrupt from None
    return StudyResults((Results(Path(out), ended.here),))


def _call(name: str, given: Mapping[str, Any]) -> str:
    """The call as it was written, for the folder's record."""
    arguments = [f"{key}={value!r}" for key, value in given.items() if value is not None and key in _SHOWN]
    return f"cvfp_cli.{name}({', '.join(arguments)})"


_SHOWN = ("recipe", "samples", "seed", "seeds", "grid", "settings", "out", "precision", "threads")


def _places(results: "Place | Iterable[Place]") -> tuple[Place, ...]:
    places = _several(results)
    if not places:
        raise InputError("The list of results is empty.", hint="Name a results folder or a summary.json.")
    for place in places:
        if not isinstance(place, str | Path):
            raise InputError(
                f"A {type(place).__name__} names no results.",
                hint="load_results('first', 'second') reads several folders or files together.",
            )
    return places


def _results(results: "StudyResults | Place | Iterable[Place]") -> StudyResults:
    if hasattr(results, "to_csv"):
        raise InputError("A table holds no runs to compare or report.", hint="Only fit takes one.")
    return results if isinstance(results, StudyResults) else load_results(*_places(results))


def _file_names(results: StudyResults) -> list[str]:
    return [str(file.path) for file in results.files]


def _several(given: Any) -> tuple[Any, ...]:
    """What may be given as one or as several; a text is one, and not its letters."""
    one = isinstance(given, str) or not isinstance(given, Iterable)
    return (given,) if one else tuple(given)


def _rendered(document: Any, lang: str, forms: Sequence[str], command: str) -> Answer:
    from cvfp_cli.cli.writing import rendered
    from cvfp_cli.reports.text.language import load_language

    language = load_language(lang)
    forms_of = {form: lambda it, form=form: rendered(it, form, language) for form in forms}
    return Answer(lambda form: _chosen(forms_of, form, command)(document))


def _chosen(forms: Mapping[str, Callable[[Any], str]], form: str, command: str) -> Callable[[Any], str]:
    if form not in forms:
        raise InputError(
            f"What {command} answers has no form '{form}'.", hint=f"There are {', '.join(forms)}."
        )
    return forms[form]


def _frame(text: str) -> "pd.DataFrame":
    import pandas as pd

    # Since 3.1 numbers are read to the last digit without being asked, and asking is deprecated.
    asked = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    return pd.read_csv(io.StringIO(text), float_precision="round_trip" if asked else None)
