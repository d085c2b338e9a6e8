"""Check the licences of all that a user's installation brings, and the page that lists them.

``tools/licences.py PYTHON [--write]``: PYTHON is the interpreter of an environment that holds cvfp-cli with its
extras plot, ray and tensorboard, and nothing else. pip-licenses reads what each package says of itself.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"

# Licences that a package of ours may depend on. None asks more of who only installs it than to keep its notices;
# MPL-2.0 also asks that changed files of that package stay open.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD",  # a package that does not say which of the BSD licences
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}
# What packages call these where they give no SPDX identifier.
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Brought by torch's CUDA builds alone; the page says so in words, since it must not depend on the build.
CUDA_ONLY = re.compile(r"(nvidia|cuda)-.*|triton")
NOT_DEPENDENCIES = {"cvfp-cli", "pip"}

HEAD = """\
# Licences of the dependencies

<!-- Written by `python3 dev.py licences --write`; do not edit. -->

cvfp-cli is under the MIT licence. `pip install cvfp-cli` also installs the packages below, each under its own licence,
in SPDX's terms where the package says so. CI checks that every licence is on the list in `tools/licences.py`, and that
this page is up to date with the versions in `constraints.txt`.
"""
CUDA = """\
## With an NVIDIA device

On Linux the package index's builds of PyTorch bring, besides, `triton` (MIT) and NVIDIA's CUDA libraries (packages
`nvidia-*` and `cuda-*`), most of which are proprietary: NVIDIA's licence agreement for each applies to who installs
them. Builds of PyTorch for the CPU have neither.
"""


def installed(python: str) -> dict[str, str]:
    """Name and licence of every package that an interpreter finds, names as the index writes them."""
    command = [
        sys.executable,
        "-m",
        "piplicenses",
        "--python",
        python,
        "--from=mixed",
        "--with-system",
        "--format=json",
    ]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = {normal(entry["Name"]): spdx(entry["License"]) for entry in listed}
    return {
        name: found[name]
        for name in sorted(found)
        if name not in NOT_DEPENDENCIES and not CUDA_ONLY.fullmatch(name)
    }


def spdx(said: str) -> str:
    """A package's own words for its licence, with the known spellings replaced."""
    return " AND ".join(SPELLINGS.get(part.strip(), part.strip()) for part in said.split(";"))


def names_of(expression: str) -> list[str]:
    """Every licence that an expression mentions: of a choice, too, each must be allowed."""
    return [part for part in re.split(r"\s+(?:AND|OR)\s+|[()]", expression) if part.strip()]


def requirements() -> tuple[set[str], set[str]]:
    """Names of what the package and its extras ask for themselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    bare, more = project["dependencies"], [*extras["plot"], *extras["ray"], *extras["tensorboard"]]
    return {requirement_name(line) for line in bare}, {requirement_name(line) for line in more}


def requirement_name(line: str) -> str:
    """The package that a requirement is for."""
    match = re.match(r"[A-Za-z0-9._-]+", line)
    assert match is not None
    return normal(match[0])


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def page(licences: dict[str, str], direct: set[str], extras: set[str]) -> str:
    """The page's whole text."""
    rest = licences.keys() - direct - extras
    parts = [HEAD]
    for title, names in (
        ("## What cvfp-cli asks for", direct),
        ("## What its extras `plot`, `ray` and `tensorboard` ask for", extras),
        ("## What those bring along", rest),
    ):
        rows = [f"| {name} | {licences[name]} |" for name in sorted(names)]
        parts.append("\n".join([title, "", "| package | licence |", "|---|---|", *rows]) + "\n")
    return "\n".join([*parts, CUDA])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    licences = installed(given.python)
    direct, extras = requirements()
    wrong = [
        f"{name} is not installed in the environment looked at"
        for name in (direct | extras) - licences.keys()
    ]
    for name, expression in licences.items():
        unknown = [licence for licence in names_of(expression) if licence not in ALLOWED]
        wrong += [
            f"{name}: the licence {licence!r} is not on the list in tools/licences.py" for licence in unknown
        ]
    if wrong:
        sys.exit("\n".join(f"licences: {line}" for line in sorted(wrong)))
    text = page(licences, direct, extras)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("licences: docs/licences.md is out of date. Write it with: python3 dev.py licences --write")
    for name, expression in licences.items():
        print(f"{name:<28}{expression}")
    print(f"{len(licences)} packages, all under licences that are allowed")


if __name__ == "__main__":
    main()
