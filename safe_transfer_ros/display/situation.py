# SPDX-License-Identifier: Apache-2.0
"""The newest that was heard of the safety stack, and its colour."""

from __future__ import annotations

import dataclasses

from safe_transfer_ros.display.shape import Array, Colour
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict, split

GREEN: Colour = (0.15, 0.65, 0.3, 1.0)
BLUE: Colour = (0.2, 0.5, 0.9, 1.0)
AMBER: Colour = (0.95, 0.65, 0.1, 1.0)
RED: Colour = (0.85, 0.15, 0.15, 1.0)
GREY: Colour = (0.55, 0.57, 0.6, 1.0)

VERDICT_COLOURS = {
    Verdict.ACCEPTED: GREEN,
    Verdict.BOUNDED: AMBER,
    Verdict.RESAMPLED: BLUE,
    Verdict.LEAST_RISKY: BLUE,
    Verdict.REJECTED: RED,
    Verdict.STOPPED: RED,
    Verdict.EPISODE_END: GREY,
}
"""Colour of each verdict: applied as proposed, changed by the envelope, by the critic, refused, over."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Situation:
    """The newest of everything that was heard; None for what was not.

    Attributes:
      position: Joint positions, shape (n_joints,), rad.
      pose: Of the task's object, x y z in m and quaternion x y z w, shape (7,).
      torque: Applied at the newest decision, shape (n_joints,), N·m.
      torque_limit: T_lim in force, N·m.
      mode: The filter's.
      verdict: Of the newest decision.
      reasons: Why it is in that mode, or why the newest decision changed the torque.
      episode: Of the newest decision.
      silent: Whether joint states have ceased, so that what is shown is old.
    """

    position: Array | None = None
    pose: Array | None = None
    torque: Array | None = None
    torque_limit: float | None = None
    mode: Mode | None = None
    verdict: Verdict | None = None
    reasons: Reason = Reason.NONE
    episode: int = 0
    silent: bool = False

    @property
    def colour(self) -> Colour:
        """Colour of the filter's mode, and of its newest verdict while it is armed."""
        if self.silent or self.mode is None or self.mode is Mode.DISARMED:
            return GREY
        if self.mode is Mode.TRIPPED:
            return RED
        if self.mode is Mode.HOLDING:
            return AMBER
        return GREY if self.verdict is None else VERDICT_COLOURS[self.verdict]

    @property
    def words(self) -> str:
        """Mode, verdict and reasons, by their names."""
        if self.mode is None:
            return "no safety filter heard"
        first = self.mode.name
        if self.mode is Mode.ARMED and self.verdict is not None:
            first += f", {self.verdict.name.lower().replace('_', ' ')}"
        names = [str(reason.name) for reason in split(self.reasons)]
        silent = ["no joint states: what is shown is old"] if self.silent else []
        return "\n".join([first, *silent, *names])


def faint(colour: Colour, opacity: float) -> Colour:
    """The colour, to be seen through."""
    return (*colour[:3], opacity)
