"""Runs as model folders: exported, loaded, evaluated, sampled, as a user does it."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from local_hub import local_hub
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, dynamic_module_utils

import cvfp_cli
from cvfp_cli.core.config import Execution
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.tokenizer import open_tokenizer
from cvfp_cli.hf import CVFPDecoderForCausalLM, CVFPForCausalLM, modeling_cvfp
from cvfp_cli.learners import get_learner
from cvfp_cli.learners.exports import Exported
from cvfp_cli.sweeps.model_folder import tokenizer_files

Cvfp = Callable[..., Any]
TRANSFORMER = ("transformer.layers=2", "transformer.heads=2", "transformer.epochs=1", "transformer.window=16")
CASES = {
    "cvfp": (),
    "cvfp two tables": ("phase2.embedding=trained", "phase2.past_count=1"),
    "cvfp untied": ("head.weights=untied", "head.bias=none"),
    "cvfp own copy": ("head.table=trained", "model.blocks=[4,6]"),
    "end-to-end": ("joint.epochs=1", "joint.embedding=trained", "joint.context=before"),
    "gru": ("gru.width=12", "gru.layers=2", "gru.epochs=1"),
    "lstm": ("lstm.width=8", "lstm.epochs=1", "lstm.head=untied", "lstm.table=frozen"),
    "cvfp reserved": ("head.unseen=reserved", "head.bias=unigram"),
    "lstm reserved": ("lstm.width=8", "lstm.epochs=1", "lstm.unseen=reserved"),
    "transformer": (*TRANSFORMER, "transformer.width=8"),
    "transformer reserved": (*TRANSFORMER, "transformer.width=8", "transformer.unseen=reserved"),
    "transformer wider": (
        *TRANSFORMER,
        "transformer.width=12",
        "transformer.head=untied",
        "transformer.bias=none",
    ),
}


def trained(cvfp: Cvfp, study: Path, name: str) -> Path:
    """The folder of a run."""
    settings = [word for setting in CASES[name] for word in ("--set", setting)]
    kind, out = name.split()[0], study.parent / "out"
    done = cvfp(
        "train", "--recipe", study, "--kind", kind, *settings, "--samples", 4, "--out", out, "--device", "cpu"
    )
    assert done.code == 0, done.err
    [folder] = out.glob("runs/*")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_exported_loaded_and_evaluated(cvfp: Cvfp, study: Path, tmp_path: Path, name: str) -> None:
    run = trained(cvfp, study, name)
    folder = tmp_path / "model"
    exported = cvfp("export", run, folder)
    assert exported.code == 0, exported.err
    figures = json.loads((run / "result.json").read_text())["run"]
    answer = cvfp("evaluate", folder, folder / "validation.jsonl", "--device", "cpu", "--format", "json")
    [found] = json.loads(answer.out)
    for ours, theirs in (
        ("loss", "val_loss"),
        ("ppl", "val_ppl"),
        ("loss_se", "val_loss_se"),
        ("accuracy", "val_accuracy"),
        ("accuracy_se", "val_accuracy_se"),
    ):
        assert found[ours] == pytest.approx(figures[theirs], rel=1e-6)
    assert (found["targets"], found["bytes"]) == (figures["val_tokens"] - 1, figures["val_bytes"])

    tensors = load_file(folder / "model.safetensors")
    own_code = (folder / "modeling_cvfp.py").is_file()
    assert ("trust_remote_code=True" in (folder / "README.md").read_text()) == own_code
    assert own_code == (not name.startswith("transformer") or "reserved" in name)
    kept = [bool((~value).any()) for key, value in tensors.items() if key.endswith("seen")]
    assert kept == [True] * ("reserved" in name)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    texts = [json.loads(line)["text"] for line in (folder / "validation.jsonl").read_text().splitlines()]
    theirs = AutoTokenizer.from_pretrained(folder)
    own = open_tokenizer(str(folder), Cache(tmp_path / "cache"), Hub())
    ids = torch.cat([torch.tensor(theirs(text)["input_ids"]) for text in texts])
    assert ids.tolist() == [one for row in own.encode(texts) for one in row.tolist()]
    config = json.loads((folder / "config.json").read_text())
    ids = ids[: config.get("max_position_embeddings", len(ids))]
    losses, _ = get_learner(figures["kind"]).score(Exported(config, tensors), ids.numpy(), Execution())  # type: ignore[attr-defined]
    with torch.no_grad():
        logits = model(ids[None]).logits[0, :-1]
    wanted = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
    assert wanted.tolist() == pytest.approx(losses.tolist(), rel=1e-4, abs=1e-5)

    model.save_pretrained(tmp_path / "again")
    again = load_file(tmp_path / "again" / "model.safetensors")
    if isinstance(model, CVFPForCausalLM | CVFPDecoderForCausalLM):
        assert {key: value.tolist() for key, value in again.items()} == {
            key: value.tolist() for key, value in tensors.items()
        }
        assert (tmp_path / "again" / "modeling_cvfp.py").read_bytes() == (
            folder / "modeling_cvfp.py"
        ).read_bytes()
    else:
        assert len(again) == len(tensors)


def test_the_folder_stands_alone(
    cvfp: Cvfp, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own class loads it, from the copy in it, which needs torch and transformers alone."""
    source = Path(modeling_cvfp.__file__).read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported <= {"torch", "transformers", *sys.stdlib_module_names}
    run = trained(cvfp, study, "cvfp")
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    remote = dynamic_module_utils.get_class_from_dynamic_module("modeling_cvfp.CVFPForCausalLM", str(run))
    assert remote.__module__.startswith("transformers_modules")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        wanted = AutoModelForCausalLM.from_pretrained(run)(ids).logits
        assert torch.equal(remote.from_pretrained(run)(ids).logits, wanted)


PUSH = """
import sys, torch
from huggingface_hub import upload_folder
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, name, ids = sys.argv[1], "me/model", torch.tensor([[5, 6, 7]])
if sys.argv[2] == "push":
    parts = [auto.from_pretrained(folder, trust_remote_code=True) for auto in (AutoModelForCausalLM, AutoTokenizer)]
    for part in parts:
        part.push_to_hub(name)
else:
    upload_folder(repo_id=name, folder_path=folder)
model, tokenizer = (auto.from_pretrained(name, trust_remote_code=True) for auto in (AutoModelForCausalLM, AutoTokenizer))
print(type(model).__module__.partition(".")[0], len(tokenizer), *model(ids).logits[0, -1].tolist())
"""


@pytest.mark.parametrize("way", ["push", "upload"])
def test_a_folder_goes_to_a_hub_and_comes_back(cvfp: Cvfp, study: Path, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "model"
    assert cvfp("export", trained(cvfp, study, "cvfp"), folder).code == 0
    with local_hub() as (url, files):
        told = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_none", "NO_PROXY": "*"}
        online = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PUSH, folder, way],
            env={**os.environ, **told, **online},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    module, tokens, *logits = done.stdout.split()
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert (module, int(tokens)) == ("transformers_modules", model.config.vocab_size)
    with torch.no_grad():
        wanted = model(torch.tensor([[5, 6, 7]])).logits[0, -1]
    assert list(map(float, logits)) == pytest.approx(wanted.tolist())
    here = {path.name: path.read_bytes() for path in folder.iterdir()}
    if way == "upload":
        assert {name: files[name] for name in here} == here
    else:
        assert files["modeling_cvfp.py"] == here["modeling_cvfp.py"]


def test_text_is_streamed_reproduced_and_stopped(cvfp: Cvfp, study: Path) -> None:
    run = trained(cvfp, study, "cvfp")
    likeliest = cvfp(
        "generate", run, "the context", "--temperature", 0, "--max-tokens", 12, "--device", "cpu"
    )
    assert likeliest.code == 0, likeliest.err
    model = AutoModelForCausalLM.from_pretrained(run)
    tokenizer = AutoTokenizer.from_pretrained(run)
    ids = tokenizer("the context", return_tensors="pt")["input_ids"]
    wanted = model.generate(ids, max_new_tokens=12, do_sample=False)[0]
    assert likeliest.out == tokenizer.decode(wanted) + "\n"
    drawn = ["generate", run, "the context", "--max-tokens", 30, "--device", "cpu", "--top-p", 0.9]
    first, same, other = (cvfp(*drawn, "--seed", seed).out for seed in (1, 1, 2))
    assert first == same != other
    stop = first[len("the context") + 10 :][:3]
    stopped = cvfp(*drawn, "--seed", 1, "--stop", stop).out
    assert stopped == first[: first.index(stop, len("the context"))] + "\n"
    for wrong in (["--temperature", -1], ["--top-p", 0], ["--stop", ""]):
        assert cvfp("generate", run, "the", *wrong).code == 2
    assert "no token" in cvfp("generate", run, "").err
    assert "PROMPT: not UTF-8" in cvfp("generate", run, "a\udcff").err
    assert "--licence: not UTF-8" in cvfp("export", run, run.parent / "m", "--licence", "a\udcff").err


def test_what_is_no_model_is_refused_by_name(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = cvfp("train", "--recipe", study, "--kind", "ngram", "--samples", 4, "--out", out)
    assert done.code == 0, done.err
    [run] = out.glob("runs/*")
    assert "kind ngram, which has no form" in cvfp("export", run, tmp_path / "model").err
    assert "n-gram model has none" in cvfp("evaluate", run, study.parent / "text.jsonl").err
    to = cvfp("export", out, tmp_path / "model", "--to", "mlflow", "--licence", "MIT")
    assert (to.code, "no use for FOLDER and --licence" in to.err) == (2, True)
    assert f"It has runs/{run.name}" in cvfp("export", out, tmp_path / "model").err
    assert not (tmp_path / "model").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert "holds files" in cvfp("export", run, tmp_path / "full").err
    assert "no model.safetensors" in cvfp("generate", tmp_path / "full", "the").err


@pytest.mark.parametrize(
    ("file", "size", "told"),
    [
        ("model.safetensors", 4, "cannot be read as weights"),
        ("model.safetensors", 5000, "cannot be read as weights"),
        ("config.json", 9, "cut off"),
        ("tokenizer.json", None, "tokenizer.json is missing"),
    ],
)
def test_a_damaged_folder_is_refused_before_anything_is_loaded(
    cvfp: Cvfp, study: Path, tmp_path: Path, file: str, size: int | None, told: str
) -> None:
    folder = shutil.copytree(trained(cvfp, study, "cvfp"), tmp_path / "copy")
    if size is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes((folder / file).read_bytes()[:size])
    for command in ("generate", "evaluate"):
        found = cvfp(command, folder, "the")
        assert (found.code, told in found.err, "--recover" in found.err) == (2, True, False), found.err
    with pytest.raises(cvfp_cli.InputError, match=told):
        cvfp_cli.load_model(folder)


def test_a_run_without_its_table_gets_it_from_its_recipe(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    """As earlier versions left runs: weights alone, named by metadata."""
    run = trained(cvfp, study, "cvfp")
    # Copies: the file, which is mapped into memory, is written anew.
    whole = {key: value.clone() for key, value in load_file(run / "model.safetensors").items()}
    config = json.loads((run / "config.json").read_text())
    old = {key: value for key, value in whole.items() if key != "embedding.weight"}
    save_file(old, run / "model.safetensors", {"cvfp": json.dumps(config["cvfp"])})
    (run / "config.json").unlink()
    exported = cvfp("export", run, tmp_path / "model")
    assert exported.code == 0, exported.err
    again = load_file(tmp_path / "model" / "model.safetensors")
    assert {key: value.tolist() for key, value in again.items()} == {
        key: value.tolist() for key, value in whole.items()
    }
    assert json.loads((tmp_path / "model" / "config.json").read_text()) == config


def test_without_its_text_a_run_is_exported_without_the_task(cvfp: Cvfp, study: Path, tmp_path: Path) -> None:
    run = trained(cvfp, study, "cvfp")
    (study.parent / "text.jsonl").unlink()
    exported = cvfp("export", run, tmp_path / "model")
    assert (exported.code, "no task of its validation text" in exported.err) == (0, True)
    assert not list((tmp_path / "model").glob("validation*"))


def test_special_tokens_have_their_ids(tmp_path: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<unk>": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens([AddedToken("<end>", special=True)])
    backend.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 3)])
    source, made = tmp_path / "source", tmp_path / "made"
    for folder in (source, made):
        folder.mkdir()
    backend.save(str(source / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "unk_token": "<unk>"}
    (source / "tokenizer_config.json").write_text(json.dumps(told))
    for name, content in tokenizer_files(open_tokenizer(str(source), Cache(tmp_path), Hub())).items():
        (made / name).write_bytes(content)
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (3, 3, 2)
    assert tokenizer("b a")["input_ids"] == [1, 0]  # nothing is put around a text, as nothing was in training
    assert json.loads((made / "generation_config.json").read_text()) == {"eos_token_id": 3, "pad_token_id": 3}
