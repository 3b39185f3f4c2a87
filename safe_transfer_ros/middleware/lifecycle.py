# SPDX-License-Identifier: Apache-2.0
"""Lifecycle nodes whose transitions report why they failed, and that can bring themselves up."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rclpy.action import ActionClient, ActionServer
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer


class Closable(Protocol):
    """Holder of entities in the graph that are not the node's own."""

    def close(self) -> None:
        """Take them out of it."""


Kept = TypeVar("Kept", bound=Closable)


class ManagedNode(LifecycleNode):
    """A lifecycle node: subclasses fill in `configure`, `activate`, `deactivate` and `cleanup`.

    rclpy swallows exceptions of transition callbacks; here they are logged, and `bring_up` raises them.
    """

    failure: Exception | None = None
    _before: tuple[Any, ...] = ()  # what was there without `configure`

    def __init__(self, name: str, **options: Any) -> None:
        """Make the node; as a LifecycleNode of rclpy."""
        super().__init__(name, **options)
        self._kept: list[Closable] = []

    def create_timer(self, timer_period_sec: float, callback: Callable[..., Any], *where: Any, **options: Any) -> Timer:
        """Create a timer, as a node of rclpy does, whose callback does not come after the timer was destroyed.

        An executor may have had it in its queue when `_destroy_configured` took the graph's entities from it.
        """
        timer: Timer | None = None

        def due() -> None:
            if any(timer is one for one in self.timers):
                callback()

        timer = super().create_timer(timer_period_sec, due, *where, **options)
        return timer

    def configure(self) -> None:
        """Create what the node needs; nothing may move yet."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Cease to act; a stop torque first where torque was applied."""

    def cleanup(self) -> None:
        """Undo what `configure` did besides `keep`, timers and entities of the graph: these go by themselves."""

    def keep(self, closable: Kept) -> Kept:
        """Close something when what `configure` did is undone, or at the latest by `release`."""
        self._kept.append(closable)
        return closable

    def release(self) -> None:
        """Close what is kept, the newest first. For a node that ends without a cleanup."""
        while self._kept:
            self._kept.pop().close()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        self._before = self._entities()
        result = self._attempt(self.configure)
        if result is not TransitionCallbackReturn.SUCCESS:
            self._destroy_configured()
        return result

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
        result = self._attempt(self.cleanup)
        self._destroy_configured()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback: stop all motion, in any state of the node."""
        return self._attempt(self.deactivate)

    def _entities(self) -> tuple[Any, ...]:
        """Entities of the node in the graph, and its timers."""
        actions = (one for one in self.waitables if isinstance(one, ActionServer | ActionClient))
        return (*actions, *self.publishers, *self.subscriptions, *self.clients, *self.services, *self.timers)

    def _destroy_configured(self) -> None:
        """Take back what `configure` put into the graph: else the next one makes a node its own second publisher."""
        self.release()
        for entity in self._entities():
            if any(entity is one for one in self._before):
                continue
            if isinstance(entity, ActionServer | ActionClient):
                entity.destroy()
            else:  # only the method of its kind knows the entity
                _ = (
                    self.destroy_publisher(entity)
                    or self.destroy_subscription(entity)
                    or self.destroy_client(entity)
                    or self.destroy_service(entity)
                    or self.destroy_timer(entity)
                )

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
