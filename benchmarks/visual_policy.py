# SPDX-License-Identifier: Apache-2.0
"""Time of one action of a policy that sees and remembers: numpy, as beside the robot, and the same network in torch.

    OMP_NUM_THREADS=1 python benchmarks/visual_policy.py [--steps 300]

Processor time of one thread; the size is that of Doggo in a hallway.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from safe_transfer_ros.policies.networks.actors import SquashedActor
from safe_transfer_ros.policies.networks.visual import VisualActor, VisualEncoder


def main() -> None:
    """Print milliseconds per action, median and 99th percentile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    actor = VisualActor(VisualEncoder(2540, 50, 256, 256, rng), SquashedActor(256, np.ones(12), (256, 256), rng))
    policy, seen = actor.policy(), rng.random((steps, 2540)).astype(np.float32)
    memory = torch.zeros(1, 256)
    taken: dict[str, list[float]] = {"numpy": [], "torch": []}
    for observation in seen:
        start = time.process_time()
        policy.act(observation, np.zeros(12))
        taken["numpy"].append(time.process_time() - start)
        start = time.process_time()
        with torch.no_grad():
            memory = actor.encoder(torch.from_numpy(observation)[None, None], memory)[:, 0]
            actor.head(memory)
        taken["torch"].append(time.process_time() - start)
    for name, seconds in taken.items():
        median, most = (1e3 * np.quantile(seconds, share) for share in (0.5, 0.99))
        print(f"{name}: {median:.2f} ms, 99 %: {most:.2f} ms")


if __name__ == "__main__":
    main()
