# SPDX-License-Identifier: Apache-2.0
"""The policy server's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class PolicyServerParameters:
    """policy_server."""

    policy: str = setting("", "Policy weights (safetensors) loaded at start; empty: wait for the trainer's")
    policy_function: str = setting("", "Python function that a policy may name as its controller; set by policy:=")
    peer_timeout: float = setting(
        60.0, "Wait this long for another node's answer (reset, arm, weights, limit), s", minimum=0.1, maximum=600.0
    )

    reset_timeout: float = setting(
        0.0,
        "Hardware: wait this long for the arm to be put into the start of an episode, s; 0: peer_timeout",
        minimum=0.0,
        maximum=86400.0,
    )
    realtime_priority: int = setting(
        0, "SCHED_FIFO priority of every thread of the policy server, where permitted; 0: normal", minimum=0, maximum=98
    )
