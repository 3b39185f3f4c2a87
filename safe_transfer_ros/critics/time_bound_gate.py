# SPDX-License-Identifier: Apache-2.0
"""A safety critic that may not keep the filter waiting.

The critic runs in a thread of its own; the filter waits for its answer for so long and no longer. A critic that is late
is taken as one that failed (promise 5), and until it has come back every further proposal is refused at once.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.critic.gate import Answer, Gate
from safe_transfer_ros.safety.filter.proposal import Proposal

Array = npt.NDArray[np.float64]


class TimeBoundGate:
    """A Gate that answers within a time or raises."""

    def __init__(self, gate: Gate, timeout_s: float) -> None:
        """Start the thread.

        Args:
          gate: The critic; called from one thread only.
          timeout_s: Longest wait for an answer, s.
        """
        self._gate = gate
        self._timeout_s = timeout_s
        self._asked = 0
        self._answered = 0
        self._questions: SimpleQueue[tuple[int, Array, Proposal, float]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Answer | Exception]] = SimpleQueue()
        threading.Thread(target=self._work, name="critic", daemon=True).start()

    def judge(self, observation: Array, proposal: Proposal, torque_limit: float) -> Answer:
        """The critic's answer; see Gate.

        Raises:
          TimeoutError: it did not answer in time, or is still busy with an earlier question.
          Exception: whatever the critic raised.
        """
        deadline = time.monotonic() + self._timeout_s
        self._collect(0.0)
        if self._answered < self._asked:
            raise TimeoutError("the critic is still busy with an earlier proposal")
        self._asked += 1
        self._questions.put((self._asked, observation, proposal, torque_limit))
        answer = self._collect(deadline - time.monotonic())
        if answer is None:
            raise TimeoutError(f"the critic did not answer within {self._timeout_s:g} s")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _collect(self, seconds: float) -> Answer | Exception | None:
        """The answer to the newest question, if it comes in time. At most one question is ever open."""
        try:
            self._answered, answer = self._answers.get(timeout=seconds) if seconds > 0.0 else self._answers.get_nowait()
        except Empty:
            return None
        return answer

    def _work(self) -> None:
        while True:
            number, observation, proposal, torque_limit = self._questions.get()
            try:
                self._answers.put((number, self._gate.judge(observation, proposal, torque_limit)))
            except Exception as error:
                self._answers.put((number, error))
