"""Every example of every help page works: train and sweep as dry runs, the rest on small inputs.

The folder holds what the examples name. Where they name something of the hub, a folder in the hub's format stands
there, which cvfp takes in its place.
"""

import io
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvfp_cli.cli import app
from cvfp_cli.data import pydocs

pytestmark = pytest.mark.pinned_only(
    "about the project's own pages; the commands' own tests call the dependencies"
)

WORDS = [
    "the",
    "context",
    "vector",
    "of",
    "a",
    "token",
    "is",
    "what",
    "the",
    "block",
    "keeps",
    "of",
    "all",
    "tokens",
    "before",
    "it",
    "and",
    "noise",
]


def pages() -> list[tuple[str, ...]]:
    """Every command line that prints a help page."""
    names = ["", *app.GROUPS, *app.PAGES]
    short = [(*name.split(), "--help") for name in names]
    return [*short, *((*name.split(), "--help-all") for name in app.PAGES)]


def examples_of(page: str) -> list[str]:
    """The command lines that a page shows, without what is said about them behind."""
    return [re.split(r"   +", line.strip())[0] for line in page.splitlines() if line.startswith("cvfp ")]


def text(seed: int, words: int = 30) -> str:
    rng = np.random.default_rng(seed)
    return f"{seed}: " + " ".join(rng.choice(WORDS, words))


def write_hub(folder: Path) -> None:
    """Stand-ins for GPT-2 and UltraChat, called as they are on the hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    gpt2 = folder / "gpt2"
    gpt2.mkdir()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([text(0)], trainer)
    tokenizer.save(str(gpt2 / "tokenizer.json"))
    (gpt2 / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    size = tokenizer.get_vocab_size()
    config = {"model_type": "gpt2", "vocab_size": size, "n_embd": 768, "n_layer": 1, "n_head": 1}
    (gpt2 / "config.json").write_text(json.dumps(config))
    table = np.random.default_rng(0).standard_normal((size, 768)).astype(np.float32)
    save_file({"wte.weight": table}, gpt2 / "model.safetensors")
    chats = folder / "HuggingFaceH4" / "ultrachat_200k" / "data"
    chats.mkdir(parents=True)
    messages = [[{"role": "user", "content": text(n, 8)}] for n in range(1020)]
    pq.write_table(pa.table({"messages": messages}), chats / "train_sft-00000-of-00001.parquet")


def write_results(folder: Path) -> None:
    """Studies of four configurations and five sizes under every name that the pages read results from."""
    rng = np.random.default_rng(0)
    runs = [
        {
            "study": "made",
            "config": f"{layers}L_{width}d_2tok",
            "layers": layers,
            "context_dim": width,
            "tokens": 2,
            "samples": samples,
            "train_tokens": samples * 1000,
            "phase1_iterations": 30,
            "seconds": {"phase1": samples / 50, "phase2": samples / 25},
            "flops": 1e9 * samples,
            "phase1_converged": True,
            "val_ppl": 50 + 4000 * samples ** -(0.4 + 0.05 * layers) * (1 + rng.normal() / 100),
        }
        for layers in (1, 3)
        for width in (768, 1536)
        for samples in (50, 100, 200, 500, 1000)
    ]
    for name in ("results", "first", "old", "new"):
        (folder / name).mkdir()
        (folder / name / "summary.json").write_text(json.dumps({"runs": runs}))
    for name in ("old.json", "new.json"):
        (folder / name).write_text(json.dumps({"runs": runs}))
    rows = [
        f"{run['context_dim']},{run['train_tokens']},{np.log(run['val_ppl'])}"
        for run in runs
        if run["layers"] == 1
    ]
    (folder / "runs.csv").write_text("\n".join(["width,tokens,loss", *rows]) + "\n")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name: text for the commands that read it, and apart from it results for the others."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "text").mkdir()
    (folder / "results").mkdir()
    write_results(folder / "results")
    folder = folder / "text"
    write_hub(folder)
    lines = [json.dumps({"text": text(n)}) for n in range(300)]
    (folder / "my.jsonl").write_text("\n".join(lines[:240]))
    (folder / "heldout.jsonl").write_text("\n".join(lines[230:]))
    (folder / "my.toml").write_text((Path(app.__file__).parents[1] / "recipes" / "demo.toml").read_text())
    write_models(folder)
    return folder.parent


def write_models(text: Path) -> None:
    """A trained run where the pages name one, and its model beside text to evaluate it on."""
    small = (
        "--tokenizer bpe:300 --embedding ppmi:8 --layers 1 --context-dim 8 --samples 20 --validation last:5"
    )
    quick = (
        "--set phase1.max_iterations=2 --set phase1.min_iterations=2 --set phase2.epochs=1 --device cpu -q"
    )
    data, out = text / "my.jsonl", text.parent / "trained"
    with redirect_stdout(io.StringIO()):
        words = [
            "train",
            "--recipe",
            "demo",
            "--data",
            str(data),
            "--out",
            str(out),
            *small.split(),
            *quick.split(),
        ]
        assert app.run([*words, "--cache-dir", str(text.parent / "cache")]) == 0
    [run] = out.glob("runs/*")
    for place in ("results", "models"):
        shutil.copytree(run, text.parent / place / "results" / "runs" / "2L_128d_1tok_s200_seed42")
    model = text.parent / "models" / "mymodel"
    shutil.copytree(run, model)
    for copy in (model / "validation.jsonl", model.parent / "other.jsonl"):
        shutil.copy(data, copy)
    shutil.copy(Path(__file__), model.parent / "letters.txt")


@pytest.fixture
def here(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the inputs; less what an example wrote, once it is over."""

    def sources(packages: tuple[str, ...] = ()) -> tuple[pydocs.PackageSources, ...]:
        def module(name: str, number: int) -> bytes:
            rng = np.random.default_rng([number, *name.encode()])
            words = (f"{first}{second}" for first, second in rng.choice(WORDS, (90, 2)))
            return f'"""{name} {number} {" ".join(words)}"""'.encode()

        return tuple(
            pydocs.PackageSources(name, "1", tuple((f"m{n}.py", module(name, n)) for n in range(300)))
            for name in packages or ("python",)
        )

    monkeypatch.setattr(pydocs, "read_sources", sources)
    monkeypatch.setattr(pydocs, "MIN_SAMPLES", 240)
    monkeypatch.setenv("CVFP_LANG", "en")
    # The trackers' own packages are no part of this environment.
    monkeypatch.setattr("cvfp_cli.sweeps.trackers.check_tracker", lambda *_: None)
    monkeypatch.setattr("cvfp_cli.sweeps.trackers.tell_results", lambda *_: 1)
    before = set(inputs.rglob("*"))
    yield inputs
    for path in set(inputs.rglob("*")) - before:
        if path.is_file() and path.parent.name != "cache":
            path.unlink()


@pytest.fixture
def typed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Types an example as its page shows it, up to a pipe or a redirection."""

    def run(example: str) -> tuple[int, str, str]:
        words = shlex.split(re.split(r" [|>] ", example)[0])[1:]
        places = dict.fromkeys(("train", "sweep", "data"), "text") | dict.fromkeys(
            ("evaluate", "generate"), "models"
        )
        monkeypatch.chdir(here / places.get(words[0], "results"))
        if words[0] in ("train", "sweep"):
            words += ["--dry-run"] * ("--dry-run" not in words)
            import torch

            if not torch.cuda.is_available():
                words = ["cpu" if word == "cuda" else word for word in words]
        monkeypatch.setattr("sys.argv", ["cvfp", *words])
        monkeypatch.setenv("CVFP_CACHE_DIR", str(here / "cache"))
        code = app.run(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def shown(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    assert app.run(arguments) == 0
    return capsys.readouterr().out


def all_examples() -> list[str]:
    """Each example once, read from the commands themselves as the pages read them."""
    found: dict[str, None] = {}
    for arguments in pages():
        with redirect_stdout(io.StringIO()) as page:
            app.run(arguments)
        found.update(dict.fromkeys(examples_of(page.getvalue())))
    return list(found)


@pytest.mark.parametrize("example", all_examples())
def test_an_example_is_not_refused(typed: Callable[..., Any], example: str) -> None:
    code, out, err = typed(example)
    assert code == 0, err
    assert out or "cvfp data export" in example or "cvfp export" in example or " -o " in example


@pytest.mark.parametrize("arguments", pages(), ids=" ".join)
def test_every_page_has_examples(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert len(examples_of(shown(arguments, capsys))) >= 1
