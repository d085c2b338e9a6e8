"""``cvfp export``: a finished run as a model folder of the Transformers library, or a study for a tracker."""

from pathlib import Path
from typing import Annotated

import typer

from cvfp_cli.cli import study
from cvfp_cli.cli.choices import TRACKERS
from cvfp_cli.cli.options import MORE, OUTPUT, flag, given, one_of, utf8
from cvfp_cli.cli.shared import check_folder, check_there, path_text
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError

MODEL = "Model"
AFTERWARDS = tuple(word for word in TRACKERS if word != "tensorboard")


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Folder of a finished run, such as results/runs/NAME; with --to, of results."
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Folder to write; not with --to.", show_default=False),
    ] = None,
    to: str | None = given(
        OUTPUT, "TRACKER", "Tell wandb, mlflow or trackio of every run in results.", words=AFTERWARDS
    ),
    licence: str | None = given(
        MODEL, "NAME", "Licence of the training text, for the model card.", default="unknown"
    ),
    force: bool = flag(OUTPUT, "Write into a folder that holds files."),
    quiet: bool = flag(OUTPUT, "Print errors and warnings only.", short="-q"),
    cache_dir: Path | None = given(
        MORE, "FOLDER", "Where token streams are cached.", default="CVFP_CACHE_DIR, the system's"
    ),
) -> None:
    """Write a trained model as a folder that Transformers load.

    FOLDER gets weights and table (model.safetensors), configuration, class, tokenizer, a model card with the
    figures of the run beside those of its study, and the validation text as a task for lm-evaluation-harness.

    With --to, an experiment tracker gets every run of a results folder, as --report-to does while they train.

    \b
    cvfp export results/runs/2L_128d_1tok_s200_seed42 mymodel
    cvfp export results/runs/2L_128d_1tok_s200_seed42 mymodel --licence CC-BY-4.0
    cvfp export results --to mlflow
    """
    from cvfp_cli.results.atomic import make_folder, write_atomic
    from cvfp_cli.sweeps.export import export_run
    from cvfp_cli.sweeps.model_folder import UNKNOWN_LICENCE

    check_there([run])
    if to is not None:
        others = {"FOLDER": folder, "--licence": licence, "--force": force, "--cache-dir": cache_dir}
        if unused := [name for name, value in others.items() if value]:
            raise InputError(f"--to has no use for {' and '.join(unused)}.", hint="Leave it out.")
        _tell(run, one_of(to, AFTERWARDS, "--to"), quiet=quiet)
        return
    if folder is None:
        raise InputError("FOLDER is missing.", hint="Name the folder to write, or a tracker with --to.")
    check_folder(folder, "FOLDER")
    if folder.resolve() == run.resolve():
        raise InputError("FOLDER: that is the run's own folder.", hint="Name another one.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(
            f"FOLDER: {path_text(folder)} holds files.",
            hint="Name another folder, or write into it with --force.",
        )
    exported = export_run(
        run,
        licence=utf8(licence or UNKNOWN_LICENCE, "--licence"),
        cache_dir=cache_dir,
        notify=lambda text: study.say(text, quiet=quiet),
    )
    make_folder(folder)
    for name, content in exported.files.items():
        write_atomic(folder / name, content)
    study.tell(list(exported.notes), quiet=quiet)
    study.say(f"{path_text(folder)}: {', '.join(sorted(exported.files))}", quiet=quiet)


def _tell(results: Path, word: str, *, quiet: bool) -> None:
    """Tell a tracker of the runs of a results folder.

    Raises:
        InputError: there are none, or the tracker's package is missing.
    """
    from cvfp_cli.results import read_results
    from cvfp_cli.sweeps.trackers import check_tracker, tell_results

    check_tracker(word, "--to")
    studies = dict.fromkeys(run.study for run in read_results(results).runs if run.study)
    count = tell_results(word, ", ".join(studies) or results.resolve().name, results)
    study.say(f"{word}: {counted(count, 'run')} told.", quiet=quiet)
