"""Draw ``summary.svg``: the end of a sweep in a terminal, with the published figures of the matrix study.

python docs/assets/make_summary.py
"""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from cvfp_cli.cli import summary
from cvfp_cli.results import read_results
from cvfp_cli.scaling import summary_fits

HERE = Path(__file__).parent


def main() -> None:
    runs = [
        run
        for run in read_results(HERE.parents[1] / "tests" / "published_results.json").runs
        if run.study == "2025-11-30-matrix"
    ]
    console = Console(
        record=True,
        width=112,
        highlight=False,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    summary.answer_console = lambda stream=None: console
    summary.print_summary(runs, summary_fits(runs))
    drawn = console.export_svg(title="cvfp sweep", theme=MONOKAI)
    # Fonts from elsewhere would be asked for by every reader's browser.
    drawn = re.sub(r"@font-face \{[^}]*\}\s*", "", drawn)
    (HERE / "summary.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
