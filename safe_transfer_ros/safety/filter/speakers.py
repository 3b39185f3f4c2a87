# SPDX-License-Identifier: Apache-2.0
"""Check that only one of several publishers on a topic speaks of our joints, by the numbers of their messages."""

from __future__ import annotations

from dataclasses import dataclass

WATCHED_S = 1.0  # how long each must have been heard before they are told apart


@dataclass(kw_only=True, slots=True)
class _Speaker:
    sequence: int
    ours: bool


class Speakers:
    """Tracker of a topic's publishers; each numbers its messages, and a message does not name its sender.

    One that speaks of our joints has numbers that rise; where a second one does, they cross. Begins anew whenever
    that is seen, so what was seen stands for WATCHED_S at least.

    Attributes:
      mixed: Whether two were heard to speak of our joints, in this watch.
    """

    def __init__(self, count: int, now_ns: int) -> None:
        """Begin a watch.

        Args:
          count: Publishers that are there.
          now_ns: Steady time.
        """
        self._count = count
        self.mixed = False
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._speakers: list[_Speaker] = []

    def hear(self, sequence: int, ours: bool, now_ns: int) -> None:
        """Process one message.

        Args:
          sequence: Its number among those of its publisher.
          ours: Whether it names a joint of ours.
          now_ns: Steady time.
        """
        speaker = self._continued(sequence, ours)
        if speaker is None and len(self._speakers) < self._count:
            speaker = _Speaker(sequence=sequence, ours=False)
            self._speakers.append(speaker)
        if speaker is not None:
            speaker.sequence = sequence
            speaker.ours |= ours
        if speaker is None or sum(one.ours for one in self._speakers) > 1:
            self._begin(now_ns)
            self.mixed = True

    def told_apart(self, now_ns: int) -> bool:
        """Whether each publisher was observed for long enough, and at most one published our joints."""
        watched = now_ns - self._since_ns >= WATCHED_S * 1e9
        if watched and len(self._speakers) >= self._count:
            self.mixed = False
            return True
        return False

    def _continued(self, sequence: int, ours: bool) -> _Speaker | None:
        """Possible sender: a publisher of the same joints, whose number it follows or, after a loss, is above."""
        alike = [one for one in self._speakers if one.ours == ours and one.sequence < sequence]
        nearest = max(alike, key=lambda one: one.sequence, default=None)
        if nearest is not None and (nearest.sequence == sequence - 1 or len(self._speakers) >= self._count):
            return nearest
        return None
