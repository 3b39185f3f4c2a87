# SPDX-License-Identifier: Apache-2.0
"""A moving picture of the spill test: the shipped policy on the sticky, hardly damped arm, limited and not.

MUJOCO_GL=egl python benchmarks/spill_movie.py docs/figures/spill.webp
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from spill_frames import scenes

SECONDS, FRAMES_PER_S = 6.0, 12
SIZE, CAPTION = 300, 26  # pixels of a panel, and of what stands above it
PAUSE_MS = 1500  # on the last frame
QUALITY = 60


def captioned(image: np.ndarray, text: str) -> Image.Image:
    """A panel with its caption above."""
    panel = Image.new("RGB", (SIZE, SIZE + CAPTION), (255, 255, 255))
    panel.paste(Image.fromarray(image), (0, CAPTION))
    ImageDraw.Draw(panel).text((8, 5), text, fill=(40, 40, 40), font=ImageFont.load_default(15))
    return panel


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("spill.webp")
    columns = []
    for scene in scenes(SIZE):
        shown = [scene.at(seconds) for seconds in np.arange(0.0, SECONDS, 1.0 / FRAMES_PER_S)]
        columns.append([captioned(image, f"{scene.label}: {lost} lost") for image, lost in shown])
    frames = []
    for side_by_side in zip(*columns, strict=True):
        strip = Image.new("RGB", (SIZE * len(side_by_side), SIZE + CAPTION))
        for column, panel in enumerate(side_by_side):
            strip.paste(panel, (SIZE * column, 0))
        frames.append(strip)
    durations = [round(1000 / FRAMES_PER_S)] * (len(frames) - 1) + [PAUSE_MS]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
