# SPDX-License-Identifier: Apache-2.0
"""The critic trainer's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class CriticTrainerParameters:
    """critic_trainer."""

    out: str = setting("", "Folder for the transitions, the critic and its model card; must not hold transitions yet")
    episodes: int = setting(0, "Train after this many episodes; 0: when told to stop", minimum=0, maximum=10**6)
    conservative: bool = setting(False, "CSC instead of SQRL")
    gamma: float = setting(0.7, "gamma_safe: how far ahead the critic sees", minimum=0.0, maximum=0.9999)
    epsilon: float = setting(0.1, "Largest acceptable risk", minimum=1e-6, maximum=0.999)
    members: int = setting(1, "Critics in the ensemble", minimum=1, maximum=100)
    updates: int = setting(20_000, "Updates at most", minimum=1, maximum=10**8)
