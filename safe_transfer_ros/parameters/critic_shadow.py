# SPDX-License-Identifier: Apache-2.0
"""The parameters of a critic that judges without acting."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class CriticShadowParameters:
    """critic_shadow."""

    candidate: str = setting("", "Critic (safetensors) that judges every proposal without acting")
    out: str = setting("", "CSV file to write what it would have said to")
