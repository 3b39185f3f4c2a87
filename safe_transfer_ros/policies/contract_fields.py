# SPDX-License-Identifier: Apache-2.0
"""Reader of a contract's fields: each is taken once, checked, and what is left over is refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.untrusted import printable

MOST_VALUES = 4096
"""Numbers, or names, of one field: a policy's observation has far fewer."""

Numbers = tuple[float, ...]
"""One number for all elements, or one for each."""


class ContractError(WeightsError):
    """Raised when a contract is not valid, or does not fit its policy or its task. The message says how to fix it."""


class Fields:
    """Fields of one mapping of a contract.

    Attributes:
      where: Place in the contract, for error messages.
    """

    def __init__(self, content: Any, where: str) -> None:
        """Begin with nothing taken.

        Raises:
          ContractError: if it is not a mapping of names.
        """
        self.where = where
        if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
            raise ContractError(f"{where}: expected a mapping of names to values, got {_kind(content)}")
        self._left = dict(content)
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether a field is given."""
        self._asked.add(name)
        return name in self._left

    def take(self, name: str) -> Any:
        """Value of a field.

        Raises:
          ContractError: if it is missing.
        """
        if not self.has(name):
            raise ContractError(f"{self.where}: '{name}' is missing: add it")
        return self._left.pop(name)

    def end(self) -> None:
        """Refuse what was not taken.

        Raises:
          ContractError: naming the first field left over, and the nearest known one.
        """
        for name in self._left:
            known = nearest(name, self._asked)
            raise ContractError(f"{self.where}: unknown field '{printable(name)[:40]}'; {known}")

    def text(self, name: str, default: str | None = None) -> str:
        """A text; the default where it is missing, unless that is None."""
        if default is not None and not self.has(name):
            return default
        value = self.take(name)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise ContractError(f"{self.where}: expected {name} as a text, got {_kind(value)}")
        return value

    def choice(self, name: str, known: Iterable[str], default: str | None = None) -> str:
        """One of several words; the default where it is missing, unless that is None."""
        value, known = self.text(name, default), sorted(known)
        if value not in known:
            hint = nearest(printable(value)[:40], known)
            raise ContractError(
                f"{self.where}: expected {name} as one of {', '.join(known)}, got '{printable(value)[:40]}'; {hint}"
            )
        return value

    def number(self, name: str, *, above: float = -math.inf, at_most: float = math.inf) -> float:
        """A finite number in (above, at_most]."""
        value = self._finite(name, self.take(name))
        if not above < value <= at_most:
            raise ContractError(f"{self.where}: expected {name} above {above:g} and at most {at_most:g}, got {value:g}")
        return value

    def whole(self, name: str, *, at_most: int) -> int:
        """A whole number in [1, at_most]."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= at_most:
            raise ContractError(
                f"{self.where}: expected {name} as a whole number from 1 to {at_most}, got {_kind(value)}"
            )
        return value

    def numbers(self, name: str, default: float | None = None) -> Numbers:
        """One finite number, or a list of them; the default where it is missing, unless that is None."""
        if default is not None and not self.has(name):
            return (default,)
        value = self.take(name)
        if not isinstance(value, list):
            return (self._finite(name, value),)
        if not 0 < len(value) <= MOST_VALUES:
            raise ContractError(f"{self.where}: expected 1 to {MOST_VALUES} numbers in {name}, got {len(value)}")
        return tuple(self._finite(f"{name}[{index}]", element) for index, element in enumerate(value))

    def positive(self, name: str, default: float | None = None) -> Numbers:
        """Numbers above 0; see `numbers`."""
        values = self.numbers(name, default)
        if min(values) <= 0.0:
            raise ContractError(f"{self.where}: expected {name} above 0, got {min(values):g}")
        return values

    def range(self, name: str) -> tuple[float, float] | None:
        """Bounds, as [lowest, highest] or as one number b > 0 for [-b, b]; None where the field is missing."""
        if not self.has(name):
            return None
        values = self.numbers(name)
        low, high = values if len(values) == 2 else (-values[0], values[0])
        if len(values) > 2 or not low < high:
            raise ContractError(
                f"{self.where}: expected {name} as [lowest, highest] or as one number above 0, got {list(values)}"
            )
        return low, high

    def names(self, name: str) -> tuple[str, ...] | None:
        """Different names; None where the field is missing."""
        if not self.has(name):
            return None
        value = self.take(name)
        if (
            not isinstance(value, list)
            or not 0 < len(value) <= MOST_VALUES
            or not all(isinstance(element, str) for element in value)
        ):
            raise ContractError(f"{self.where}: expected {name} as a list of names, got {_kind(value)}")
        if len(set(value)) != len(value):
            raise ContractError(f"{self.where}: expected each of {name} once, got {printable(value)[:200]}")
        return tuple(value)

    def _finite(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "; YAML reads 1e-3 as text: write 1.0e-3" if isinstance(value, str) else ""
            raise ContractError(f"{self.where}: expected {name} as a number, got {_kind(value)}{hint}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ContractError(f"{self.where}: expected {name} as a finite number, got {_kind(value)}")
        return number


def _kind(value: Any) -> str:
    """A value as an error message shows it."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping | list):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    return f"'{printable(value)[:40]}'"
