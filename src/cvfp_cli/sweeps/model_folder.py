"""A run's model as a folder that the Transformers library loads: weights, configuration, tokenizer, and a model card."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvfp_cli import __version__
from cvfp_cli.counting import counted
from cvfp_cli.data.description import Settings
from cvfp_cli.data.stream import Text
from cvfp_cli.data.tokenizer import Tokenizer
from cvfp_cli.learners.exports import CODE, Exports
from cvfp_cli.markdown import escape, fenced, pipe_table
from cvfp_cli.results import Run
from cvfp_cli.results.weights import MODEL_CONFIG, WEIGHTS_FILE
from cvfp_cli.stats.regression import mean_interval
from cvfp_cli.sweeps.grid import Experiment

if TYPE_CHECKING:
    import torch

Files = dict[str, bytes]

CARD_FILE = "README.md"
CODE_FILE = f"{CODE}.py"
UNKNOWN_LICENCE = "unknown"


def weight_files(
    experiment: Experiment,
    run_id: str,
    weights: "Mapping[str, torch.Tensor]",
    text: Text,
    *,
    diverged: bool = False,
) -> Files:
    """``model.safetensors``, and of a model that the library can load what its configuration and class are.

    Of another, one that diverged among them, the file's metadata say what it is of; a frozen embedding table is then
    not in it, but named by its fingerprint.
    """
    import torch
    from safetensors.torch import save

    from cvfp_cli.core.metrics import new_share

    about = {
        "run_id": run_id,
        "config": asdict(experiment.config),
        "embedding_table": text.table_fingerprint,
    }
    here = {key: value.cpu() for key, value in weights.items()}
    learner = experiment.learner
    if diverged or not isinstance(learner, Exports):
        # One key alone: safetensors keeps no order among several, and the same run should be the same file.
        metadata = {"cvfp": json.dumps(about, sort_keys=True)}
        return {WEIGHTS_FILE: save({key: value.contiguous() for key, value in here.items()}, metadata)}
    # A copy of the table: cached arrays are read-only, which torch.from_numpy would warn about.
    share = new_share(text.train.ids) if "head.seen" in here else None
    exported = learner.exported(experiment.config, here, torch.tensor(text.table), share)
    config = {
        **exported.config,
        "cvfp": {**about, "kind": learner.kind, "reading": reading(experiment.settings)},
    }
    tensors = {key: value.contiguous() for key, value in exported.tensors.items()}
    made = {WEIGHTS_FILE: save(tensors, {"format": "pt"}), MODEL_CONFIG: _json(config)}
    if "auto_map" in config:
        made[CODE_FILE] = (files("cvfp_cli") / "hf" / CODE_FILE).read_bytes()
    return made


def reading(settings: Settings) -> dict[str, Any]:
    """How the study reads samples, for those who read others the same way."""
    data = settings.data
    return {
        "messages": data.messages,
        "lines": data.lines,
        "max_tokens": data.max_tokens,
        "separator": settings.validation.separator,
    }


def tokenizer_files(tokenizer: Tokenizer) -> Files:
    """``tokenizer.json`` with its special tokens, and ``generation_config.json`` with their ids.

    No token is put around a text by itself, as none was in training.
    """
    definition = json.loads(tokenizer.backend.to_str())
    definition["post_processor"] = None
    special = tokenizer.special_tokens
    if "eos_token" in special:
        special = {"pad_token": special["eos_token"], **special}
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        **special,
    }
    ids = {
        f"{part}_id": tokenizer.backend.token_to_id(special[part])
        for part in ("bos_token", "eos_token", "pad_token")
        if part in special
    }
    return {
        "tokenizer.json": _json(definition),
        "tokenizer_config.json": _json(told),
        "generation_config.json": _json(ids),
    }


def card(
    run: Run,
    others: Iterable[Run],
    recipe: Mapping[str, Any],
    described: Mapping[str, Any],
    licence: str = UNKNOWN_LICENCE,
    *,
    own_code: bool,
) -> bytes:
    """``README.md``: how to load the model, its data, its figures beside others', its recipe.

    Args:
        others: runs of the same results folder; those on the same text and as many samples stand beside this one.
        recipe: the resolved recipe. described: what the data say about themselves.
        licence: of the training text.
        own_code: whether the folder holds the class.
    """
    rivals = [
        other
        for other in others
        if (other.samples, other.data_fingerprint, other.status)
        == (run.samples, run.data_fingerprint, "done")
        and other.run_id != run.run_id
    ]
    best: dict[str, Run] = {}
    for other in sorted(rivals, key=lambda one: one.val_ppl or math.inf):
        best.setdefault(other.kind, other)
    rows = [_figures(f"this model ({escape(run.config, cell=True)})", run)]
    if run.unigram_ppl is not None:
        rows.append(["smoothed unigram of the training text", f"{run.unigram_ppl:.4g}", "", "", ""])
    rows += [
        _figures(
            f"best {kind} of {counted(run.samples or 0, 'sample')}: {escape(other.config, cell=True)}", other
        )
        for kind, other in best.items()
    ]
    heads = ("model", "validation PPL", "95 % over samples", "bits per byte", "accuracy")
    source, validation = described.get("source", {}), described.get("validation", {})
    trust = ", trust_remote_code=True" if own_code else ""
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        f"license: {json.dumps(licence)}",
        f"tags: {json.dumps(list(dict.fromkeys(['cvfp', run.kind])))}",
        "---",
        "",
        f"# {escape(run.config)}",
        "",
        f"A language model of kind `{run.kind}`, trained by cvfp-cli {__version__} on "
        f"{counted(run.samples or 0, 'sample')} ({counted(run.train_tokens or 0, 'token')}).",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER"{trust})',
        f'tokenizer = AutoTokenizer.from_pretrained("FOLDER"{trust})',
        'inputs = tokenizer("The ", return_tensors="pt")',
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=50, do_sample=True)[0]))",
        "```",
        "",
        "## Figures",
        "",
        *pipe_table(heads, rows, left=[True, False, False, False, False]),
        "",
        "## Data",
        "",
        f"- training text: {escape(_public(source.get('name')))}, licence: {escape(licence)}",
        f"- fingerprint of text, tokenizer and validation: `{run.data_fingerprint}`",
        f"- validation: {escape(_public(validation.get('source')))}, {counted(run.val_tokens or 0, 'token')}, "
        f"{counted(run.val_bytes or 0, 'byte')}",
        f"- seeds: {run.seed} of initialisation and noise"
        + ("" if run.data_seed is None else f", {run.data_seed} of the training samples"),
        "",
        "## Recipe",
        "",
        "```toml",
        *map(fenced, _recipe(recipe).splitlines()),
        "```",
        "",
    ]
    return "\n".join(lines).encode()


def _figures(name: str, run: Run) -> list[str]:
    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    clusters = sum(count > 0 for count in run.sample_targets or ())
    ends = mean_interval(run.val_loss, run.val_loss_se, clusters)
    low, high = (None, None) if ends is None else (math.exp(min(end, 700.0)) for end in ends)
    interval = "" if ends is None else f"{shown(low, '.4g')} to {shown(high, '.4g')}"
    return [
        name,
        shown(run.val_ppl, ".4g"),
        interval,
        shown(run.bits_per_byte, ".4g"),
        shown(run.val_accuracy, ".1%"),
    ]


def _public(name: object) -> str:
    """A name of data without the folders of the machine that it was on."""
    text = str(name or "unknown")
    return Path(text).name if Path(text).expanduser().is_absolute() else text


def _recipe(recipe: Mapping[str, Any]) -> str:
    import tomli_w

    shown = {
        key: {
            name: _public(value) if isinstance(value, str) and value else value
            for name, value in table.items()
        }
        for key, table in recipe.items()
        if isinstance(table, Mapping) and key != "runs"
    }
    return tomli_w.dumps({**shown, "configurations": recipe.get("configurations", [])})


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
