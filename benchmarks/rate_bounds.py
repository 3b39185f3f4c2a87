# SPDX-License-Identifier: Apache-2.0
"""How often bounds on an unsafety rate hold: five episodes of 200 states from chains of known rate and correlation.

python benchmarks/rate_bounds.py
"""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.safety.limit.confidence import betting_upper, conformal_upper, effective_binomial_upper

BATCHES = 200


def chain(rng: np.random.Generator, rate: float, time: float, length: int = 200) -> np.ndarray:
    keep, fresh = rng.random(length) < np.exp(-1.0 / time), rng.random(length) < rate
    series = fresh.copy()
    for step in range(1, length):
        if keep[step]:
            series[step] = series[step - 1]
    return series


def main() -> None:
    rng = np.random.default_rng(0)
    print(
        "| rate | correlation, states | share below truth | effective samples: misses, mean | betting: misses, mean "
        "| conformal: below truth, mean, E[rate / bound] |"
    )
    print("|---|---|---|---|---|---|")
    for rate in (0.02, 0.1, 0.3):
        for time in (2.0, 20.0, 60.0):
            batches = [[chain(rng, rate, time) for _ in range(5)] for _ in range(BATCHES)]
            share = np.array([np.mean(batch) for batch in batches])
            binomial = np.array([effective_binomial_upper(batch) for batch in batches])
            betting = np.array([betting_upper(np.mean(batch, axis=1)) for batch in batches])
            conformal = np.array([conformal_upper(np.mean(batch, axis=1)) for batch in batches])
            print(
                f"| {rate} | {time:.0f} | {(share < rate).mean():.0%} | {(binomial < rate).mean():.0%}, "
                f"{binomial.mean():.2f} | {(betting < rate).mean():.0%}, {betting.mean():.2f} | "
                f"{(conformal < rate).mean():.0%}, {conformal.mean():.2f}, {(rate / conformal).mean():.2f} |"
            )
    for name, upper in (("betting", betting_upper), ("conformal", conformal_upper)):
        print(f"{name}, nothing unsafe in n episodes:", {n: round(upper(np.zeros(n)), 3) for n in (5, 10, 30)})


if __name__ == "__main__":
    main()
