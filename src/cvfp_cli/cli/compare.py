"""``cvfp compare``: configurations, or studies, pair by pair."""

from pathlib import Path
from typing import Annotated

from cvfp_cli.cli import writing
from cvfp_cli.cli.choices import FACTORS, OBJECTIVES
from cvfp_cli.cli.options import OUTPUT, one_of, option, share_between, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import (
    ResultFiles,
    answer_file,
    check_answer,
    check_picture,
    check_there,
    language_of,
)
from cvfp_cli.cli.terminal import screen
from cvfp_cli.laws.names import SINGLE, single

WHAT = "What to compare"
FORMATS = ("table", "markdown", "json", "csv")
SIZES = ("train_tokens", "samples")


def compare(
    files: ResultFiles,
    configs: Annotated[
        list[str] | None,
        option(
            "--configs", panel=WHAT, metavar="LIST", help="Only these, such as 1L_768d_1tok,1L_768d_2tok."
        ),
    ] = None,
    by: Annotated[
        str | None,
        option(
            "--by",
            panel=WHAT,
            metavar="FACTOR",
            help="Only pairs that differ in this axis alone, or in token_input, kind or study.",
            words=FACTORS,
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            panel=WHAT,
            metavar="LAW",
            help="Also compare this law's parameters, such as exp-decay.",
            words=SINGLE,
        ),
    ] = None,
    objective: Annotated[
        str,
        option(
            "--objective",
            panel=WHAT,
            metavar="log|ppl",
            help="What --model's fit squares.",
            words=OBJECTIVES,
        ),
    ] = "log",
    x: Annotated[
        str | None,
        option(
            "--x",
            panel=WHAT,
            metavar="NAME",
            help="train_tokens or samples.",
            default="train_tokens where known",
            words=SIZES,
        ),
    ] = None,
    level: Annotated[
        float, option("--level", panel=WHAT, metavar="SHARE", help="Confidence of the intervals.")
    ] = 0.95,
    strict: Annotated[
        bool,
        option("--strict", panel=WHAT, help="Refuse where data, tokenizer or validation differ."),
    ] = False,
    form: Annotated[
        str,
        option(
            "--format",
            panel=OUTPUT,
            metavar="NAME",
            help="table, markdown, json or csv.",
            words=FORMATS,
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
) -> None:
    """Compare configurations, pair by pair.

    PPL at common sizes, equal slopes and lines with Holm's correction, crossing points, ratios and effective rank.

    \b
    cvfp compare results/summary.json
    cvfp compare old.json new.json --configs 1L_768d_2tok,3L_1536d_2tok
    cvfp compare results --by context_dim --model exp-decay --x samples
    """
    import sys

    from cvfp_cli.errors import InputError
    from cvfp_cli.report.comparability import summed
    from cvfp_cli.report.compare import build_comparison, factors_of, with_summed_warnings
    from cvfp_cli.report.text.language import load_language

    out = answer_file(out)
    problems = Problems()
    language = load_language("en")
    with problems.collect():
        language = load_language(language_of(files.lang))
    for value, choices, name in (
        (form, FORMATS, "--format"),
        (objective, OBJECTIVES, "--objective"),
        (model, single(), "--model"),
        (x, SIZES, "--x"),
    ):
        with problems.collect():
            if value is not None:
                one_of(value, choices, name)
    with problems.collect():
        share_between(level, "--level")
    with problems.collect():
        if plot is not None:
            check_picture(plot)
    with problems.collect():
        if out is not None:
            check_answer(out)
    with problems.collect():
        check_there(files.paths)
    problems.raise_found()
    results = writing.read_all(files.paths, recover=files.recover)
    if by is not None:
        one_of(by, factors_of(results), "--by")
    comparison, warnings = build_comparison(
        results,
        names=[str(path) for path in files.paths],
        configs=words_of(configs),
        by=by,
        law=model,
        objective=objective,
        x=x,
        level=level,
    )
    if warnings and strict:
        raise InputError(
            f"--strict: {load_language('en').sentence(warnings[0])}",
            hint="Leave --strict out to compare all the same.",
        )
    for warning in summed(warnings):
        writing.warn(language.sentence(warning))
    if form == "json":
        from cvfp_cli.report.model import dump_json

        text = dump_json(comparison)
    elif form == "markdown":
        from cvfp_cli.report.markdown import render_markdown

        text = render_markdown(with_summed_warnings(comparison), language)
    else:
        from cvfp_cli.report.plain import render_csv, render_plain

        text = (
            render_csv(comparison)
            if form == "csv"
            else render_plain(with_summed_warnings(comparison), language, screen(sys.stdout))
        )
    if plot is not None:
        from cvfp_cli.report.plot import plot_format, render_plot
        from cvfp_cli.results.atomic import write_atomic

        write_atomic(plot, render_plot(comparison, language, plot_format(plot)))
    writing.write_answer(text, out)
