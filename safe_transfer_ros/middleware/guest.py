# SPDX-License-Identifier: Apache-2.0
"""A node of somebody who looks on: it has no parameters, logs nowhere, and runs on its caller's thread."""

from __future__ import annotations

import os

import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidNamespaceException
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from safe_transfer_ros.middleware import dds

_QUIET = ["--ros-args", "--disable-external-lib-logs", "--disable-stdout-logs", "--disable-rosout-logs"]


class Guest:
    """A node in one ROS domain, until it is closed.

    Attributes:
      node: The node.
    """

    def __init__(self, name: str, *, domain: int, namespace: str = "") -> None:
        """Join the graph.

        Args:
          name: What the node is called, before the number of its process.
          domain: ROS domain.
          namespace: The graph's namespace; empty: the root.

        Raises:
          ValueError: if the namespace is not a ROS name.
          OSError: if other machines reach this process, which nobody has asked for.
        """
        self._context = Context()
        dds.set_defaults()
        rclpy.init(args=_QUIET, context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        try:
            self.node = Node(
                f"{name}_{os.getpid()}",
                context=self._context,
                namespace=namespace,
                enable_rosout=False,
                start_parameter_services=False,
            )
        except InvalidNamespaceException as error:
            rclpy.shutdown(context=self._context)
            raise ValueError(f"no ROS namespace: '{namespace}' (letters, digits, _ and /)") from error
        reach = dds.unintended_reach()
        if reach:
            self.node.destroy_node()
            rclpy.shutdown(context=self._context)
            raise ConnectionRefusedError(reach)
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._never = Future(executor=self._executor)

    def spin(self, seconds: float) -> None:
        """Process messages for `seconds`."""
        # Never without a timeout, and on a future that never comes: see middleware/process.py.
        self._executor.spin_until_future_complete(self._never, timeout_sec=seconds)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)
