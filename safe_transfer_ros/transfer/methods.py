# SPDX-License-Identifier: Apache-2.0
"""Methods of `safe_transfer train` by name."""

from __future__ import annotations

from safe_transfer_ros.registry import Registry
from safe_transfer_ros.transfer.constrained.csc_sac import CscSacMethod, csc_sac
from safe_transfer_ros.transfer.constrained.method import CONSTRAINED
from safe_transfer_ros.transfer.off_policy.agents import (
    dual_agent,
    ensemble_sac,
    sac,
    sac_lagrangian,
    safety_layer,
    td3,
    wcpg,
)
from safe_transfer_ros.transfer.off_policy.method import OffPolicyMethod
from safe_transfer_ros.transfer.sqrl.method import SqrlMethod, risk_sensitive, sqrl
from safe_transfer_ros.transfer.training import BaselineUse, TrainingMethod


def _is_method(name: str, thing: object) -> None:
    if not callable(getattr(thing, "begin", None)):
        raise ValueError(f"a method must be a Method, or have begin(plan) as one has; got {thing!r}")


METHODS: Registry[TrainingMethod] = Registry("method", group="safe_transfer_ros.methods", check=_is_method)
"""Every method by name; another package adds its own by an entry point in the group."""

_OURS: dict[str, TrainingMethod] = {
    **CONSTRAINED,
    "td3": OffPolicyMethod(label="TD3", agent=td3, description="off-policy, no constraint: deterministic actor"),
    "sac": OffPolicyMethod(
        label="SAC", agent=sac, description="off-policy, no constraint: stochastic actor", continues=True
    ),
    "ensemble-sac": OffPolicyMethod(
        label="Ensemble SAC (10)",
        agent=ensemble_sac,
        description="off-policy, no constraint: SAC with ten critics, of which the 30th percentile counts",
        varied=frozenset({"max_entropy"}),
        continues=True,
    ),
    "wcpg": OffPolicyMethod(
        label="WCPG",
        agent=wcpg,
        description="off-policy: mean and variance of the return are learned, the mean of its worst cases is maximised",
        continues=True,
    ),
    "sqrl": SqrlMethod(
        label="SQRL",
        agent=sqrl,
        description="off-policy: SAC and a safety critic, pre-trained together, then fine-tuned behind its mask",
        varied=frozenset({"epsilon", "safety_gamma", "online_critic", "max_entropy"}),
        continues=True,
    ),
    "risk-sensitive": SqrlMethod(
        label="Risk-sensitive",
        agent=risk_sensitive,
        description="off-policy: SAC less a weight times SQRL's safety critic, without a mask",
        varied=frozenset({"epsilon", "safety_gamma"}),
        continues=True,
    ),
    "csc-sac": CscSacMethod(
        label="CSC on SAC",
        agent=csc_sac,
        description="off-policy: SAC behind a conservative safety critic, less lambda' times its risk",
        varied=frozenset({"chi", "multiplier_rate", "alpha"}),
    ),
    "sac-lagrangian": OffPolicyMethod(
        label="SAC-Lagrangian",
        agent=sac_lagrangian,
        description="off-policy: SAC less lambda times a critic of discounted costs",
        varied=frozenset({"chi"}),
    ),
    "safety-layer": OffPolicyMethod(
        label="Safety layer",
        agent=safety_layer,
        description="off-policy: each action of TD3, or of --baseline, is corrected along a critic of costs",
        varied=frozenset({"chi"}),
        baseline=BaselineUse.OPTIONAL,
    ),
    "dual-agent": OffPolicyMethod(
        label="Dual agent (DARL)",
        agent=dual_agent,
        description="off-policy: a safe agent imitates a baseline, TD3 that learns beside it, as far as safety allows",
        varied=frozenset({"chi"}),
        baseline=BaselineUse.OPTIONAL,
    ),
}
for _name, _method in _OURS.items():
    METHODS.add(_name, _method)


def method(name: str) -> TrainingMethod:
    """A method by name.

    Raises:
      ValueError: if there is none; names the nearest known one.
    """
    return METHODS[name]
