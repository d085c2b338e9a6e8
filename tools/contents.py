"""Check that the built sdist and wheel hold every file they should, and no other: ``tools/contents.py REMADE``.

What they should hold is what git tracks: the sdist everything but CI's files, the wheel the package alone. REMADE is
the wheel that pip makes of the sdist, which must be the built one: then trying one of them tries both.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The sdist leaves these out: they concern the repository only.
REPOSITORY_ONLY = (".ci/", ".gitignore")
# What setuptools adds.
SDIST_METADATA = {"PKG-INFO", "setup.cfg"}
WHEEL_METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}


def tracked() -> set[str]:
    """The files that git tracks, as paths from the project's folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        sys.exit(
            f"contents: what a distribution should hold is known in a git clone only. {listed.stderr.strip()}"
        )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def differences(archive: Path, found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """One line for each file that is missing or that nobody asked for."""
    found, wanted = set(found), set(wanted)
    return [f"{archive.name} lacks {name}" for name in sorted(wanted - found)] + [
        f"{archive.name} holds {name}, which it should not" for name in sorted(found - wanted)
    ]


def check_sdist(path: Path) -> list[str]:
    """Differences between an sdist and what git tracks."""
    with tarfile.open(path) as archive:
        names = [member.name.split("/", 1)[1] for member in archive if member.isfile()]
    found = [name for name in names if ".egg-info/" not in name]
    wanted = {name for name in tracked() if not name.startswith(REPOSITORY_ONLY)}
    return differences(path, found, wanted | SDIST_METADATA)


def check_wheel(path: Path) -> list[str]:
    """Differences between a wheel and the package's tracked files."""
    metadata = "-".join(path.name.split("-")[:2]) + ".dist-info/"
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if not name.endswith("/")]
    package = {name.removeprefix("src/") for name in tracked() if name.startswith("src/")}
    return differences(path, found, package | {metadata + name for name in WHEEL_METADATA})


def check_remade(wheel: Path, remade: Path) -> list[str]:
    """Differences in name or content between the built wheel and the one that pip makes of the sdist."""
    if wheel.name != remade.name:
        return [f"pip makes {remade.name} of the sdist, not {wheel.name}"]
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(remade) as other:
        names = set(one.namelist()) & set(other.namelist())
        wrong = [f"{name} is not the same" for name in sorted(names) if one.read(name) != other.read(name)]
        wrong += differences(remade, other.namelist(), one.namelist())
    return [f"made of the sdist by pip: {line}" for line in wrong]


def main() -> None:
    dist = ROOT / "dist"
    [sdist], [wheel] = dist.glob("*.tar.gz"), dist.glob("*.whl")
    wrong = check_sdist(sdist) + check_wheel(wheel) + check_remade(wheel, Path(sys.argv[1]))
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{sdist.name} and {wheel.name} hold what they should, and pip makes the one of the other")


if __name__ == "__main__":
    main()
