"""A finished run as a folder of its own: the model, its card beside the other runs, and a task of its validation text."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvfp_cli.data.study import StudyData
from cvfp_cli.errors import InputError
from cvfp_cli.learners.exports import Exports
from cvfp_cli.notes import Note
from cvfp_cli.recipes import load_recipe
from cvfp_cli.results import ResultsStore, Run
from cvfp_cli.results.jsontext import read_json
from cvfp_cli.results.reader import RUN_FILE
from cvfp_cli.results.store import read_run
from cvfp_cli.results.weights import MODEL_CONFIG, WEIGHTS_FILE, read_weights
from cvfp_cli.sweeps.grid import Experiment, experiments
from cvfp_cli.sweeps.model_folder import (
    CARD_FILE,
    CODE_FILE,
    UNKNOWN_LICENCE,
    Files,
    card,
    tokenizer_files,
    weight_files,
)
from cvfp_cli.sweeps.plan import read_text
from cvfp_cli.sweeps.recording import CONFIG_FILE

TEXT_FILE = "validation.jsonl"
_MODEL_FILES = (
    MODEL_CONFIG,
    WEIGHTS_FILE,
    CODE_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
)


@dataclass(frozen=True)
class ExportedRun:
    """A run as a folder.

    Attributes:
        run: its figures.
        files: by their names in the folder.
        task: the name of the task for lm-evaluation-harness; empty where there is none.
        notes: what is left out, and why.
    """

    run: Run
    files: Files
    task: str
    notes: tuple[Note, ...]


def export_run(
    folder: Path,
    *,
    licence: str = UNKNOWN_LICENCE,
    cache_dir: Path | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> ExportedRun:
    """What a run's own folder comes to; nothing is written but caches.

    Args:
        folder: the run's. licence: of its training text.
        cache_dir, notify: as :func:`read_text` takes them.

    Raises:
        InputError: it is no finished run with weights, or of a kind that has no form in Transformers.
    """
    run, recorded = _recorded(folder)
    recipe = load_recipe(str(folder / CONFIG_FILE))
    experiment = experiments(recipe)[0]
    if not isinstance(experiment.learner, Exports):
        raise InputError(
            f"{folder.name} is of kind {run.kind}, which has no form in Transformers.",
            hint=f"It stays in {WEIGHTS_FILE}, as docs/file-formats.md describes it.",
        )
    if run.status != "done":
        raise InputError(f"{folder.name} has no trained model: it {run.status}.")
    whole = (folder / MODEL_CONFIG).is_file()
    files: Files = {}
    notes: tuple[Note, ...] = ()
    task = ""
    try:
        data = read_text(recipe, cache_dir=cache_dir, notify=notify)[experiment.settings]
    except InputError as problem:
        if not whole:
            raise
        first = str(problem).splitlines()[0]
        message = f"The study's text cannot be read, so no task of its validation text is written: {first}"
        notes = (Note("export-without-text", message, "warning"),)
    else:
        if not whole:
            files |= _made_anew(folder, experiment, data)
        task = re.sub(r"\W+", "_", f"validation_{run.config}_{run.run_id[:6]}")
        files |= _task(task, data.validation_texts(experiment.samples, experiment.data_seed))
    if whole:
        files |= {name: (folder / name).read_bytes() for name in _MODEL_FILES if (folder / name).is_file()}
    described = {key: dict(recorded.get(key) or {}) for key in ("recipe", "data")}
    files[CARD_FILE] = card(
        run, _others(folder), described["recipe"], described["data"], licence, own_code=CODE_FILE in files
    )
    return ExportedRun(run, files, task, notes)


def _recorded(folder: Path) -> tuple[Run, Mapping[str, Any]]:
    """A run's figures, and all of its ``result.json``."""
    path = folder / RUN_FILE
    if not path.is_file():
        inside = sorted(place.parent.name for place in folder.glob(f"runs/*/{WEIGHTS_FILE}"))
        named = f"It has {', '.join(f'runs/{name}' for name in inside[:3])}." if inside else ""
        raise InputError(
            f"{folder} is no finished run: it holds no {RUN_FILE}.",
            hint=named or "Name the folder of one run, such as results/runs/NAME.",
        )
    run, _ = read_run(path)
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{folder.name} kept no weights.", hint="cvfp train keeps them, a sweep with --save-models."
        )
    return run, read_json(path)


def _others(folder: Path) -> list[Run]:
    """The runs beside this one."""
    if folder.resolve().parent.name != "runs":
        return []
    return list(ResultsStore(folder.resolve().parent.parent, recover=True).finished().values())


def _made_anew(folder: Path, experiment: Experiment, data: StudyData) -> Files:
    """The model of a run that kept its weights without their table, as earlier versions did.

    Raises:
        InputError: today's text gives another table than the one it was trained with.
    """
    from safetensors import safe_open

    text = data.experiment(experiment.samples, experiment.data_seed)
    with safe_open(folder / WEIGHTS_FILE, "pt") as file:
        about = json.loads((file.metadata() or {}).get("cvfp", "{}"))
    if about.get("embedding_table") != text.table_fingerprint:
        raise InputError(
            f"{folder.name} was trained with another embedding table than its recipe gives today.",
            hint="Its text, tokenizer or packages have changed; train it again.",
        )
    weights = read_weights(str(folder))
    run_id = str(about.get("run_id", ""))
    return weight_files(experiment, run_id, weights, text) | tokenizer_files(data.tokenizer)


def _task(name: str, texts: list[str]) -> Files:
    """The validation text, a sample a line, and the task that reads it from the folder that is current."""
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    task = f"""\
# lm_eval --include_path . --tasks {name}, in this folder: docs/models.md
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {TEXT_FILE}
output_type: loglikelihood_rolling
validation_split: validation
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
    aggregation: bits_per_byte
    higher_is_better: false
  - metric: byte_perplexity
    aggregation: weighted_perplexity
    higher_is_better: false
metadata:
  version: 1
"""
    return {TEXT_FILE: lines.encode(), f"{name}.yaml": task.encode()}
