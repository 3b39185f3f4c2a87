# SPDX-License-Identifier: Apache-2.0
"""Figure of frames: a row per episode, a column per time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.reporting.plots import STYLE

Frame = tuple[npt.NDArray[np.uint8], str]
"""An image, shape (height, width, 3), and what is above it."""


def film_strip(
    rows: Sequence[tuple[str, Sequence[Frame]]],
    out: Path,
    *,
    size: tuple[float, float] = (9.6, 4.2),
    title_size: float = 9.0,
    dpi: int = 80,
) -> None:
    """Write the figure.

    Args:
      rows: Label and frames of each, as many in all.
      out: Its file.
      size: Inches.
      title_size: Of the text above a frame, points.
      dpi: Pixels per inch.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(len(rows), len(rows[0][1]), figsize=size, layout="constrained", squeeze=False)
        for panels, (label, frames) in zip(axes, rows, strict=True):
            for panel, (image, title) in zip(panels, frames, strict=True):
                panel.imshow(image)
                panel.set_title(title, fontsize=title_size)
                panel.set_xticks([])
                panel.set_yticks([])
                panel.grid(False)
            panels[0].set_ylabel(label)
        figure.savefig(out, dpi=dpi)
        plt.close(figure)
