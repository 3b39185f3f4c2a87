# SPDX-License-Identifier: Apache-2.0
"""A moving picture of the point in the three hallways, by its camera alone, with what the camera sees beside it.

MUJOCO_GL=egl python benchmarks/hallway_movie.py docs/figures/hallway.webp
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from hallway_frames import ROWS, shown
from PIL import Image, ImageDraw, ImageFont

SECONDS, FRAMES_PER_S = 7.0, 10
SIDE, CAPTION = 200, 22  # pixels of an image, and of what stands above it
QUALITY = 50


def captioned(image: np.ndarray, text: str) -> Image.Image:
    """A panel with its caption above."""
    panel = Image.new("RGB", (2 * SIDE, SIDE + CAPTION), (255, 255, 255))
    panel.paste(Image.fromarray(image), (0, CAPTION))
    ImageDraw.Draw(panel).text((6, 4), text, fill=(40, 40, 40), font=ImageFont.load_default(13))
    return panel


def main() -> None:
    """Write the picture."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("hallway.webp")
    columns = [
        [captioned(image, f"{label}, {told}") for image, told in shown(task, act, 1.0 / FRAMES_PER_S, SECONDS, SIDE)]
        for label, task, act in ROWS[:3]
    ]
    frames = []
    for panels in zip(*columns, strict=True):
        strip = Image.new("RGB", (2 * SIDE * len(panels), SIDE + CAPTION))
        for column, panel in enumerate(panels):
            strip.paste(panel, (2 * SIDE * column, 0))
        frames.append(strip)
    duration = round(1000 / FRAMES_PER_S)
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=duration, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
