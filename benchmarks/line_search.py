# SPDX-License-Identifier: Apache-2.0
"""Line search that uses all of the trust region, against one that ends at the first step inside: PSPT's fine-tuning.

    OMP_NUM_THREADS=1 python benchmarks/line_search.py [--seeds 6] [--iterations 200]

The literal arm and the three pre-trained policies, as in Figs. 6 to 9. Per run: updates that ended short, iterations
until T_max, mean return, iterations over D_safe.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from safe_transfer_ros.algorithms import trust_region
from safe_transfer_ros.studies.experiment import PRE_TRAINED, PSPT
from safe_transfer_ros.studies.study import compute


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=200)
    options = parser.parse_args()
    print(
        "| seed | line search | updates with KL < .045 of .05 | least KL | 3 N·m after | mean return | over D_safe |",
        flush=True,
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for seed in range(options.seeds):
        run = dataclasses.replace(
            PSPT.run, seed=seed, iterations=options.iterations, policy=PRE_TRAINED[seed % len(PRE_TRAINED)]
        )
        for label, enough in (("first inside", 0.0), ("to .95", 0.95)):
            trust_region._ENOUGH = enough
            columns = {name: np.array(values) for name, values in compute(run).items()}
            there = np.flatnonzero(columns["torque_limit"] >= run.governor.t_max)
            short = int((columns["kl"] < 0.9 * run.learning.max_kl).sum())
            over = int((columns["expected_damage"] > run.governor.d_safe).sum())
            when = str(there[0]) if there.size else "never"
            mean = columns["mean_return"].mean()
            print(
                f"| {seed} | {label} | {short} | {columns['kl'].min():.4f} | {when} | {mean:.0f} | {over} |", flush=True
            )


if __name__ == "__main__":
    main()
