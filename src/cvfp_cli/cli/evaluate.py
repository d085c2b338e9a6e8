"""``cvfp evaluate``: a trained model on other text."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cvfp_cli.cli import study
from cvfp_cli.cli.figures import four_digits, percent
from cvfp_cli.cli.options import MORE, OUTPUT, TEXT, flag, given
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Device, Machine, check_there

FORMATS = ("table", "json")


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a run with weights, or of cvfp export.")
    ],
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT", help="What --data takes: file, folder, pydocs, data set.")
    ],
    split: str | None = given(TEXT, "NAME", "Split of a data set.", default="train_sft"),
    text_field: str | None = given(TEXT, "COLUMN", "Column that holds the text."),
    lines: bool = flag(TEXT, "Of text files, take each line as a sample."),
    *,
    on: Device,
    form: str = given(OUTPUT, "NAME", "table or json.", name="--format", start="table", words=FORMATS),
    quiet: bool = flag(OUTPUT, "Print errors and warnings only.", short="-q"),
    memory: str | None = given(MORE, "SIZE", "Bound for what is scored at a time.", default="2GiB"),
    threads: int | None = given(MORE, "N", "CPU threads.", default="torch's choice"),
    cache_dir: Path | None = given(
        MORE, "FOLDER", "Where token streams are cached.", default="CVFP_CACHE_DIR, the system's"
    ),
) -> None:
    """Evaluate a trained model on other text.

    Perplexity, bits per byte and accuracy of each TEXT, with standard errors clustered by sample. On the text that
    a run validated on these are the run's own figures.

    \b
    cvfp evaluate results/runs/2L_128d_1tok_s200_seed42 other.jsonl
    cvfp evaluate mymodel mymodel/validation.jsonl letters.txt --lines --format json
    """
    problems = Problems()
    machine = Machine(on.device, on.precision, memory, threads)
    study.check_machine(machine, problems)
    problems.check_words(("--format", form, FORMATS))
    problems.raise_found()
    check_there([model])
    from cvfp_cli.results.weights import read_model_config

    read_model_config(model)  # what is wrong with it is told before torch is loaded
    from cvfp_cli.sweeps.evaluation import evaluate_texts, together

    execution, _, _ = study.resolve(machine, quiet=quiet)
    reading = {"split": split, "text_field": text_field, "lines": lines or None}
    found = evaluate_texts(
        model,
        texts,
        execution,
        reading={key: value for key, value in reading.items() if value is not None},
        cache_dir=cache_dir,
        notify=lambda text: study.say(text, quiet=quiet),
    )
    figures = [one.figures for one in (*found, *([together(found)] if len(found) > 1 else []))]
    if form == "json":
        print(json.dumps(figures, indent=2, ensure_ascii=False))
        return
    from cvfp_cli.cli.summary import answer_console, print_sentence, print_table
    from cvfp_cli.cli.terminal import printable

    console = answer_console(None)
    header = ("text", "samples", "targets", "PPL", "±", "bits per\nbyte", "±", "accuracy", "±")
    print_table(console, header, [_row(one, printable(one["text"])) for one in figures])
    print_sentence(console, "±: standard error over samples.", "dim")


def _row(one: dict[str, Any], name: str) -> tuple[str, ...]:
    return (
        name,
        f"{one['samples']:,}",
        f"{one['targets']:,}",
        four_digits(one["ppl"]),
        four_digits(one["ppl_se"]),
        four_digits(one["bits_per_byte"]),
        four_digits(one["bits_per_byte_se"]),
        percent(one["accuracy"]),
        percent(one["accuracy_se"]),
    )
