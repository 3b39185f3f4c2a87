# SPDX-License-Identifier: Apache-2.0
"""Joints are matched by name, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class JointOrderError(ValueError):
    """Joint names that cannot be matched; the text names the joints at fault."""


class OtherJointsError(JointOrderError):
    """Joint names of which none is ours: a gripper's, or another arm's."""


class JointOrder:
    """Maps a message's joint order to ours.

    Messages of one publisher repeat the same names thousands of times a second, so the last few answers are
    kept.

    Attributes:
      names: The joints in our order.
    """

    _KEPT = 8  # a publisher that shuffles names must not grow our memory
    MAX_NAMES = 1024  # a whole humanoid has a tenth of them; more are refused before any is looked at

    def __init__(self, expected: Sequence[str], *, extra_allowed: bool = True) -> None:
        """Fix our order.

        Args:
          expected: Our joint names, in our order.
          extra_allowed: Whether a message may hold further joints, as a whole robot's joint states do.

        Raises:
          JointOrderError: if there is no name, or one is repeated.
        """
        self.names = tuple(expected)
        if not self.names:
            raise JointOrderError("expected at least one joint name, got none")
        repeated = _repeated(self.names)
        if repeated:
            raise JointOrderError(f"expected joint names are repeated: {', '.join(repeated)}")
        self._extra_allowed = extra_allowed
        self._known: dict[tuple[str, ...], npt.NDArray[np.intp]] = {}

    def indices(self, names: Sequence[str]) -> npt.NDArray[np.intp]:
        """Indices of our joints in a message: `values[order.indices(names)]` is in our order.

        Args:
          names: The message's joint names.

        Returns:
          Read-only positions, shape (n_joints,).

        Raises:
          OtherJointsError: if there are names, and none is of a joint of ours.
          JointOrderError: if there are more than MAX_NAMES names, a joint of ours is missing, any name is repeated,
            or there are further joints where none are allowed. It names a few joints at most, whatever came in.
        """
        if len(names) > self.MAX_NAMES:
            raise JointOrderError(f"{len(names)} joint names, expected at most {self.MAX_NAMES}")
        key = tuple(names)
        found = self._known.get(key)
        if found is None:
            found = self._match(key)
            if len(self._known) >= self._KEPT:
                self._known.clear()
            self._known[key] = found
        return found

    def _match(self, names: tuple[str, ...]) -> npt.NDArray[np.intp]:
        places = {name: place for place, name in enumerate(names)}
        faults = []
        missing = [name for name in self.names if name not in places]
        if missing:
            faults.append(f"missing {', '.join(missing)}")
        if len(places) < len(names):
            faults.append(f"repeated {_listed(_repeated(names))}")
        if not self._extra_allowed and len(places) > len(self.names) - len(missing):
            ours = frozenset(self.names)
            faults.append(f"not expected {_listed([name for name in names if name not in ours])}")
        if faults:
            kind = OtherJointsError if names and len(missing) == len(self.names) else JointOrderError
            raise kind(f"joint names do not fit: {'; '.join(faults)}; expected {', '.join(self.names)}")
        indices = np.array([places[name] for name in self.names], dtype=np.intp)
        indices.flags.writeable = False
        return indices


def _repeated(names: tuple[str, ...]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _listed(names: list[str]) -> str:
    """A few names, each cut to a few letters: they may come from a stranger."""
    shown = ", ".join(name[:64] for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
