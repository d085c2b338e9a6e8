"""``cvfp export``: a finished run as a model folder of the Transformers library."""

from pathlib import Path
from typing import Annotated

import typer

from cvfp_cli.cli import study
from cvfp_cli.cli.options import MORE, OUTPUT, flag, given
from cvfp_cli.cli.shared import check_folder, check_there, path_text
from cvfp_cli.errors import InputError

MODEL = "Model"


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a finished run, such as results/runs/NAME.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.")],
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

    \b
    cvfp export results/runs/2L_128d_1tok_s200_seed42 mymodel
    cvfp export results/runs/2L_128d_1tok_s200_seed42 mymodel --licence CC-BY-4.0
    """
    from cvfp_cli.results.atomic import make_folder, write_atomic
    from cvfp_cli.sweep.export import export_run
    from cvfp_cli.sweep.model_folder import UNKNOWN_LICENCE

    check_there([run])
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
        licence=licence or UNKNOWN_LICENCE,
        cache_dir=cache_dir,
        notify=lambda text: study.say(text, quiet=quiet),
    )
    make_folder(folder)
    for name, content in exported.files.items():
        write_atomic(folder / name, content)
    study.tell(list(exported.notes), quiet=quiet)
    study.say(f"{path_text(folder)}: {', '.join(sorted(exported.files))}", quiet=quiet)
