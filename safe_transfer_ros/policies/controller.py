# SPDX-License-Identifier: Apache-2.0
"""A Python function as a policy: a hand-written controller that no file can hold.

A file, or a message, names it by its fingerprint alone. What runs is a function that this very process was told of by
its own parameters (`tell`); nothing that comes over the network can choose another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.policy import DETERMINISTIC, Act
from safe_transfer_ros.policies.tensors import Tensors, WeightsError

Array = NDArray[np.float64]

Controller: TypeAlias = Callable[[Array], Array]
"""Actions (b, n) in the task's unit for observations (b, k)."""

_TOLD: dict[str, Controller] = {}


def tell(fingerprint: str, controller: Controller) -> None:
    """Let policies of this process name a function by its fingerprint."""
    _TOLD[fingerprint] = controller


def evaluated(controller: Controller, observation: Array, action_size: int, *, what: str) -> Array:
    """Actions of a function, shape (b, action_size), checked.

    Args:
      controller: The function.
      observation: Shape (b, k).
      action_size: Length of an action.
      what: Name of it in errors.

    Raises:
      WeightsError: if it raises, or gives actions of another shape, or one that is not finite.
    """
    try:
        action = np.asarray(controller(np.asarray(observation, dtype=np.float64)), dtype=np.float64)
    except Exception as error:  # a stranger's code: whatever it raises is a refusal, and no end of a node
        raise WeightsError(f"the {what} raised {type(error).__name__}: {error}") from error
    wanted = (len(observation), action_size)
    if action.shape != wanted or not np.isfinite(action).all():
        got = f"shape {action.shape}" if action.shape != wanted else "some that are not finite"
        raise WeightsError(f"expected finite actions of shape {wanted} from the {what}, got {got}")
    return action


class ControllerPolicy:
    """A function of observations.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: 0.
    """

    kind: ClassVar[str] = "controller"
    noise_size = 0

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str]) -> None:
        """Find the function that the metadata names.

        Args:
          tensors: None.
          metadata: fingerprint, observation_size and action_size.

        Raises:
          WeightsError: if this process was not told of it, or the metadata is not that of a controller.
        """
        fingerprint, sizes = metadata.get("fingerprint", ""), ("observation_size", "action_size")
        self.observation_size, self.action_size = (_positive(name, metadata.get(name, "")) for name in sizes)
        if tensors:
            raise WeightsError(f"expected no tensors of a controller, got {sorted(tensors)[:4]}")
        if fingerprint not in _TOLD:
            raise WeightsError(
                f"expected a controller that this process was told of, got one with the fingerprint "
                f"'{fingerprint[:12]}': name the same function, unchanged, with the parameter `policy_function`"
            )
        self._controller = _TOLD[fingerprint]

    def begin(self) -> None:
        """Do nothing: a controller remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise.

        Raises:
          WeightsError: see `evaluated`.
        """
        rows = np.atleast_2d(np.asarray(observation, dtype=np.float64))
        action = evaluated(self._controller, rows, self.action_size, what="controller")
        action = action.reshape(*np.shape(observation)[:-1], self.action_size)
        return Act(action=action, distribution=DETERMINISTIC, mean=action)


def _positive(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) and len(text) < 9):
        raise WeightsError(f"expected {name} of a controller as a whole number above 0, got {text[:20]!r}")
    return int(text)
