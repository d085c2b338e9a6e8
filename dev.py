"""Set the project up and do its jobs: ``python3 dev.py demo``, ``python3 dev.py test`` and what a release needs.

``python3 dev.py test ROOM …`` runs the tests of these folders of ``tests/`` and nothing else.

Needs only Python 3.11 or newer. Each job makes its virtual environment the first time, and again when
``pyproject.toml`` or the versions it installs have changed: ``.venv`` for work, ``.venv-wheel`` with the built wheel
and nothing else, ``.venv-lowest`` with the lowest versions that ``pyproject.toml`` admits.
"""

from __future__ import annotations  # an older Python must get as far as the message in main()

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PINNED = "constraints.txt"
LOWEST = "constraints-lowest.txt"
WORK = ("-e", ".[dev]")
USERS = ("-e", ".[plot,ray,tensorboard]")  # what a user's environment may hold
STAMP = "cvfp-set-up"
PIP_LINES = 30  # of what pip says, shown where it fails
LOWEST_HEAD = """\
# The lowest versions that pyproject.toml admits, and with them the suite passes on Python 3.11.
# Written by `python3 dev.py lowest --write`. Only torch is not at its lowest: see CONTRIBUTING.md.
"""
LOWEST_REST = "# What these bring along and the tests use, as tested.\n"


def programs_of(folder: Path) -> Path:
    """Where a virtual environment keeps its programs."""
    return folder / ("Scripts" if os.name == "nt" else "bin")


def environment(
    folder: Path, what: Sequence[str], versions: str | Path = PINNED, *, anew: bool = False
) -> Path:
    """The folder of the environment's programs; installs where it is missing or out of date, or ``anew``.

    Args:
        what: what to install, as pip takes it.
        versions: the constraints file that decides every version.
    """
    programs = programs_of(folder)
    stamp = folder / STAMP
    if anew or not stamp.is_file() or stamp.read_text() != contents(what, versions):
        if find_spec("ensurepip") is None:
            sys.exit(
                "dev.py: this Python makes no virtual environments (Debian, Ubuntu: apt install python3-venv)."
            )
        print(f"Setting up {folder}, which takes some minutes …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        # torch first and alone: a plain requirement elsewhere must find its pinned version already there.
        install(programs, [torch_version()], versions)
        install(programs, what, versions)
        stamp.write_text(contents(what, versions))
    return programs


def contents(what: Sequence[str], versions: str | Path) -> str:
    """What an environment's stamp says: a hash of all that decides what is in it."""
    sources = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", versions))
    return hashlib.sha256(sources + repr(what).encode()).hexdigest()


def install(programs: Path, what: Sequence[str], versions: str | Path) -> None:
    """Install with pip and see that what is installed fits together; end with what to do where pip fails."""
    began = time.perf_counter()
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check"]
    # Modules are compiled when they are first imported: few ever are.
    options = ["--no-compile", "--progress-bar", "off", "--constraint", str(versions)]
    wanted = " ".join(Path(name).name if os.sep in name else name for name in what)
    for command in ([*pip, "install", *options, *what], [*pip, "check"]):
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
        if ended.returncode:
            said = f"{ended.stdout.strip()}\n{ended.stderr.strip()}".splitlines()
            print(*said[-PIP_LINES:], sep="\n", file=sys.stderr)
            sys.exit(
                f"dev.py: installing {wanted} failed; pip's reason is above. If it is about versions, pyproject.toml and "
                f"{Path(versions).name} disagree. If not, see that the package index can be reached and 2 GB of disk are "
                "free. Then run the same command again."
            )
    print(f"  installed {wanted} ({time.perf_counter() - began:.0f} s)", flush=True)


def torch_version() -> str:
    """The one version of torch that every environment gets."""
    return next(line for line in (ROOT / PINNED).read_text().split() if line.startswith("torch=="))


def lowest_versions() -> list[str]:
    """``name==version`` at the lower bound of every dependency of the package and of its extras plot, ray, tensorboard.

    torch alone is at its pinned version: builds of older ones for the CPU only are not on the package index.
    """
    import tomllib  # here, since an older Python lacks it

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = []
    for requirement in [*project["dependencies"], *extras["plot"], *extras["ray"], *extras["tensorboard"]]:
        match = re.match(r"([A-Za-z0-9_-]+)>=([0-9.]+)", requirement)
        if match is None:
            sys.exit(f"dev.py: pyproject.toml: {requirement!r} has no lower bound.")
        name, version = match.groups()
        found.append(torch_version() if name == "torch" else f"{name}=={version}")
    return sorted(found)


def demo(given: argparse.Namespace) -> None:
    """A small real sweep on embedded text, offline, with its report at the end."""
    programs = environment(given.venv, WORK)
    cvfp = str(programs / "cvfp")
    results = given.out / "summary.json"
    report = given.out / "report.md"
    grid = ["--layers", "2-3", "--tokens", "2-3", "--samples", "25,50,100"]
    run([cvfp, "sweep", "--recipe", "demo", *grid, "--out", str(given.out)])
    run([cvfp, "report", str(results), "-o", str(report)])
    print(f"\nThe report is in {report}.")


def test(given: argparse.Namespace) -> None:
    """Every check: format, lint, types, arrows, tests. With rooms, their tests alone."""
    programs = environment(given.venv, WORK)
    python = str(programs / "python")
    if given.rooms:
        run_pytest(python, *(f"tests/{room}" for room in given.rooms))
        return
    run([python, "-m", "ruff", "check", "."])
    run([python, "-m", "ruff", "format", "--check", "."])
    run([python, "-m", "mypy"])
    run([str(programs / "lint-imports")])
    run_pytest(python)


def lowest(given: argparse.Namespace) -> None:
    """The tests with the lowest versions that pyproject.toml admits; ``--write`` sets that list of versions anew."""
    folder = beside(given.venv, "lowest")
    what = ["-e", ".[test,tensorboard]"]
    if given.write:
        with tempfile.TemporaryDirectory() as scratch:
            floors = Path(scratch, LOWEST)
            floors.write_text("\n".join(lowest_versions()) + "\n")
            programs = environment(folder, what, floors, anew=True)
        freeze = [str(programs / "python"), "-m", "pip", "freeze", "--exclude-editable"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.split()
        direct = {_name(line) for line in lowest_versions()}
        rest = [line for line in frozen if _name(line) not in direct]
        lines = [
            LOWEST_HEAD,
            *(f"{line}\n" for line in lowest_versions()),
            LOWEST_REST,
            *(f"{line}\n" for line in rest),
        ]
        (ROOT / LOWEST).write_text("".join(lines), encoding="utf-8")
        (folder / STAMP).write_text(contents(what, LOWEST))
    programs = environment(folder, what, LOWEST)
    # No dependency's version decides what is marked (CONTRIBUTING.md), the site, its commands, the benchmarks.
    left_out = ["-m", "not pinned_only", "--ignore=tests/docs", "--ignore=tests/benchmarks"]
    run_pytest(str(programs / "python"), *left_out)


def package(given: argparse.Namespace) -> None:
    """Build sdist and wheel, look at what they hold, and try them in an environment with nothing else in it."""
    programs = environment(given.venv, WORK)
    python = str(programs / "python")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run([python, "-m", "build", "--outdir", str(dist)], quiet=True)
    run([python, "-m", "twine", "check", "--strict", *map(str, sorted(dist.iterdir()))])
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run([str(programs / "cffconvert"), "--validate"])
    folder = beside(given.venv, "wheel")
    bare = environment(folder, [str(wheel)], anew=True)
    with tempfile.TemporaryDirectory() as scratch:
        remade = ["-m", "pip", "wheel", "--no-deps", "--wheel-dir", f"{scratch}/remade", str(sdist)]
        run([str(bare / "python"), *remade], quiet=True)
        run([python, "tools/contents.py", *map(str, Path(scratch, "remade").iterdir())])
        trial = [python, "tools/trial.py", str(bare), "--folder", f"{scratch}/trial"]
        run(trial)
        install(bare, [f"{wheel}[plot,ray,tensorboard]"], PINNED)
        run([*trial, "--extras"])
    # It holds the dependencies that `licences` looks at.
    (folder / STAMP).write_text(contents(USERS, PINNED))


def licences(given: argparse.Namespace) -> None:
    """Check the dependencies' licences and the page that lists them; ``--write`` writes the page."""
    programs = environment(given.venv, WORK)
    users = environment(beside(given.venv, "wheel"), USERS)
    run([str(programs / "python"), "tools/licences.py", str(users / "python"), *["--write"] * given.write])


def rooms_of_tests() -> list[str]:
    """The folders of ``tests/`` that hold tests."""
    return sorted({path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")})


def beside(folder: Path, name: str) -> Path:
    """The folder of another environment: ``.venv-wheel`` beside ``.venv``."""
    return folder.with_name(f"{folder.name}-{name}")


def run_pytest(python: str, *options: str) -> None:
    """The suite on two workers side by side: with more threads each they would wait for one another."""
    os.environ["OMP_NUM_THREADS"] = "1"
    run([python, "-m", "pytest", "-n", "2", *options])


def run(command: list[str], *, quiet: bool = False) -> None:
    """Run a program in the project's folder; end as it ended where it failed. ``quiet`` shows its output only then."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=quiet, text=True, errors="replace")
    if ended.returncode:
        if quiet:
            print(f"{ended.stdout}{ended.stderr}", file=sys.stderr)
        sys.exit(ended.returncode)


def _name(line: str) -> str:
    return re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()


JOBS = {job.__name__: job for job in (demo, test, lowest, package, licences)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:<9} {job.__doc__.splitlines()[0]}" for name, job in JOBS.items()),
    )
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="test: run the tests of these rooms alone")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="the virtual environment's folder")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where the demo writes")
    parser.add_argument(
        "--write", action="store_true", help="lowest, licences: write the list instead of checking it"
    )
    given = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(f"dev.py: this is Python {sys.version.split()[0]}; cvfp-cli needs 3.11 or newer.")
    if given.write and given.job not in ("lowest", "licences"):
        parser.error(f"--write is for the jobs lowest and licences, not {given.job}")
    if given.rooms and given.job != "test":
        parser.error(f"only the job test takes rooms, not {given.job}")
    known = rooms_of_tests()
    for room in given.rooms:
        if room not in known:
            parser.error(f"there is no room {room!r} in tests/; there are {', '.join(known)}")
    given.venv = given.venv.resolve()
    # torch and what it brings are some 2,000 modules, which dozens of processes import: compiled once, not in each.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        JOBS[given.job](given)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
