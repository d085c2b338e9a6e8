"""``cvfp fit``: scaling laws through the points of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvfp_cli.cli import writing
from cvfp_cli.cli.choices import BOOTSTRAP_KINDS, LAWS_OR_ALL, OBJECTIVES, Y_UNITS, laws_or_all
from cvfp_cli.cli.options import MORE, OUTPUT, listed, one_of, option, share_between, words_of
from cvfp_cli.cli.shared import (
    DEFAULT_RESULTS,
    RESULTS_WORDS,
    answer_file,
    check_answer,
    check_picture,
    check_there,
)
from cvfp_cli.cli.terminal import say, screen
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import JOINTS

if TYPE_CHECKING:
    from cvfp_cli.notes import Note
    from cvfp_cli.scaling.study import Request
    from cvfp_cli.study.points import Points
    from cvfp_cli.study.sources import Inputs

INPUT, LAWS, INTERVALS, QUESTIONS = "Input", "Laws", "Intervals", "Questions"
LEFT_OUT = ("rows-left-out", "rows-repeated", "runs-left-out")
FORMATS = ("table", "json", "csv", "markdown")


def fit(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RESULTS",
            help=f"{RESULTS_WORDS}, any table, or - for standard input.",
            show_default=str(DEFAULT_RESULTS),
        ),
    ] = None,
    x: Annotated[
        str,
        option(
            "--x",
            panel=INPUT,
            metavar="COLUMN",
            help="Size: samples or a column.",
            words=("train_tokens", "samples"),
        ),
    ] = "train_tokens",
    y: Annotated[
        str,
        option(
            "--y",
            panel=INPUT,
            metavar="COLUMN",
            help="What falls: a loss or a column.",
            words=("val_ppl",),
        ),
    ] = "val_ppl",
    y_unit: Annotated[
        str | None,
        option(
            "--y-unit",
            panel=INPUT,
            metavar="UNIT",
            help="ppl, nats, bits, bpb, accuracy, error or other.",
            default="by its name",
            words=Y_UNITS,
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        option(
            "--group",
            panel=INPUT,
            metavar="COLUMNS",
            help="Columns that make a group, or none.",
            default="config",
        ),
    ] = None,
    configs: Annotated[
        list[str] | None,
        option("--configs", panel=INPUT, metavar="NAMES", help="Only these configurations."),
    ] = None,
    model: Annotated[
        list[str] | None,
        option(
            "--model",
            panel=LAWS,
            metavar="LAWS",
            help="power, saturating, exp-decay, bnsl, joint, joint-coupled, joint-epochs or all.",
            default="all",
            words=LAWS_OR_ALL,
            several=True,
        ),
    ] = None,
    objective: Annotated[
        str,
        option(
            "--objective",
            panel=LAWS,
            metavar="SCALE",
            help="Least squares of ln y (log) or y (ppl).",
            words=OBJECTIVES,
        ),
    ] = "log",
    pool: Annotated[
        bool,
        option("--pool", panel=MORE, help="One joint law for all groups; tests if they share it."),
    ] = False,
    share: Annotated[
        list[str] | None,
        option("--share", panel=LAWS, metavar="NAMES", help="Parameters in common, such as alpha or b,c."),
    ] = None,
    level: Annotated[
        float, option("--level", panel=INTERVALS, metavar="SHARE", help="Level of every interval.")
    ] = 0.95,
    bootstrap: Annotated[
        int,
        option(
            "--bootstrap",
            panel=INTERVALS,
            metavar="N",
            help="Intervals from N refits instead.",
            default=False,
        ),
    ] = 0,
    predict: Annotated[
        list[str] | None,
        option(
            "--predict",
            panel=QUESTIONS,
            metavar="SIZES",
            help="Predict at 1e6,1e7,inf, or N:D such as 1e9:2e10.",
        ),
    ] = None,
    target_ppl: Annotated[
        list[str] | None,
        option(
            "--target-ppl", panel=QUESTIONS, metavar="VALUES", help="Which size reaches these values of y?"
        ),
    ] = None,
    window: Annotated[
        int,
        option(
            "--window",
            panel=MORE,
            metavar="N",
            help="Local exponents over N neighbouring sizes.",
            default=False,
        ),
    ] = 0,
    format: Annotated[
        str,
        option(
            "--format", panel=OUTPUT, metavar="FORMAT", help="table, json, csv or markdown.", words=FORMATS
        ),
    ] = "table",
    out: Annotated[
        Path | None,
        option("--out", "-o", panel=OUTPUT, metavar="FILE", help="File to write.", default="stdout"),
    ] = None,
    plot: Annotated[
        Path | None,
        option("--plot", panel=OUTPUT, metavar="FILE", help="Also draw a .png, .svg or .pdf (extra 'plot')."),
    ] = None,
    quiet: Annotated[
        bool, option("--quiet", "-q", panel=OUTPUT, help="No notes; errors are still shown.")
    ] = False,
    parameters: Annotated[
        str | None,
        option(
            "--parameters",
            panel=MORE,
            metavar="COLUMN",
            help="Model size for the joint law.",
            default="both blocks' parameters",
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        option(
            "--epochs",
            panel=MORE,
            metavar="COLUMN",
            help="Passes over the data, for joint-epochs.",
            default="the best epoch",
        ),
    ] = None,
    flops: Annotated[
        str | None,
        option(
            "--flops",
            panel=MORE,
            metavar="COLUMN",
            help="Operations of each run; without --x, D is these over 6 N.",
            default="the runs' own",
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        option(
            "--budget",
            panel=MORE,
            metavar="FLOPS",
            help="Best model and data size for these operations (joint laws).",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        option(
            "--weights",
            panel=MORE,
            metavar="COLUMN",
            help="Weight of each row: 1 / its variance, up to a factor.",
            default="all alike",
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        option(
            "--fix",
            panel=MORE,
            metavar="NAME=VALUE",
            help="Hold parameters, such as alpha=-0.5 or c0=0.2,c1=0.1.",
        ),
    ] = None,
    tie: Annotated[
        list[str] | None,
        option(
            "--tie", panel=MORE, metavar="NAME=NAME", help="Make two parameters equal: alpha=beta, c0=c1."
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        option("--sensitivity", panel=MORE, help="The same figures under other choices: one table a fit."),
    ] = False,
    best_of: Annotated[
        list[str] | None,
        option(
            "--best-of",
            panel=MORE,
            metavar="COLUMNS",
            help="At each size, only the setting of these (such as lr) with the lowest y.",
        ),
    ] = None,
    bootstrap_kind: Annotated[
        str,
        option(
            "--bootstrap-kind",
            panel=MORE,
            metavar="KIND",
            help="residual, parametric or case (from 8 sizes on).",
            words=BOOTSTRAP_KINDS,
            default="residual; joint: case",
        ),
    ] = "",
    seed: Annotated[int, option("--seed", panel=MORE, metavar="N", help="Seed of the bootstrap.")] = 0,
    holdout: Annotated[
        int,
        option("--holdout", panel=MORE, metavar="N", help="Largest sizes the forward error leaves out."),
    ] = 1,
    holdout_by: Annotated[
        str | None,
        option(
            "--holdout-by",
            panel=MORE,
            metavar="COLUMN",
            help="Leave out its largest numbers, or each of its words in turn.",
            default="x",
        ),
    ] = None,
    recover: Annotated[
        bool, option("--recover", panel=MORE, help="Use what a damaged results file still tells.")
    ] = False,
) -> None:
    """Fit scaling laws to results, with honest intervals.

    Prints parameters with intervals, predictions, and which law the data choose.

    \b
    cvfp fit results/summary.json
    cvfp fit results/summary.json --model exp-decay --share b,c
    cvfp fit first --predict 1e6,1e7,inf --target-ppl 100 --plot laws.png
    cvfp fit runs.csv --x tokens --y loss --group width --format json
    """
    import sys
    from dataclasses import replace

    from cvfp_cli.layout import Screen
    from cvfp_cli.scaling import rendering
    from cvfp_cli.scaling.constraint import Constraint, parse_fixed, parse_tied
    from cvfp_cli.scaling.fits import FitOptions
    from cvfp_cli.scaling.study import Request, run_study
    from cvfp_cli.study.sources import STDIN, pick, points_of, read_inputs
    from cvfp_cli.study.table_points import Columns

    render = {
        "table": rendering.to_text,
        "json": rendering.to_json,
        "csv": rendering.to_csv,
        "markdown": rendering.to_markdown,
    }[one_of(format, FORMATS, "--format")]
    if plot is not None:
        check_picture(plot)
    laws = listed(model, laws_or_all(), "--model") or ("all",)
    sizes, pairs = _sizes_and_pairs(predict, joint_only=set(laws) <= set(JOINTS))
    out = answer_file(out)
    if out is not None:
        check_answer(out)
    options = FitOptions(
        objective=one_of(objective, OBJECTIVES, "--objective"),
        level=share_between(level, "--level"),
        predict=sizes,
        pairs=pairs,
        targets=_numbers(target_ppl, "--target-ppl"),
        budgets=_numbers(budget, "--budget"),
        holdout=holdout,
        window=window,
    )
    request = Request(
        laws=laws,
        options=options,
        constraint=Constraint(words_of(share), parse_fixed(words_of(fix)), parse_tied(words_of(tie))),
        bootstrap=bootstrap,
        bootstrap_kind=bootstrap_kind and one_of(bootstrap_kind, BOOTSTRAP_KINDS, "--bootstrap-kind"),
        seed=seed,
        pooling="all" if pool else "none" if group else "study",
        sizes_named=parameters is not None,
        sensitivity=sensitivity,
        isoflops=flops is not None,
    )
    paths = results or [str(DEFAULT_RESULTS)]
    check_there([Path(path) for path in paths if path != STDIN])
    columns = Columns(
        x,
        y,
        words_of(group),
        parameters or "",
        epochs or "",
        flops or "",
        y_unit=one_of(y_unit, Y_UNITS, "--y-unit") if y_unit else "",
        weights=weights or "",
        best_of=words_of(best_of),
        holdout_by=holdout_by or "",
    )
    inputs = read_inputs(paths, columns, recover=recover)
    groups, notes = points_of(inputs, columns)
    chosen = pick(groups, words_of(configs))
    try:
        study = run_study(chosen, request)
    except InputError as problem:
        # What was left out on reading may be the reason.
        reasons = [note.message for note in notes if note.code in LEFT_OUT]
        raise InputError(problem.message, hint=" ".join([*reasons, problem.hint]).strip()) from None
    study = replace(study, notes=(*notes, *_apart(inputs), *study.notes))
    if not quiet:
        for note in study.notes:
            say(f"cvfp: {note.severity}: {note.message}")
    if plot is not None:
        _draw(chosen, request, plot)
    place = screen(sys.stdout) if out is None else Screen()  # a file is as wide as a pipe
    text = rendering.to_text(study, place) if format == "table" else render(study)
    if format == "table" and plot is None and out is None and sys.stdout.isatty():
        import shutil

        from cvfp_cli.scaling.terminal_plot import terminal_plot

        window_size = shutil.get_terminal_size()
        drawn = terminal_plot(study.fits, window_size.columns, window_size.lines)
        text += f"\n{drawn}" if drawn else ""
    writing.write_answer(text, out)


def _apart(inputs: "Inputs") -> "tuple[Note, ...]":
    """What keeps the studies of several files apart (other texts, tokenizers), worded as ``cvfp compare`` does."""
    if len(inputs.results) < 2:
        return ()
    from cvfp_cli.notes import Note
    from cvfp_cli.reports.comparability import between_files, summed
    from cvfp_cli.reports.text.language import load_language

    language = load_language("en")
    found = summed(between_files(inputs.results, [str(result.path) for result in inputs.results]))
    return tuple(Note(finding.code, language.sentence(finding), "warning") for finding in found)


def _sizes_and_pairs(
    texts: list[str] | None, *, joint_only: bool
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """Sizes such as ``1e6,inf`` and pairs N:D such as ``1e9:2e10``.

    Where joint is the only law, two sizes with a comma between are a pair too, and more than two are refused: they could
    be either. A semicolon stands between pairs.

    Raises:
        InputError: a word that is not a number, or a list that may be sizes or pairs.
    """
    sizes: list[float] = []
    pairs: dict[tuple[float, float], None] = {}
    for text in (part.strip() for whole in texts or () for part in whole.split(";")):
        if ":" not in text:
            values = _numbers([text], "--predict")
            if not joint_only or len(values) < 2:
                sizes += values
                continue
            text = ":".join(map(repr, values))
        for word in (part.strip() for part in text.split(",") if part.strip()):
            parts = [value for part in word.split(":") for value in _numbers([part], "--predict")]
            if len(parts) != 1 + word.count(":") or len(parts) > 2:
                raise InputError(
                    f"--predict: '{ascii(word)[1:-1][:40]}' is no pair of a model size and a data size.",
                    hint="Write N:D, such as 1e9:2e10,1e9:4e10.",
                )
            if len(parts) == 2:
                pairs[parts[0], parts[1]] = None
            else:
                sizes += parts
    return tuple(dict.fromkeys(sizes)), tuple(pairs)


def _numbers(texts: list[str] | None, name: str) -> tuple[float, ...]:
    """Numbers such as ``1e6,2.2B,inf``, each once, in order.

    Raises:
        InputError: a word that is not a number.
    """
    from cvfp_cli.study.cells import number_list

    values: list[float] = []
    for text in texts or ():
        try:
            values += number_list(text)
        except ValueError as problem:
            raise InputError(
                f"{name}: '{ascii(str(problem))[1:-1][:40]}' is not a number.",
                hint="Write 1e6,5e6,inf, and one number with thousands alone: 1,000,000.",
            ) from None
    return tuple(dict.fromkeys(values))


def _draw(groups: "tuple[Points, ...]", request: "Request", path: Path) -> None:
    """Fit again at the sizes of a smooth curve, and draw."""
    from dataclasses import replace

    from cvfp_cli.scaling.plot import draw, plot_sizes, shows_bands
    from cvfp_cli.scaling.study import curves_of

    sizes = plot_sizes(groups, request.options.predict)
    bands = shows_bands(groups)
    options = replace(request.options, predict=sizes, pairs=(), targets=(), window=0, intervals=bands)
    if not bands:
        request = replace(request, bootstrap=0)
    curves, joint = curves_of(groups, replace(request, options=options))
    draw(groups, curves, path, joint=joint)
