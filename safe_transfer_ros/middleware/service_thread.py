# SPDX-License-Identifier: Apache-2.0
"""Services whose answers take long, in a thread of their own.

EventsExecutor of rclpy 7.1 cannot wait inside a service callback, and while one runs nothing else does. So they get a
second node with an ordinary executor. A few requests are served at once, as one may be sent again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node


class Order:
    """A request that another thread carries out, and the answer that its service waits for.

    Attributes:
      refusal: Why it was not carried out; None where it was, and before it is done.
      done: Set with the answer.
    """

    def __init__(self) -> None:
        """Start unanswered."""
        self.refusal: str | None = None
        self.done = threading.Event()
        self._answering = threading.Lock()

    def answer(self, refusal: str | None) -> bool:
        """Answer it, unless it has been answered; whether this is the answer that was given."""
        with self._answering:
            if self.done.is_set():
                return False
            self.refusal = refusal
            self.done.set()
            return True


class ServiceThread:
    """Serves what `handlers` names; a handler may block, and must end by itself when the process does."""

    def __init__(self, owner: Node, handlers: Mapping[str, tuple[type, Callable[[Any, Any], Any]]]) -> None:
        """Start serving.

        Args:
          owner: The services' names are relative to its namespace.
          handlers: Service name -> type and callback(request, response).
        """
        self._node = Node(f"{owner.get_name()}_services", namespace=owner.get_namespace(), use_global_arguments=False)
        group = ReentrantCallbackGroup()
        for name, (kind, handler) in handlers.items():
            self._node.create_service(kind, name, handler, callback_group=group)
        self._executor = MultiThreadedExecutor(num_threads=8)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def close(self) -> None:
        """Stop serving."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=1.0)
        self._node.destroy_node()
