"""Whether reduced precision moves figures: two sweeps of the same grid and seeds, run by run.

    python benchmarks/precision.py FLOAT32/summary.json REDUCED/summary.json

For each configuration: the mean of ln PPL(reduced) − ln PPL(float32) over seeds, its 95 % t interval, and the phase-1
iterations where they differ. The rule: mean within ±0.005, interval inside ±0.01; iterations equal, or one apart
where float32's rate is within 0.005 of the ratio.
"""

import math
import sys
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from cvfp_cli.results import read_results


def main() -> None:
    plain, reduced = (
        {(run.config, run.samples, run.seed): run for run in read_results(Path(path)).runs}
        for path in sys.argv[1:3]
    )
    kept = True
    for config in sorted({key[0] for key in reduced}):
        keys = sorted(key for key in reduced if key[0] == config and key in plain)
        change = [math.log(reduced[key].val_ppl) - math.log(plain[key].val_ppl) for key in keys]
        mean = float(np.mean(change))
        half = float(stdtrit(len(change) - 1, 0.975) * np.std(change, ddof=1) / math.sqrt(len(change)))
        apart = [
            f"seed {key[2]}: {plain[key].phase1_iterations} and {reduced[key].phase1_iterations} "
            f"(float32 rate {plain[key].phase1_rate:.4f})"
            for key in keys
            if plain[key].phase1_iterations != reduced[key].phase1_iterations
        ]
        good = abs(mean) <= 0.005 and abs(mean) + half <= 0.01
        kept = kept and good
        print(f"{config}: mean {mean:+.5f} ± {half:.5f} over {len(keys)} runs, {'kept' if good else 'MOVED'}")
        for line in apart:
            print(f"    P1 iterations differ, {line}")
    print("figures do not move" if kept else "figures move")


if __name__ == "__main__":
    main()
