# SPDX-License-Identifier: Apache-2.0
"""Parameters of the slow moves to the start of an episode, on hardware only."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class ResetParameters:
    """episode_reset, on hardware only."""

    speed: float = setting(0.2, "Largest joint speed of the move to the start, rad/s", minimum=0.01, maximum=1.0)
    stiffness: float = setting(
        1.0, "Stiffness of each joint, in its effort limits per rad", minimum=0.01, maximum=100.0
    )
    damping: float = setting(0.04, "Damping of each joint, in its effort limits per rad/s", minimum=0.0, maximum=10.0)
    position_tolerance: float = setting(0.05, "The start is reached this near, rad", minimum=1e-4, maximum=1.0)
    velocity_tolerance: float = setting(0.05, "and this slow, rad/s", minimum=1e-4, maximum=1.0)
    tracking_tolerance: float = setting(
        0.3, "The move ends when a joint is this far behind: something holds it, rad", minimum=0.01, maximum=3.0
    )
    settling_time: float = setting(5.0, "Time to come to rest at the start, s", minimum=0.1, maximum=60.0)
    confirm_each_episode: bool = setting(False, "Wait for episode_reset/confirm before each episode")
    confirmation_timeout: float = setting(
        600.0, "Wait this long for an operator before a reset fails, s", minimum=1.0, maximum=86400.0
    )
