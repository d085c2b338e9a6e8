"""``cvfp generate``: text from a trained model, as it comes."""

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cvfp_cli.cli import study
from cvfp_cli.cli.choices import DEVICES
from cvfp_cli.cli.options import MACHINE, MORE, OUTPUT, flag, given, utf8
from cvfp_cli.cli.problems import Problems
from cvfp_cli.cli.shared import Machine, check_there
from cvfp_cli.cli.terminal import printable
from cvfp_cli.counting import counted
from cvfp_cli.errors import InputError

SAMPLING = "Sampling"


def generate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a run with weights, or of cvfp export.")
    ],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text to go on from; - for stdin.")],
    max_tokens: int = given(SAMPLING, "N", "Most tokens to generate.", start=200),
    temperature: float = given(SAMPLING, "T", "Divides the logits; 0 takes the likeliest token.", start=1.0),
    top_p: float = given(SAMPLING, "P", "Sample from the likeliest tokens that sum to P.", start=1.0),
    seed: int | None = given(SAMPLING, "N", "Seed of the draws.", default="another each time"),
    stop: list[str] | None = given(SAMPLING, "TEXT", "Stop before this text (repeatable)."),
    device: str = given(MACHINE, "NAME", "auto, cpu, cuda or mps.", start="auto", words=DEVICES),
    threads: int | None = given(MORE, "N", "CPU threads.", default="torch's choice"),
    quiet: bool = flag(OUTPUT, "Do not say which seed and device.", short="-q"),
) -> None:
    """Generate text with a trained model.

    The text appears as it is generated, the prompt first.

    \b
    cvfp generate results/runs/2L_128d_1tok_s200_seed42 "Returns the "
    cvfp generate mymodel "Returns the " --temperature 0.7 --seed 1 --stop "."
    """
    problems = Problems()
    machine = Machine(device=device, threads=threads)
    study.check_machine(machine, problems)
    for name, value, right in (
        ("--max-tokens", max_tokens, max_tokens >= 1),
        ("--temperature", temperature, math.isfinite(temperature) and temperature >= 0.0),
        ("--top-p", top_p, 0.0 < top_p <= 1.0),
        ("--seed", seed, seed is None or 0 <= seed < 2**63),
        ("--stop", "''", "" not in (stop or [])),
    ):
        with problems.collect():
            if not right:
                raise InputError(f"{name}: {value} is not possible.", hint="See cvfp generate --help.")
    problems.raise_found()
    check_there([model])
    from cvfp_cli.results.weights import read_model_config

    told = read_model_config(model)
    try:
        text = utf8(sys.stdin.read() if prompt == "-" else prompt, "PROMPT")
    except UnicodeDecodeError as problem:
        raise InputError(f"PROMPT: not UTF-8 text, at byte {problem.start + 1}.") from None
    import torch
    import transformers

    import cvfp_cli.hf  # noqa: F401  makes the library know our class
    from cvfp_cli.data.cache import Cache
    from cvfp_cli.data.hub import Hub
    from cvfp_cli.data.tokenizer import open_tokenizer

    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    execution, _, _ = study.resolve(machine, quiet=quiet)
    backend = open_tokenizer(str(model), Cache(), Hub()).backend
    ids = backend.encode(text, add_special_tokens=False).ids
    if not ids:
        raise InputError("PROMPT: it has no token to go on from.", hint="Give some text.")
    window = told.get("max_position_embeddings")
    if window is not None and len(ids) + max_tokens > window:
        study.say(f"warning: beyond {counted(window, 'token')} the model was never trained.")
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(str(model), local_files_only=True)
    network.to(execution.device).eval()
    seed = torch.seed() % 2**32 if seed is None else seed
    torch.manual_seed(seed)
    if temperature:
        study.say(f"seed: {seed}", quiet=quiet)
    writer = _Writer(backend, text, stop or [])
    given_ids = torch.tensor([ids], device=execution.device)
    sampling = {"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature else {}
    network.generate(
        given_ids,
        attention_mask=torch.ones_like(given_ids),
        max_new_tokens=max_tokens,
        do_sample=bool(temperature),
        streamer=writer,
        stopping_criteria=[writer.is_done],
        **sampling,
    )


class _Writer:
    """Prints tokens as they come, as far as nothing that follows can change them or make them a stop text."""

    def __init__(self, backend: Any, prompt: str, stop: list[str]) -> None:
        self._backend = backend
        self._stop = stop
        self._ids: list[int] = []
        self._written = 0
        self._begun = False
        self.done = False
        self._write(prompt)

    def put(self, ids: Any) -> None:
        """The prompt's tokens, then one after the other."""
        if not self._begun:
            self._begun = True
            self._ids = ids.flatten().tolist()
            self._written = len(self._text())
            return
        if self.done:
            return
        self._ids += ids.flatten().tolist()
        text = self._text()
        found = [at for word in self._stop if (at := text.find(word, self._written)) >= 0]
        if found:
            self.done = True
            self._until(text, min(found))
            return
        # Part of a character, and what may be the beginning of a stop text, waits.
        end = len(text.rstrip("\ufffd"))
        begun = [
            size for word in self._stop for size in range(1, len(word)) if text[:end].endswith(word[:size])
        ]
        self._until(text, end - max(begun, default=0))

    def end(self) -> None:
        """No more comes."""
        if not self.done:
            text = self._text()
            self._until(text, len(text))
        self._write("\n")

    def is_done(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
        """For the library: whether to stop."""
        return ids.new_full((len(ids),), self.done, dtype=bool)

    def _text(self) -> str:
        return str(self._backend.decode(self._ids, skip_special_tokens=False))

    def _until(self, text: str, end: int) -> None:
        if end > self._written:
            self._write(text[self._written : end])
            self._written = end

    def _write(self, text: str) -> None:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
