# SPDX-License-Identifier: Apache-2.0
"""The drunk spider's map with scripted ways over the bridge, around the pits and into one, at two kinds of noise.

python benchmarks/drunk_spider_map.py docs/figures/drunk_spider.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from safe_transfer_ros.reporting.plots import STYLE
from safe_transfer_ros.reporting.spider_map import draw_map, draw_ways
from safe_transfer_ros.tasks.drunk_spider.environment import SpiderVectorEnv
from safe_transfer_ros.tasks.drunk_spider.scripted import around, into_lava, over_the_bridge
from safe_transfer_ros.tasks.drunk_spider.task import DrunkSpider

RULES, EACH = (over_the_bridge, around, into_lava), 10
PANELS = (("uniform, .2 wide", "uniform"), ("Gaussian, standard deviation .2", "gaussian"))


def main() -> None:
    """Draw the figure."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("drunk_spider.png")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(PANELS), figsize=(9.6, 4.6), layout="tight")
        for panel, (title, form) in zip(axes, PANELS, strict=True):
            draw_map(panel)
            panel.set_title(title)
            for rule in RULES:
                env = SpiderVectorEnv(DrunkSpider(), EACH, noise=0.2, noise_form=form, autoreset=False)
                env.reset(seed=0)
                places, over = [env.position], np.zeros(EACH, dtype=bool)
                while not over.all():
                    *_, terminated, truncated, info = env.step(rule(env.position))
                    over |= terminated | truncated
                    places.append(info["position"])
                draw_ways(panel, np.stack(places, axis=1), info["cost"] > 0.0)
        figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main()
