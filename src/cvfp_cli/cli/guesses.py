"""The right word for a wrong one: commands, options, and the values that they take."""

from collections.abc import Iterable, Sequence
from typing import Any

from cvfp_cli.laws.names import OTHER_NAMES
from cvfp_cli.spelling import like, nearest

COMMANDS = {
    "run": "train",
    "experiment": "train",
    "resume": "train --resume",
    "grid": "sweep",
    "matrix": "sweep",
    "recipes": "sweep --list-recipes",
    "list": "sweep --list-recipes",
    "init": "sweep --print-recipe demo",
    "new": "sweep --print-recipe demo",
    "recipe": "sweep --print-recipe demo",
    "config": "sweep --print-recipe demo",
    "demo": "sweep --recipe demo",
    "start": "sweep --recipe demo",
    "estimate": "sweep --dry-run",
    "clean": "sweep --fresh",
    "reset": "sweep --fresh",
    "cache": "sweep --cache-dir FOLDER",
    "continue": "train --resume",
    "scale": "fit",
    "scaling": "fit",
    "alpha": "fit",
    "laws": "fit",
    "predict": "fit --predict SIZES",
    "plot": "fit --plot FILE",
    "diff": "compare",
    "summary": "report",
    "show": "report",
    "results": "report",
    "eval": "evaluate",
    "test": "evaluate",
    "ppl": "evaluate",
    "perplexity": "evaluate",
    "sample": "generate",
    "complete": "generate",
    "chat": "generate",
    "convert": "export",
    "push": "export",
    "download": "data export",
    "dump": "data export",
    "text": "data export",
    "help": "--help",
    "version": "--version",
}
"""Words that people try first as a command, and ours."""

OPTIONS = {
    "v": ("--version",),
    "V": ("--version",),
    "o": ("--out FOLDER",),
    "output": ("--out",),
    "output-dir": ("--out",),
    "output-folder": ("--out",),
    "results": ("--out",),
    "results-dir": ("--out",),
    "force": ("--fresh",),
    "overwrite": ("--force", "--fresh"),
    "exclude": ("--without",),
    "range": ("--samples",),
    "column": ("--text-field",),
    "continue": ("--resume",),
    "restart": ("--fresh",),
    "clean": ("--fresh",),
    "reset": ("--fresh",),
    "assume-yes": ("--yes",),
    "no-confirm": ("--yes",),
    "cache": ("--cache-dir",),
    "print-config": ("--print-recipe",),
    "show-recipe": ("--print-recipe",),
    "init": ("--print-recipe",),
    "config": ("--recipe", "--configs"),
    "dataset": ("--data",),
    "depth": ("--layers",),
    "num-layers": ("--layers",),
    "num-input-tokens": ("--tokens",),
    "input-tokens": ("--tokens",),
    "num-samples": ("--samples",),
    "sample-sizes": ("--samples",),
    "dim": ("--context-dim",),
    "width": ("--context-dim",),
    "seed": ("--seeds",),
    "random-seed": ("--seeds", "--seed"),
    "lr": ("--set phase1.learning_rate=… or --set phase2.learning_rate=…",),
    "batch-size": ("--set phase1.batch_tokens=… or --set phase2.batch_tokens=…",),
    "embeddings": ("--embedding",),
    "gpu": ("--device cuda",),
    "cuda": ("--device cuda",),
    "cpu": ("--device cpu",),
    "mps": ("--device mps",),
    "dtype": ("--precision",),
    "fp16": ("--precision bf16",),
    "bf16": ("--precision bf16",),
    "workers": ("--jobs",),
    "num-workers": ("--jobs",),
    "parallel": ("--jobs",),
    "gpus": ("--devices",),
    "timeout": ("--run-timeout",),
    "log-dir": ("--tensorboard DIR",),
    "logdir": ("--tensorboard DIR",),
    "dry": ("--dry-run",),
    "silent": ("--quiet",),
    "verbose": ("--debug",),
    "law": ("--model", "--laws"),
    "laws": ("--model",),
    "confidence": ("--level",),
    "ci": ("--level",),
    "alpha": ("--level",),
    "json": ("--format json",),
    "csv": ("--format csv",),
    "html": ("--format html",),
    "md": ("--format markdown",),
    "markdown": ("--format markdown",),
    "ja": ("--lang ja",),
    "target": ("--target-ppl",),
    "list": ("--list-recipes",),
    "recipes": ("--list-recipes",),
}
"""Words that people try first as an option; the first of ours that the command has is meant."""

NEEDLESS = {
    ("sweep", "resume"): "A sweep goes on by itself: give the same command again.",
    ("sweep", "continue"): "A sweep goes on by itself: give the same command again.",
}
"""Options that a command does without: what it does instead."""

VALUES = {
    "gpu": "cuda",
    "nvidia": "cuda",
    "metal": "mps",
    "apple": "mps",
    "fp32": "float32",
    "full": "float32",
    "single": "float32",
    "bfloat16": "bf16",
    "fp16": "bf16",
    "float16": "bf16",
    "half": "bf16",
    "amp": "bf16",
    "mixed": "bf16",
    "tensorfloat32": "tf32",
    "md": "markdown",
    "text": "table",
    "txt": "table",
    "htm": "html",
    "jp": "ja",
    "jpn": "ja",
    "japanese": "ja",
    "日本語": "ja",
    "eng": "en",
    "english": "en",
    **OTHER_NAMES,
    "depth": "layers",
    "dim": "context_dim",
    "width": "context_dim",
    "linear": "ppl",
    "sections": "all",
}
"""Words that people try first as a value, and ours."""


def command_for(word: str, commands: Iterable[str]) -> str:
    """The command that was meant; empty where there is no telling."""
    return COMMANDS.get(like(word)) or nearest(word, commands, cutoff=0.5)


def value_for(word: str, choices: Sequence[str]) -> str:
    """The choice that was meant; empty where there is no telling."""
    meant = VALUES.get(like(word), "")
    if meant in choices:
        return meant
    return nearest(
        word, choices, cutoff=0.5 if len(word) > 2 else 0.9
    )  # of two letters any pair is half alike


def option_for(word: str, options: Sequence[str]) -> str:
    """The option that was meant, or the setting of a recipe; empty where there is no telling."""
    spelled = {like(option): option for option in options}
    if like(word) in spelled:
        return spelled[like(word)]
    for meant in OPTIONS.get(word.lstrip("-").replace("_", "-"), ()):
        if meant.split()[0] in options:
            return meant
    long = [option for option in options if option.startswith("--")]
    if near := nearest(word, long, cutoff=0.85):
        return near
    if "--set" in options and (setting := _setting(like(word).replace("-", "_"))):
        return setting
    return nearest(word, long)


def _setting(key: str) -> str:
    from cvfp_cli.recipes import fields_called

    fields = fields_called(key)
    return " or ".join(f"--set {field}=…" for field in fields)


def usage_message(error: Any) -> str:
    """Typer's message about a wrong command line in our words, with the right one or where to read on."""
    ctx = getattr(error, "ctx", None)
    message: str = error.format_message().strip()
    param = getattr(error, "param", None)
    name = next((option for option in getattr(param, "opts", ()) if option.startswith("--")), "")
    if ctx is None:
        return message
    options = [option for known in ctx.command.get_params(ctx) for option in known.opts if option[:1] == "-"]
    given = getattr(error, "option_name", "") or ""
    advice = f"See '{ctx.command_path} --help'."
    if type(error).__name__ == "NoSuchOption":
        needless = NEEDLESS.get((ctx.command.name, like(given)))
        right = option_for(given, options)
        if needless:
            advice = needless
        elif right:
            advice = f"Did you mean {right}?"
        elif ctx.parent is None:
            advice = "A command's options stand behind it, as in 'cvfp sweep --out first'."
        return f"no option {given}. {advice}"
    if "requires an argument" in message:
        known = next((known for known in ctx.command.get_params(ctx) if given in known.opts), None)
        return f"{given} needs a value: {getattr(known, 'metavar', None) or 'VALUE'}. {advice}"
    if "unexpected extra argument" in message:
        words = message.rstrip(").").rpartition("(")[2]
        return (
            f"unexpected: {words}. A list is written with commas (1,2,3), a setting with = (phase2.epochs=5)."
        )
    if name and "integer" in message:
        return f"{name}: a whole number is wanted. {advice}"
    if name and ("float" in message or "number" in message):
        return f"{name}: a number is wanted. {advice}"
    return f"{message.rstrip('.')}. {advice}"
