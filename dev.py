"""Set the project up and do its two jobs: ``python3 dev.py demo`` and ``python3 dev.py test``.

Needs only Python 3.11 or newer. Each makes a virtual environment in ``.venv`` from ``pyproject.toml`` and
``constraints.txt`` the first time, and again when one of these has changed.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCES = ("pyproject.toml", "constraints.txt")


def environment(folder: Path) -> Path:
    """The folder of the environment's programs; installs where it is missing or out of date."""
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    stamp = folder / "cvfp-set-up"
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in SOURCES)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"Setting up {folder} …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        # torch first and alone: a plain requirement elsewhere must find its pinned version already there.
        torch = next(
            line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch==")
        )
        for what in ([torch], ["-e", ".[dev]"]):
            pip = [programs / "python", "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]
            subprocess.run([*pip, *what], cwd=ROOT, check=True)
        stamp.write_text(wanted)
    return programs


def demo(programs: Path, out: Path) -> None:
    """A small real sweep on embedded text, offline, with its report at the end."""
    cvfp = str(programs / "cvfp")
    results = out / "summary.json"
    report = out / "report.md"
    grid = ["--layers", "2-3", "--tokens", "2-3", "--samples", "25,50,100"]
    run([cvfp, "sweep", "--recipe", "demo", *grid, "--out", str(out)])
    run([cvfp, "report", str(results), "-o", str(report)])
    print(f"\nThe report is in {report}.")


def test(programs: Path) -> None:
    """Every check: format, lint, types, arrows, tests."""
    python = str(programs / "python")
    run([python, "-m", "ruff", "check", "."])
    run([python, "-m", "ruff", "format", "--check", "."])
    run([python, "-m", "mypy"])
    run([str(programs / "lint-imports")])
    # Two workers side by side: with more threads each they would wait for one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    run([python, "-m", "pytest", "-n", "2"])


def run(command: list[str]) -> None:
    """Run a program in the project's folder; end as it ended where it failed."""
    ended = subprocess.run(command, cwd=ROOT).returncode
    if ended:
        sys.exit(ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["demo", "test"])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="the virtual environment's folder")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where the demo writes")
    given = parser.parse_args()
    programs = environment(given.venv.resolve())
    if given.job == "demo":
        demo(programs, given.out)
    else:
        test(programs)


if __name__ == "__main__":
    main()
