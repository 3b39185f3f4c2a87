# SPDX-License-Identifier: Apache-2.0
"""An operator's orders to activate and deactivate the arm's controller, carried out by another thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware.service_thread import Order, ServiceThread


class OperatorOrders:
    """Orders that wait: the newest activation, and every deactivation, so that none is lost behind an activation."""

    def __init__(self, node: Node, service: str, timeout_s: float, why: Callable[[], str]) -> None:
        """Serve from now on.

        Args:
          node: That carries the orders out.
          service: Name of the SetBool service, relative to the node's namespace.
          timeout_s: Longest wait for an answer, s; an order that is not carried out by then never is.
          why: Gives the reason why nothing has happened yet.
        """
        self._timeout_s, self._why = timeout_s, why
        self._activation: Order | None = None
        self._deactivations: deque[Order] = deque()
        self._services = ServiceThread(node, {service: (SetBool, self._on_request)})

    @property
    def to_deactivate(self) -> bool:
        """Whether a deactivation is asked for."""
        return bool(self._deactivations)

    def deactivated(self) -> None:
        """The controller is inactive: every deactivation is done."""
        while self._deactivations:
            self._deactivations.popleft().answer(None)

    def take_activation(self) -> Order | None:
        """The newest order to activate, which waits no longer; None where there is none."""
        order, self._activation = self._activation, None
        return order

    def answer_activation(self, refusal: str | None) -> None:
        """Answer an activation that waits, if one does; None: it is done."""
        order = self.take_activation()
        if order is not None:
            order.answer(refusal)

    def close(self) -> None:
        """Serve no more; who still waits is told so."""
        for order in (self.take_activation(), *self._deactivations):
            if order is not None:
                order.answer("the supervisor is ending")
        self._services.close()

    def _on_request(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """In the services' thread: hand the order over and wait for what became of it."""
        order = Order()
        if not request.data:
            self._deactivations.append(order)
        elif self._deactivations:
            order.answer("a deactivation is under way")
        else:
            self._activation = order
        if not order.done.wait(self._timeout_s):
            order.answer(f"not done within {self._timeout_s:g} s: {self._why()}")  # and never will be
        response.success, response.message = order.refusal is None, order.refusal or ""
        return response
