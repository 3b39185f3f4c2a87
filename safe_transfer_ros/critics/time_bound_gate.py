# SPDX-License-Identifier: Apache-2.0
"""A safety critic that may not keep the filter waiting.

The critic runs in a thread of its own; the filter waits for its answer for so long and no longer. A critic that is late
is taken as one that failed (promise 5), and until it has come back every further proposal is refused at once.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.critic.gate import Gate
from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.reasons import Reason, Verdict

Array = npt.NDArray[np.float64]
Answer: TypeAlias = tuple[Array, float, Verdict, Reason]


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
        self._questions: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Answer | Exception]] = SimpleQueue()
        threading.Thread(target=self._work, name="critic", daemon=True).start()

    def judge(
        self,
        observation: Array,
        mean: Array,
        stddev: Array,
        sample: Array,
        torque_limit: float,
        distribution: Distribution = Distribution.GAUSSIAN,
        bound: Array | None = None,
    ) -> Answer:
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
        self._questions.put((self._asked, observation, mean, stddev, sample, torque_limit, distribution, bound))
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
            number, *question = self._questions.get()
            try:
                self._answers.put((number, self._gate.judge(*question)))
            except Exception as error:
                self._answers.put((number, error))
