# SPDX-License-Identifier: Apache-2.0
"""A controller as a person brings it."""

from __future__ import annotations

import numpy as np


def outward(observation: np.ndarray) -> np.ndarray:
    """Away from the origin, at more than the bound."""
    return 5.0 * observation


NOT_CALLABLE = 3
