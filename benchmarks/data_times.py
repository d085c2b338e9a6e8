"""Time from text to token streams: ``pydocs`` from nothing, tokenising, PPMI tables, and all of it from the cache.

    python benchmarks/data_times.py
    python benchmarks/data_times.py --data FOLDER --tokenizer FOLDER --samples 1700 --embedding ppmi:768

Every figure comes from a fresh process with an empty cache folder, then again with that folder filled.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.study import prepare_study


def measure(arguments: argparse.Namespace) -> None:
    """Prepare one study in this process and print what took how long."""
    started = time.perf_counter()

    def tell(line: str) -> None:
        print(f"  {time.perf_counter() - started:7.2f} s  {line} ...")

    study = prepare_study(
        DataConfig(source=arguments.data, samples=(arguments.samples,)),
        ValidationConfig(arguments.validation),
        TokenizerConfig(arguments.tokenizer),
        EmbeddingConfig(arguments.embedding),
        samples=(arguments.samples,),
        cache_dir=arguments.cache,
        notify=tell,
    )
    tokens = study.train_token_count(arguments.samples)
    print(f"  {time.perf_counter() - started:7.2f} s  streams ready: {tokens:,} training tokens")
    study.experiment(arguments.samples)
    table = f"{study.vocab_size:,} x {study.embed_dim:,}"
    print(f"  {time.perf_counter() - started:7.2f} s  table ready: {table}")


def main() -> None:
    """Read the options; measure twice, in processes of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="pydocs")
    parser.add_argument("--tokenizer", default="bpe:4096")
    parser.add_argument("--embedding", default="ppmi:128")
    parser.add_argument("--validation", default="last:40")
    parser.add_argument("--samples", type=int, default=1700)
    parser.add_argument("--cache", type=Path, help="measure once, in this process, with this cache folder")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it works")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.samples, arguments.tokenizer, arguments.embedding = 10, "bpe:300", "ppmi:16"
    if arguments.cache is not None:
        measure(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "cached"):
            print(f"{name}:", flush=True)
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--cache", folder], check=True)


if __name__ == "__main__":
    main()
