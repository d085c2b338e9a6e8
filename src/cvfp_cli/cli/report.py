"""``cvfp report``: the write-up of a study, made from its figures."""

from pathlib import Path

from cvfp_cli.cli import writing
from cvfp_cli.cli.choices import LAWS_OR_ALL, LENGTHS, SECTIONS, laws_or_all
from cvfp_cli.cli.options import OUTPUT, flag, given, listed, one_of, option_of
from cvfp_cli.cli.shared import ResultFiles, answer_file, check_figures, check_writable, language_of
from cvfp_cli.counting import agreeing
from cvfp_cli.errors import InputError
from cvfp_cli.laws.names import MAIN

CONTENT = "Content"
FORMATS = ("markdown", "html", "json")
SUFFIXES = {
    "": "markdown",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "markdown",
    ".htm": "html",
    ".html": "html",
    ".json": "json",
}


def report(
    files: ResultFiles,
    title: str | None = given(CONTENT, "TEXT", "Title.", default="the study's name"),
    sections: list[str] | None = given(
        CONTENT, "LIST", "Only these, such as summary,laws.", default="all", words=SECTIONS, several=True
    ),
    length: str | None = given(
        CONTENT, "NAME", "full, or short: one or two pages.", default="full", words=LENGTHS
    ),
    laws: list[str] | None = given(
        CONTENT,
        "LIST",
        "Laws to fit, such as power,exp-decay, or all.",
        default=MAIN,
        words=LAWS_OR_ALL,
        several=True,
    ),
    previous: Path | None = given(CONTENT, "FILE", "Results of an earlier study to compare with."),
    diff: bool = flag(CONTENT, "Of two RESULTS: what changed from the first to the second."),
    form: str | None = given(
        OUTPUT,
        "NAME",
        "markdown, html or json.",
        name="--format",
        default="by the name of --out, else markdown",
        words=FORMATS,
    ),
    out: Path | None = given(OUTPUT, "FILE", "File to write.", short="-o", default="stdout"),
    figures: Path | None = given(
        OUTPUT, "DIR", "Write the pictures there too, as PNG and SVG (extra 'plot'); Markdown shows them."
    ),
) -> None:
    """Write a report on a study, in English or Japanese.

    The answer first; then tables, heatmaps, laws, tests, recommendations and how to reproduce it, with nothing that
    the figures do not support.

    \b
    cvfp report > report.md
    cvfp report results --lang ja -o 1130.html
    cvfp report results --length short
    cvfp report results -o report.md --figures figures
    cvfp report --diff old/summary.json new/summary.json
    """
    from cvfp_cli.reports.build import build_report
    from cvfp_cli.reports.diff import build_difference
    from cvfp_cli.reports.text.language import load_language

    language = language_of(files.lang)
    chosen = one_of(form, FORMATS, "--format") if form else "markdown"
    out = answer_file(out)
    if out is not None:
        suffix = out.suffix.lower()
        check_writable(
            out, "--out", [suffix] if form else list(SUFFIXES), hint="Or name its kind with --format."
        )
        chosen = form or SUFFIXES[suffix]
    if figures is not None:
        check_figures(figures)
    short = length is not None and one_of(length, LENGTHS, "--length") == "short"
    if short and sections:
        raise InputError("--length short and --sections both say what to write.", hint="Leave one out.")
    wanted = listed(sections, SECTIONS, "--sections") or SECTIONS
    fitted = listed(laws, laws_or_all(), "--laws") or (MAIN,)
    if diff:
        _check_difference(
            files.paths, sections=sections, length=length, laws=laws, previous=previous, figures=figures
        )
    with writing.without_collector():
        found = writing.read_all(files.paths, recover=files.recover)
        if diff:
            names = [str(path) for path in files.paths]
            document = build_difference(*found, names=names, title=title)
            writing.write_answer(writing.rendered(document, chosen, load_language(language)), out)
            return
        earlier = writing.read_all([previous], recover=files.recover)[0] if previous is not None else None
        document = build_report(
            found,
            names=[str(path) for path in files.paths],
            command=command_line(
                files.paths,
                language,
                wanted if sections else (),
                fitted,
                title,
                short=short,
                previous=previous,
                form=chosen,
                figures=figures,
            ),
            laws_fitted=("all",) if "all" in fitted else fitted,
            sections=wanted,
            short=short,
            title=title,
            earlier=earlier,
            earlier_name=str(previous or ""),
        )
        text = writing.rendered(
            document,
            chosen,
            load_language(language),
            writing.Pictures(figures, out.parent if out else Path()) if figures else None,
        )
    writing.write_answer(text, out)


def _check_difference(paths: list[Path], **others: object) -> None:
    """Refuse anything but two states, and what a list of changes has no use for."""
    if len(paths) != 2:
        raise InputError(
            f"--diff compares two states of a study, and there {agreeing(len(paths), 'is', 'are')} {len(paths)}.",
            hint="For example: cvfp report --diff old/summary.json new/summary.json",
        )
    if given_too := [option_of(name) for name, value in others.items() if value]:
        raise InputError(f"--diff has no use for {' and '.join(given_too)}.", hint="Leave it out.")


def command_line(
    paths: list[Path],
    language: str,
    sections: tuple[str, ...],
    laws: tuple[str, ...],
    title: str | None,
    *,
    short: bool,
    previous: Path | None = None,
    form: str = "markdown",
    figures: Path | None = None,
) -> str:
    """The command line that writes the same report again."""
    from cvfp_cli.reports.sections.reproduction import quoted

    words = ["cvfp", "report", *map(str, paths), "--lang", language, "--format", form]
    if sections:
        words += ["--sections", ",".join(sections)]
    if short:
        words += ["--length", "short"]
    if laws != (MAIN,):
        words += ["--laws", ",".join(laws)]
    if title:
        words += ["--title", title]
    if previous is not None:
        words += ["--previous", str(previous)]
    if figures is not None:
        words += ["--figures", str(figures)]
    return " ".join(quoted(word) for word in words)
