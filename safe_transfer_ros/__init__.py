# SPDX-License-Identifier: Apache-2.0
"""Safe transfer learning of robot policies on ROS 2: the policy proposes, the safety filter decides.

`import safe_transfer_ros as st` gives the public Python API, docs/python_api.md: the names in `__all__`. Each is
imported when it is first used, so that the import itself is light.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safe_transfer_ros.api import (
        evaluate,
        load_critic,
        load_policy,
        make_env,
        read_bag,
        read_episodes,
        rollout,
        to_transitions,
        train_critic,
    )
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.bags.transition_store import Transitions
    from safe_transfer_ros.critics.safety_critic import LoadedCritic
    from safe_transfer_ros.learning.evaluation import Evaluation
    from safe_transfer_ros.policies.policy import Act, Policy
    from safe_transfer_ros.record.episode import Episode
    from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict
    from safe_transfer_ros.tasks.rollouts import Rollouts
    from safe_transfer_ros.tasks.task import Task

__version__ = "0.1.0"

__all__ = [
    "Act",
    "Bag",
    "Episode",
    "Evaluation",
    "LoadedCritic",
    "Mode",
    "Policy",
    "Reason",
    "Rollouts",
    "Task",
    "Transitions",
    "Verdict",
    "evaluate",
    "load_critic",
    "load_policy",
    "make_env",
    "read_bag",
    "read_episodes",
    "rollout",
    "to_transitions",
    "train_critic",
]

_CLASSES = {
    "Act": "policies.policy",
    "Bag": "bags.read",
    "Episode": "record.episode",
    "Evaluation": "learning.evaluation",
    "LoadedCritic": "critics.safety_critic",
    "Mode": "safety.reasons",
    "Policy": "policies.policy",
    "Reason": "safety.reasons",
    "Rollouts": "tasks.rollouts",
    "Task": "tasks.task",
    "Transitions": "bags.transition_store",
    "Verdict": "safety.reasons",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_CLASSES.get(name, 'api')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Public names beside those that are there already."""
    return sorted({*globals(), *__all__})


if "gymnasium" in sys.modules:  # else `import safe_transfer_ros.environments`: a node has no use for Gymnasium
    import safe_transfer_ros.environments  # noqa: F401
