# SPDX-License-Identifier: Apache-2.0
"""The trainer's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class TrainerParameters:
    """trainer."""

    policy: str = setting(
        "pr2_cup_swirl",
        "Pre-trained policy: a file, the name of a shipped one, or a Python function (module:function, path:function)",
    )
    policy_function: str = setting("", "Python function that a policy may name as its controller; set by policy:=")
    learner: str = setting(
        "pspt",
        "How the policy learns from an iteration: pspt, TRPO on the rewards; csc, a conservative critic beside it, "
        "which the filter takes between episodes, and a step constrained by failures; dual_agent, a safe agent beside "
        "the policy, which is its baseline; sqrl, behind the critic that the policy was pre-trained with; sac, "
        "the same without a critic; none, the policy acts as it is; "
        "or one of another package",
    )
    critic: str = setting(
        "",
        "Safety critic (safetensors file) that is sent to the filter; another file put in its place is sent between "
        "iterations; empty: none, or the learner's own",
    )
    iterations: int = setting(60, "Iterations of Algorithm 1 to run", minimum=1, maximum=100_000)
    autostart: bool = setting(True, "Start fine-tuning when the graph is complete; false: wait for a fine_tune goal")
    episodes_per_iteration: int = setting(5, "Episodes rolled out per iteration", minimum=1, maximum=1000)
    max_kl: float = setting(
        0.05,
        "TRPO step size delta: KL summed over action dimensions. Of sqrl and sac: how far an iteration may change what "
        "is done, as the KL that changes it as often",
        minimum=1e-6,
        maximum=10.0,
    )
    stddev_factor: float = setting(
        0.7071,
        "Factor on the standard deviation of a pre-trained Gaussian policy (PSPT's real robot: variance halved)",
        minimum=0.01,
        maximum=10.0,
    )
    leave_one_out: bool = setting(
        False, "Fit each episode's value function to the other episodes only; needs more than a few of them"
    )
    experience: str = setting(
        "",
        "Bags, or folders of `safe_transfer bag to-transitions`, that the replay buffer of learner dual_agent, sqrl or "
        "sac begins with; commas between",
    )
    run_dir: str = setting("", "Directory of this run: CSV and checkpoints go there; empty: keep nothing")
    config_file: str = setting("", "File with every node's parameters, copied into the bag; empty: the trainer's own")
    peer_timeout: float = setting(
        60.0, "Wait this long for the other nodes at start and between iterations, s", minimum=0.1, maximum=600.0
    )
