# SPDX-License-Identifier: Apache-2.0
"""The benefit rule: a torque limit that rises only while it pays, and what it remembers from iteration to iteration.

Its memory can be written down as text, from which a later session goes on to the last bit.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_LARGEST = 1e100  # of a return: squares of what is larger overflow, and a variance without bound hides every fall


class Benefit:
    """Raises the limit only while it pays: holds, then steps back, once returns have fallen below the best seen.

    Returns are smoothed over the last `window` iterations. While their mean is not significantly below the best
    window so far, the limit may rise. Once it is, the limit goes back to the mean limit of that best window and
    stays for `patience` iterations; each time it happens again the patience doubles. Assumes that learning at a
    given limit does not by itself make returns fall; where it does, the limit is lower than it need be, which
    costs return and not safety: this rule can only lower the limit that the bound allows.

    The patience doubles without end, on purpose: every try costs the return that fell, so a run of n iterations
    makes about log2(n / 10) of them, six in a thousand. From the seventh on it will hardly be seen to try again.
    """

    def __init__(self, memory: str = "", *, window: int = 5, patience: int = 10, z: float = 2.0) -> None:
        """Start without history, or where another left off.

        Args:
          memory: `memory` of the one it goes on for; empty: no history.
          window: Iterations that are smoothed over.
          patience: Iterations that the first step back lasts.
          z: Standard errors that a fall must be larger than.

        Raises:
          ValueError: if the memory is not what such a rule wrote.
        """
        self._window, self._patience, self._z = window, patience, z
        self._recent: deque[tuple[float, Array]] = deque(maxlen=window)
        self._best: tuple[float, float, float] | None = None  # mean return, its variance, limit
        self._cap = math.inf
        self._left = 0
        self._unknown = False
        if memory:
            self._recall(memory)

    def cap(self, torque_limit: float, returns: Array) -> float:
        """Highest limit that is wanted next, N·m; infinity: as high as is safe.

        Args:
          torque_limit: Limit in force, N·m.
          returns: Return of each episode under it, shape (episodes,). Where there is none, or one is not finite, it
            is not known whether the limit pays: it does not rise, and nothing is remembered.
        """
        values = np.asarray(returns, dtype=np.float64)
        self._unknown = not (values.size and (np.abs(values) < _LARGEST).all())
        if self._unknown:
            return min(self._cap, torque_limit)
        self._recent.append((torque_limit, values))
        if self._left > 0:
            self._left -= 1
            self._remember()
            return self._cap
        self._cap = math.inf
        if len(self._recent) == self._window:
            mean, variance, _ = now = self._summary()
            if self._best is None or mean >= self._best[0]:
                self._best = now
            elif not self._best[0] - mean <= self._z * math.sqrt(variance + self._best[1]):  # a NaN is a fall too
                self._cap, self._left = self._best[2], self._patience
                self._patience *= 2
                self._best = None  # what is reached there from now on is what later raises are held against
                self._recent.clear()
        return self._cap

    @property
    def why(self) -> str:
        """Reason why the limit that comes next is not as high as is safe; empty where it may be."""
        if self._unknown:
            return "not raised: the returns of the newest iteration are not known"
        if math.isinf(self._cap):
            return ""
        count = f"{self._left + 1} more iterations" if self._left else "one more iteration"
        return f"held at {self._cap:.3g} N·m at most, for {count}: returns fell when it was higher"

    @property
    def memory(self) -> str:
        """All that `cap` depends on, as text that gives it back to the last bit; empty: no history."""
        if not self._recent and self._best is None and math.isinf(self._cap):
            return ""
        state = {
            "cap": None if math.isinf(self._cap) else self._cap,
            "left": self._left,
            "patience": self._patience,
            "best": self._best,
            "recent": [[limit, values.tolist()] for limit, values in self._recent],
        }
        return json.dumps(state, separators=(",", ":"), allow_nan=False)

    def _recall(self, memory: str) -> None:
        try:
            state = json.loads(memory)
            cap, left, patience, best, recent = (state[n] for n in ("cap", "left", "patience", "best", "recent"))
            self._cap = math.inf if cap is None else _number(cap, least=0.0)
            self._left, self._patience = _count(left, 0), _count(patience, 1)
            if best is not None:
                mean, variance, limit = best
                self._best = (_number(mean), _number(variance, least=0.0), _number(limit, least=0.0))
            if len(recent) > self._window or (self._left and cap is None):
                raise ValueError("more iterations than the window, or a hold at no limit")
            for limit, values in recent:
                array = np.array([_number(value) for value in values], dtype=np.float64)
                if not len(array):
                    raise ValueError("an iteration without returns")
                self._recent.append((_number(limit, least=0.0), array))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"expected what a benefit rule remembered, as a resumed run's configuration has it, got "
                f"{memory[:60]!r} ({error}); leave it empty to start without"
            ) from None

    def _remember(self) -> None:
        if len(self._recent) == self._window:
            now = self._summary()
            if self._best is None or now[0] >= self._best[0]:
                self._best = now

    def _summary(self) -> tuple[float, float, float]:
        returns = np.concatenate([values for _, values in self._recent])
        limit = float(np.mean([torque_limit for torque_limit, _ in self._recent]))
        return float(returns.mean()), float(returns.var(ddof=1) / len(returns)), limit


def _number(value: Any, least: float = -_LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _LARGEST:
        raise ValueError(f"{value!r} is not a number from {least:g} to {_LARGEST:g}")
    return float(value)


def _count(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{value!r} is not a whole number from {least} on")
    return value
