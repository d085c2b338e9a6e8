"""``cvfp compare``: configurations, or studies, pair by pair."""

from pathlib import Path

from cvfp_cli.cli import writing
from cvfp_cli.cli.choices import FACTORS, OBJECTIVES
from cvfp_cli.cli.options import MORE, OUTPUT, flag, given, one_of, share_between, words_of
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import (
    ResultFiles,
    answer_file,
    check_answer,
    check_picture,
    check_there,
    language_of,
)
from cvfp_cli.laws.names import SINGLE, single

WHAT = "What to compare"
FORMATS = ("table", "markdown", "json", "csv")
SIZES = ("train_tokens", "samples")


def compare(
    files: ResultFiles,
    configs: list[str] | None = given(WHAT, "LIST", "Only these, such as 1L_768d_1tok,1L_768d_2tok."),
    by: str | None = given(
        WHAT,
        "FACTOR",
        "Only pairs that differ in this axis alone, or in token_input, kind or study.",
        words=FACTORS,
    ),
    model: str | None = given(
        WHAT, "LAW", "Also compare this law's parameters, such as exp-decay.", words=SINGLE
    ),
    objective: str = given(WHAT, "log|ppl", "What --model's fit squares.", start="log", words=OBJECTIVES),
    x: str | None = given(
        WHAT, "NAME", "train_tokens or samples.", default="train_tokens where known", words=SIZES
    ),
    level: float = given(WHAT, "SHARE", "Confidence of the intervals.", start=0.95),
    margin: float = given(MORE, "SHARE", "Share of PPL within which two are called equal.", start=0.02),
    strict: bool = flag(WHAT, "Refuse where data, tokenizer or validation differ."),
    form: str = given(
        OUTPUT, "NAME", "table, markdown, json or csv.", name="--format", start="table", words=FORMATS
    ),
    out: Path | None = given(OUTPUT, "FILE", "File to write.", short="-o", default="stdout"),
    plot: Path | None = given(OUTPUT, "FILE", "Also draw a .png, .svg or .pdf (extra 'plot')."),
) -> None:
    """Compare configurations, pair by pair.

    PPL at common sizes, equal slopes and lines with Holm's correction, crossing points, ratios and effective rank.

    \b
    cvfp compare results/summary.json
    cvfp compare old.json new.json --configs 1L_768d_2tok,3L_1536d_2tok
    cvfp compare results --by context_dim --model exp-decay --x samples
    """
    from cvfp_cli.errors import InputError
    from cvfp_cli.reports.comparability import summed
    from cvfp_cli.reports.compare import build_comparison, factors_of
    from cvfp_cli.reports.text.language import load_language

    out = answer_file(out)
    problems = Problems()
    language = load_language("en")
    with problems.collect():
        language = load_language(language_of(files.lang))
    problems.check_words(
        ("--format", form, FORMATS),
        ("--objective", objective, OBJECTIVES),
        ("--model", model, single()),
        ("--x", x, SIZES),
    )
    with problems.collect():
        share_between(level, "--level")
    with problems.collect():
        share_between(margin, "--margin", usual=0.02)
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
        margin=margin,
    )
    if warnings and strict:
        raise InputError(
            f"--strict: {load_language('en').sentence(warnings[0])}",
            hint="Leave --strict out to compare all the same.",
        )
    for warning in summed(warnings):
        writing.warn(language.sentence(warning))
    text = writing.rendered(comparison, form, language)
    if plot is not None:
        from cvfp_cli.reports.plot import plot_format, render_plot
        from cvfp_cli.results.atomic import write_atomic

        write_atomic(plot, render_plot(comparison, language, plot_format(plot)))
    writing.write_answer(text, out)
