# SPDX-License-Identifier: Apache-2.0
"""Proposals whose torques tell, in every command that follows, whether what should pass passed and nothing else.

A good one asks for far too much of the first joint, one way and then the other, so that clamp and rate limit act, for a
known torque of each joint between, and has its number in the last joint. A bad one asks for `BAD_TORQUE`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SWING = 8.0  # N·m asked of the first joint, above every limit used here
STEP_TORQUE = 0.1  # N·m times the joint's place, for the joints between
GENTLE_TORQUE = 0.3  # N·m
BAD_TORQUE = 0.777  # N·m; no good proposal has it
_NUMBER = 1e-6  # N·m a step in the last joint

# Kinds of proposal that must be refused. "garbage" is not a message at all.
BAD = ("old_stamps", "future_stamps", "wrong_name", "doubled_name", "short", "nan", "inf", "garbage")


def good_effort(step: int, n_joints: int) -> Array:
    """Torques of good proposal number `step`, shape (n_joints,), N·m."""
    effort: Array = STEP_TORQUE * np.arange(n_joints, dtype=np.float64)
    effort[0] = SWING if step % 2 else -SWING
    effort[-1] = _NUMBER * (1000 + step % 50_000)
    return effort


def make(kind: str, joints: list[str], step: int) -> tuple[list[str], list[float]]:
    """Joint names and torques of a proposal of a kind.

    Args:
      kind: "good", "permuted" (good, in another order), "alternating" (good for an arm that moves: it stays where it
        is) or one of BAD.
      joints: The robot's joints.
      step: Number of the proposal.
    """
    names = list(joints)
    effort: list[float] = good_effort(step, len(joints)).tolist()
    if kind == "good":
        return names, effort
    if kind == "alternating":
        gentle = np.append(np.full(len(joints) - 1, GENTLE_TORQUE), effort[-1])
        return names, (gentle if step % 2 else -gentle).tolist()
    if kind == "permuted":
        return names[::-1], effort[::-1]
    effort = [BAD_TORQUE] * len(joints)
    if kind == "wrong_name":
        names[3] = "r_elbow_flex_joint"
    elif kind == "doubled_name":
        names[3] = names[0]
    elif kind == "short":
        effort = effort[:-1]
    elif kind in ("nan", "inf"):
        effort[4] = float(kind)
    return names, effort
