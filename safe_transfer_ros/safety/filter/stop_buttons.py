# SPDX-License-Identifier: Apache-2.0
"""Stop buttons that share one topic: motion is forbidden as long as any of them is pressed, silent or not yet heard."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BUTTONS = 32  # more publishers of one topic are a defect or an attack: nothing may move then


@dataclass(kw_only=True, slots=True)
class _Button:
    """Last message of one publisher."""

    sequence: int
    pressed: bool
    heard_ns: int
    spoke: bool = True  # since a publisher went
    came: bool  # after a publisher went


class StopButtons:
    """Whether an external stop forbids motion, each of its publishers counted by itself.

    A message does not say who sent it. What tells publishers apart is that each numbers its messages: a message
    continues the button whose last number it follows. Where that leaves a choice, the one is made that forbids more:
    "released" is taken to come from a button that was not pressed, "pressed" too. So a button that is pressed is
    released by its own word, or by that of one that came in its place. (Should messages of several buttons be lost on
    the way, as a best-effort publisher's may be, a number alone can tell less.)

    With a lease each must be heard again and again: a cable that came off, a process that died, and a button that is
    pressed look the same from here, and are treated the same. Without one, only a press counts, and a publisher that is
    there must have said once how it stands.
    """

    def __init__(self, lease_s: float = 0.0) -> None:
        """Start before the first message.

        Args:
          lease_s: Longest silence allowed of each, s; 0 when no button is required.

        Raises:
          ValueError: if the lease is negative or not finite.
        """
        if not 0.0 <= lease_s < float("inf"):
            raise ValueError(f"lease_s must be finite and >= 0, got {lease_s}")
        self._lease_s = lease_s
        self._lease_ns = round(lease_s * 1e9)
        self._buttons: list[_Button] = []
        self._present: frozenset[object] = frozenset()
        self._unheard = 0  # publishers that are there and have not said anything

    @property
    def pressed(self) -> bool:
        """Whether any is."""
        return any(button.pressed for button in self._buttons)

    def see(self, publishers: frozenset[object]) -> None:
        """Process the current publishers of the topic, by identity."""
        came, gone = publishers - self._present, self._present - publishers
        self._present = publishers
        self._unheard = min(self._unheard + len(came), len(publishers))
        if gone:
            for button in self._buttons:
                button.spoke = button.came = False
            self._forget_gone()

    def hear(self, sequence: int, pressed: bool, now_ns: int) -> None:
        """Process one message, each once, in the order of its publisher.

        Args:
          sequence: Its number among those of its publisher.
          pressed: What it says.
          now_ns: Steady time of receipt.
        """
        button = self._continued(sequence)
        if button is None and self._overtaken(sequence):
            self._buttons[0].pressed |= pressed
        elif button is None:
            came = len(self._buttons) >= len(self._present)
            self._buttons.append(_Button(sequence=sequence, pressed=pressed, heard_ns=now_ns, came=came))
            self._unheard = max(0, self._unheard - 1)
            del self._buttons[MAX_BUTTONS + 1 :]
        else:
            # One who has not spoken yet may have said it, or, after a loss, another: then it releases nobody.
            doubtful = self._unheard > 0 or (sequence != button.sequence + 1 and len(self._present) > 1)
            button.pressed = pressed or (button.pressed and doubtful)
            button.sequence, button.heard_ns, button.spoke = sequence, now_ns, True
        if len(self._present) == 1:
            self._unheard = 0
        self._forget_gone()

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move at steady time `now_ns`; None when it may."""
        if self.pressed:
            return "the external stop is pressed"
        if len(self._buttons) > MAX_BUTTONS:
            return f"the external stop has more than {MAX_BUTTONS} publishers"
        if not self._lease_ns:
            return None
        if not self._buttons:
            return f"the external stop has not been heard (wanted at least every {self._lease_s:g} s)"
        # A clock that went back tells no age: that is silence too.
        if not all(0 <= now_ns - button.heard_ns <= self._lease_ns for button in self._buttons):
            return f"the external stop is silent (wanted at least every {self._lease_s:g} s)"
        return None

    def unheard(self) -> str | None:
        """Reason why the filter must not be armed though nothing is known to be pressed; None when all were heard."""
        if not self._unheard:
            return None
        there = len(self._present)
        return f"{self._unheard} of {there} publishers of the external stop have not said whether it is pressed"

    def _continued(self, sequence: int) -> _Button | None:
        """Possible sender of a message of that number, preferably one that is not pressed."""
        exact = [button for button in self._buttons if button.sequence == sequence - 1]
        if exact:
            # Of those alike, one that spoke since somebody went: the one who went does not come back to speak.
            return min(exact, key=lambda button: (button.pressed, not button.spoke))
        if self._unheard:
            return None
        # Messages were lost on the way: the button whose number is nearest.
        before = [button for button in self._buttons if button.sequence < sequence]
        return min(before, key=lambda button: (button.pressed, not button.spoke, -button.sequence), default=None)

    def _overtaken(self, sequence: int) -> bool:
        """Whether a message of the only button comes after newer ones, as when this process stood still and has it by
        another way: it is no second button, which would be silent for ever.
        """
        alone = len(self._present) == len(self._buttons) == 1 and not self._unheard
        return alone and sequence <= self._buttons[0].sequence

    def _forget_gone(self) -> None:
        """Drop those whose publishers have gone, once it is known which: the others have all spoken since.

        One that was pressed, or whose silence counts, stands until one that came in its place is heard: a button's
        process that died does not count as a released button.
        """
        silent = [button for button in self._buttons if not button.spoke]
        surplus = len(self._buttons) - len(self._present)
        if surplus <= 0 or len(silent) != surplus:
            return
        replaced = any(button.came and not button.pressed for button in self._buttons)
        for button in silent:
            if replaced or not (button.pressed or self._lease_ns):
                self._buttons.remove(button)
