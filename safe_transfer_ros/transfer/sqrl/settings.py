# SPDX-License-Identifier: Apache-2.0
"""Settings of SQRL: the paper's numbers, and what it leaves open."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SqrlSettings:
    """Settings of Algorithms 1 and 2.

    Attributes:
      epsilon: Largest risk that the mask lets pass.
      gamma: gamma_safe, discount of the safety critic.
      alpha: Weight of CSC's conservative term in the safety critic; SQRL has none.
      candidates: Actions drawn at a step, of which the first accepted one is taken (authors' code: 50).
      episodes: k, on-policy episodes of the masked policy that every n_off steps are collected for the critic.
      capacity: Transitions that D_safe keeps: small, so that what it holds is nearly on-policy.
      updates: Of the critic after each collection.
      batch: Transitions an update.
      hidden: Widths of the critic's hidden layers.
      learning_rate: Of the critic.
      target_rate: How far the critic's target moves at each update.
      just_below: Whether these episodes prefer the riskiest accepted action, the one just below epsilon, to the first.
      online: Whether the critic goes on learning in fine-tuning, from the masked policy's own steps (ablation).
      multiplier_rate: Of nu's dual ascent, an update.
    """

    epsilon: float = 0.1
    gamma: float = 0.7
    alpha: float = 0.0
    candidates: int = 50
    episodes: int = 5
    capacity: int = 2_000
    updates: int = 200
    batch: int = 256
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    target_rate: float = 0.01
    just_below: bool = True
    online: bool = False
    multiplier_rate: float = 1e-2

    def __post_init__(self) -> None:
        if not (0.0 < self.epsilon < 1.0 and 0.0 <= self.gamma < 1.0 and self.multiplier_rate > 0.0):
            raise ValueError(f"expected epsilon in (0, 1), gamma in [0, 1) and multiplier_rate > 0, got {self}")
        if min(self.candidates, self.episodes, self.capacity, self.updates, self.batch) < 1:
            raise ValueError(f"expected candidates, episodes, capacity, updates and batch of at least 1, got {self}")


def horizon_seen(epsilon: float, gamma: float) -> int:
    """Largest k for which a certain failure k steps ahead is still refused: gamma^(k - 1) > epsilon.

    With the target c' + (1 - c')(1 - terminated) gamma Q' the step that fails itself is k = 1. gamma .7 and epsilon .1
    see 7 steps.

    Args:
      epsilon: In (0, 1).
      gamma: In [0, 1).
    """
    if gamma == 0.0:
        return 1
    steps = math.log(epsilon) / math.log(gamma)
    return max(1, math.ceil(steps - 1e-12))
