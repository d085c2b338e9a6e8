"""Try an installed cvfp as a user would, offline, in an empty folder: ``tools/trial.py PROGRAMS --folder FOLDER``.

PROGRAMS is the folder of an environment's programs. A tiny sweep is trained, fitted, compared and reported, and the
options that need an extra must say so. A second trial in the same folder, with the extras installed and ``--extras``,
sees that they work on that sweep.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDY = ["--recipe", "demo", "--layers", "1", "--tokens", "1,2", "--samples", "10,20,40"]
TINY = (
    "grid.context_dim=16",
    "tokenizer.name=bpe:512",
    "embedding.name=ppmi:16",
    "phase1.min_iterations=2",
    "phase1.max_iterations=5",
    "phase2.epochs=2",
)


class Trial:
    """One environment, tried in one folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        # Nothing of the tree this script lies in, and no network.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CVFP_"))}
        self._environment = kept | {
            "CVFP_CACHE_DIR": str(folder / "cache"),
            "HF_HOME": str(folder / "hub"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def run(self, program: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; anything but the exit code ``code`` ends the trial."""
        command = [str(self._programs / program), *arguments]
        ended = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, encoding="utf-8"
        )
        if ended.returncode != code:
            said = f"{ended.stdout}{ended.stderr}".strip()
            fail(f"{program} {' '.join(arguments)} ended with {ended.returncode}, not {code}:\n{said}")
        return ended

    def file(self, name: str, start: bytes = b"") -> None:
        """A file that a command was to write, and how it must begin."""
        path = self._folder / name
        if not path.is_file() or not path.stat().st_size or not path.read_bytes().startswith(start):
            fail(f"{name} was not written, or is not what its name says")

    def daily_use(self) -> None:
        """Version, recipes, a sweep, and every command that reads it."""
        version = self.run("cvfp", "--version").stdout
        wanted = self.run(
            "python", "-c", "from importlib.metadata import version; print(version('cvfp-cli'))"
        ).stdout
        check(version == f"cvfp {wanted}", f"cvfp --version says {version!r}, the metadata {wanted!r}")
        check(
            self.run("python", "-m", "cvfp_cli", "--version").stdout == version, "python -m cvfp_cli differs"
        )
        place = self.run("python", "-c", "import cvfp_cli; print(cvfp_cli.__file__)").stdout.strip()
        check(Path(place).is_relative_to(self._programs.parent), f"cvfp comes from {place}")

        listed = self.run("cvfp", "sweep", "--list-recipes").stdout
        for recipe in sorted((ROOT / "src/cvfp_cli/recipes").glob("*.toml")):
            check(recipe.stem in listed, f"--list-recipes does not know {recipe.stem}")

        self.run("cvfp", "sweep", *STUDY, *tiny(), "--out", "study")
        runs = json.loads((self._folder / "study/summary.json").read_text(encoding="utf-8"))["runs"]
        check(len(runs) == 6, f"the sweep has {len(runs)} runs, not 6")
        fits = json.loads(self.run("cvfp", "fit", "study", "--format", "json").stdout)
        check(bool(fits), "fit gives nothing")
        self.run("cvfp", "compare", "study")
        self.run("cvfp", "report", "study", "-o", "report.md")
        self.file("report.md", b"# ")
        self.run("cvfp", "report", "study", "--lang", "ja", "--format", "html", "-o", "report.html")
        self.file("report.html", b"<!DOCTYPE html>")

    def extras(self, installed: bool) -> None:
        """Charts and TensorBoard's curves, or the answer that names what is missing."""
        chart = ("fit", "study", "--plot", "laws.png")
        curves = ("train", *STUDY[:4], "--tokens", "1", "--samples", "10", *tiny(), "--tensorboard", "curves")
        if installed:
            self.run("cvfp", *chart)
            self.file("laws.png", b"\x89PNG")
            self.run("cvfp", *curves)
            check(any(self._folder.glob("curves/*/events.*")), "--tensorboard wrote no curves")
        else:
            for arguments, extra in ((chart, "plot"), (curves, "tensorboard")):
                answer = self.run("cvfp", *arguments, code=2).stderr
                check(f"cvfp-cli[{extra}]" in answer, f"a missing extra is answered with: {answer}")


def tiny() -> list[str]:
    """The settings that make the demo's model small."""
    return [part for setting in TINY for part in ("--set", setting)]


def check(right: bool, complaint: str) -> None:
    """End the trial with the complaint unless all is right."""
    if not right:
        fail(complaint)


def fail(complaint: str) -> None:
    """End the trial."""
    sys.exit(f"trial: {complaint}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where the trial leaves what it makes")
    parser.add_argument("--extras", action="store_true", help="the extras are installed: try these alone")
    given = parser.parse_args()
    began = time.perf_counter()
    given.folder.mkdir(exist_ok=True)
    trial = Trial(given.programs.resolve(), given.folder.resolve())
    if not given.extras:
        trial.daily_use()
    trial.extras(given.extras)
    tried = "the extras work" if given.extras else "cvfp works"
    print(f"{tried} as installed ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
