"""``cvfp report``: the write-up of a study, made from its figures."""

from pathlib import Path
from typing import Annotated

from cvfp_cli.cli import writing
from cvfp_cli.cli.choices import LAWS_OR_ALL, SECTIONS, laws_or_all
from cvfp_cli.cli.options import OUTPUT, listed, one_of, option
from cvfp_cli.cli.shared import ResultFiles, answer_file, check_writable, language_of
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
    title: Annotated[
        str | None,
        option("--title", panel=CONTENT, metavar="TEXT", help="Title.", default="the study's name"),
    ] = None,
    sections: Annotated[
        list[str] | None,
        option(
            "--sections",
            panel=CONTENT,
            metavar="LIST",
            help="Only these, such as summary,laws.",
            default="all",
            words=SECTIONS,
            several=True,
        ),
    ] = None,
    laws: Annotated[
        list[str] | None,
        option(
            "--laws",
            panel=CONTENT,
            metavar="LIST",
            help="Laws to fit, such as power,exp-decay, or all.",
            default=MAIN,
            words=LAWS_OR_ALL,
            several=True,
        ),
    ] = None,
    previous: Annotated[
        Path | None,
        option(
            "--previous", panel=CONTENT, metavar="FILE", help="Results of an earlier study to compare with."
        ),
    ] = None,
    form: Annotated[
        str | None,
        option(
            "--format",
            panel=OUTPUT,
            metavar="NAME",
            help="markdown, html or json.",
            default="by the name of --out, else markdown",
            words=FORMATS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option("--out", "-o", panel=OUTPUT, metavar="FILE", help="File to write.", default="stdout"),
    ] = None,
) -> None:
    """Write a report on a study, in English or Japanese.

    Tables, heatmaps, laws, tests, recommendations and how to reproduce it, with nothing that the figures do not
    support.

    \b
    cvfp report > report.md
    cvfp report results --lang ja -o 1130.html
    cvfp report new/summary.json --previous old/summary.json --laws all
    """
    from cvfp_cli.report.build import build_report
    from cvfp_cli.report.compare import with_summed_warnings
    from cvfp_cli.report.text.language import load_language

    language = language_of(files.lang)
    chosen = one_of(form, FORMATS, "--format") if form else "markdown"
    out = answer_file(out)
    if out is not None:
        suffix = out.suffix.lower()
        check_writable(
            out, "--out", [suffix] if form else list(SUFFIXES), hint="Or name its kind with --format."
        )
        chosen = form or SUFFIXES[suffix]
    wanted = listed(sections, SECTIONS, "--sections") or SECTIONS
    fitted = listed(laws, laws_or_all(), "--laws") or (MAIN,)
    with writing.without_collector():
        found = writing.read_all(files.paths, recover=files.recover)
        earlier = writing.read_all([previous], recover=files.recover)[0] if previous is not None else None
        document = build_report(
            found,
            names=[str(path) for path in files.paths],
            command=_command(
                files.paths, language, wanted if sections else (), fitted, title, previous, chosen
            ),
            laws_fitted=("all",) if "all" in fitted else fitted,
            sections=wanted,
            title=title,
            earlier=earlier,
            earlier_name=str(previous or ""),
        )
        if chosen == "html":
            from cvfp_cli.report.html import render_html

            text = render_html(with_summed_warnings(document), load_language(language))
        elif chosen == "json":
            from cvfp_cli.report.model import dump_json

            text = dump_json(document)
        else:
            from cvfp_cli.report.markdown import render_markdown

            text = render_markdown(with_summed_warnings(document), load_language(language))
    writing.write_answer(text, out)


def _command(
    paths: list[Path],
    language: str,
    sections: tuple[str, ...],
    laws: tuple[str, ...],
    title: str | None,
    previous: Path | None,
    form: str,
) -> str:
    """The command line that writes the same report again."""
    from cvfp_cli.report.sections.reproduction import quoted

    words = ["cvfp", "report", *map(str, paths), "--lang", language, "--format", form]
    if sections:
        words += ["--sections", ",".join(sections)]
    if laws != (MAIN,):
        words += ["--laws", ",".join(laws)]
    if title:
        words += ["--title", title]
    if previous is not None:
        words += ["--previous", str(previous)]
    return " ".join(quoted(word) for word in words)
