# SPDX-License-Identifier: Apache-2.0
"""Lifecycle nodes whose transitions report why they failed, and that can bring themselves up."""

from __future__ import annotations

import traceback

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn


class ManagedNode(LifecycleNode):
    """A lifecycle node: subclasses fill in `configure`, `activate`, `deactivate` and `cleanup`.

    rclpy swallows exceptions of transition callbacks; here they are logged, and `bring_up` raises them.
    """

    failure: Exception | None = None

    def configure(self) -> None:
        """Create what the node needs; nothing may move yet."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Cease to act; a stop torque first where torque was applied."""

    def cleanup(self) -> None:
        """Undo `configure`."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        return self._attempt(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        super().on_activate(state)
        return self._attempt(self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        result = self._attempt(self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        return self._attempt(self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback: stop what moves, whatever state the node was in."""
        return self._attempt(self.deactivate)

    def bring_up(self) -> None:
        """Configure and activate at once, for graphs without a lifecycle manager.

        Raises:
          Exception: whatever `configure` or `activate` raised.
        """
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise self.failure or RuntimeError(f"{self.get_name()}: lifecycle transition failed")

    def _attempt(self, step: object) -> TransitionCallbackReturn:
        try:
            step()  # type: ignore[operator]
        except Exception as error:
            self.failure = error
            self.get_logger().error(f"{error}")
            if not isinstance(error, ValueError | OSError):
                traceback.print_exc()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS
