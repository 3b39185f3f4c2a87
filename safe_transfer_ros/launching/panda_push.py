# SPDX-License-Identifier: Apache-2.0
"""The graph of the pushing tasks: a shipped pusher is fine-tuned on an arm it was not trained for."""

from __future__ import annotations

from collections.abc import Mapping

from safe_transfer_ros.launching.fine_tuning import ARGUMENTS, FineTuningGraph
from safe_transfer_ros.launching.graph import Argument
from safe_transfer_ros.parameters.sections import SHARED

_TASK = Argument(
    name="task",
    description="pushing task: goal and safety constraint",
    default="boundary",
    choices=("topple", "boundary", "obstacle"),
)


def _translated(given: Mapping[str, str]) -> dict[str, str]:
    """The task by its whole name, and the policy that is shipped under the same name unless another is given."""
    others = {name: text for name, text in given.items() if name != "task"}
    if given.get("resume") or (given.get("config") and not given.get("task")):
        return others
    task = f"panda_push_{given.get('task') or _TASK.default}"
    return {f"{SHARED}.task": task, "policy": others.pop("policy", "") or task} | others


GRAPH = FineTuningGraph("panda_push", (_TASK, *ARGUMENTS), _translated)
