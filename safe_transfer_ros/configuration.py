# SPDX-License-Identifier: Apache-2.0
"""Settings as checked dataclasses.

One field is one setting: its type, default, allowed range and one-line description stand together, and every reader of
the setting (ROS parameters, launch arguments, `--help`, the YAML a person edits) takes them from here.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import inspect
import math
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

Settings = TypeVar("Settings")

OFF: Final = "off"
Lease = float | Literal["off"]
"""Seconds of silence that a protection bears, or the word that switches it off: a number never does."""


class ConfigurationError(ValueError):
    """Raised when a setting is unknown, missing, of the wrong type or out of range. The message says how to fix it."""


def setting(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Declare one field of a settings dataclass.

    Args:
      default: Default value; its type must be the field's.
      description: One line in plain words, units included.
      minimum: Smallest allowed value, for numbers.
      maximum: Largest allowed value, for numbers.
      choices: Allowed values, for strings.
      live: The running node takes some changes of it; every other setting is fixed from the start.
    """
    metadata = {"description": description, "minimum": minimum, "maximum": maximum, "choices": choices, "live": live}
    return dataclasses.field(default=default, metadata=metadata)


_TWO_LIMITS = (
    "it is now initial_torque_limit (of the first iteration) and torque_limit_floor (the lowest, at most d_safe)"
)
RENAMED: Final = MappingProxyType(
    {
        "torque_limit_min": _TWO_LIMITS,
        "t_min": _TWO_LIMITS,
        "allow_unsafe_minimum": "it is now allow_unsafe_start, for an initial_torque_limit above d_safe",
        "mode": "it is now timing (lockstep or realtime); a mode is the filter's",
        "limit": "it is now limit_rule (adaptive or fixed)",
    }
)
"""Names that parameters and launch arguments had in earlier versions, and what to write instead."""


def setting_of(
    rules: type,
    name: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Declare a field whose default and meaning are those of a field of a rule's own settings.

    Args:
      rules: Settings dataclass of the rules; its docstring tells each field under "Attributes:".
      name: Field of it; a name that ends in _s is a time in seconds.
      minimum: Smallest value that may be configured, for numbers; what the rules refuse is theirs.
      maximum: Largest value that may be configured, for numbers.
      choices: Values that may be configured, for strings.
      live: See `setting`.

    Raises:
      KeyError: the rules have no such field, or do not say what it means.
    """
    default = {field.name: field.default for field in dataclasses.fields(rules)}[name]
    # A parameter is named without the _s of the rules: its text has the unit.
    meaning = re.sub(r"\b(\w+)_s\b", r"\1", attributes(rules)[name].rstrip("."))
    text = f"{meaning}, s" if name.endswith("_s") else meaning
    return setting(default, text, minimum=minimum, maximum=maximum, choices=choices, live=live)


def attributes(documented: type) -> dict[str, str]:
    """Attribute -> meaning, as one line, from the "Attributes:" of a class's docstring.

    Where Python was told to drop docstrings (-OO), every meaning is empty.
    """
    if sys.flags.optimize > 1:
        return collections.defaultdict(str)
    section = inspect.cleandoc(documented.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint appended to an "unknown name" error: its new name, the nearest known name, or all of them."""
    if name in RENAMED:
        return RENAMED[name]
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def field_types(settings_type: type) -> dict[str, Any]:
    """Name -> type of every field of a settings dataclass."""
    hints = typing.get_type_hints(settings_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings_type)}


def seconds(lease: Lease) -> float:
    """Seconds of a lease, as the rules take it; 0: switched off."""
    return 0.0 if lease == OFF else float(lease)


def parse(text: Any, kind: Any, name: str) -> Any:
    """Read one value as a person types it (`key:=value`) or as YAML gives it.

    Raises:
      ConfigurationError: if the value cannot be read as `kind`.
    """
    if kind is bool:
        if isinstance(text, bool):
            return text
        lowered = str(text).strip().lower()
        if lowered in ("true", "1", "yes", "on"):
            return True
        if lowered in ("false", "0", "no", "off"):
            return False
        raise ConfigurationError(f"{name} must be true or false, got '{text}'")
    if kind == Lease:
        return _lease(text, name)
    if isinstance(text, bool):
        raise ConfigurationError(f"{name} must be {_KIND_NAMES[kind]}, got {str(text).lower()}")
    try:
        if kind is int and isinstance(text, float) and not text.is_integer():
            raise ValueError
        value = kind(text)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} must be {_KIND_NAMES[kind]}, got '{text}'") from None
    if kind is float and math.isnan(value):
        raise ConfigurationError(f"{name} must be a number, got NaN")
    return value


def _lease(text: Any, name: str) -> Lease:
    if text is False or str(text).strip().lower() == OFF:  # YAML and ROS read a bare `off` as false
        return OFF
    value = float(parse(text, float, name))
    if value == 0.0:
        raise ConfigurationError(f"{name} is a time in seconds, > 0; to switch it off, write off instead of 0")
    return value


def numbers(text: str, name: str, count: int | None = None) -> tuple[float, ...]:
    """Finite numbers of a setting that is a list, separated by commas.

    Args:
      text: As a person writes it.
      name: Of the setting.
      count: How many there must be; None: any number of them.

    Raises:
      ConfigurationError: if it is no such list.
    """
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or (count is not None and len(values) != count) or not all(map(math.isfinite, values)):
        raise ConfigurationError(f"{name} must be {count or 'finite'} numbers separated by commas, got '{text}'")
    return values


_KIND_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def build(settings_type: type[Settings], values: Mapping[str, Any], *, where: str) -> Settings:
    """Build a settings dataclass from a mapping, checking every value.

    Args:
      settings_type: A dataclass whose fields were declared with `setting`.
      values: Name -> value; names left out take their defaults.
      where: Where the values come from, for the error text ("safety_filter", "config/x.yaml").

    Raises:
      ConfigurationError: unknown name (names the nearest known one), wrong type, out of range, or a rule between
        several values broken (the dataclass's own `__post_init__`).
    """
    kinds = field_types(settings_type)
    for name in values:
        if name not in kinds:
            raise ConfigurationError(f"{where}: unknown parameter '{name}'; {nearest(name, kinds)}")
    parsed: dict[str, Any] = {}
    for field in dataclasses.fields(settings_type):  # type: ignore[arg-type]
        if field.name not in values:
            continue
        label = f"{where}: {field.name}"
        value = parse(values[field.name], kinds[field.name], label)
        _check_range(label, value, field.metadata)
        parsed[field.name] = value
    try:
        return settings_type(**parsed)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _check_range(label: str, value: Any, metadata: Mapping[str, Any]) -> None:
    choices = metadata.get("choices") or ()
    if choices and value not in choices:
        raise ConfigurationError(f"{label} must be one of {', '.join(choices)}, got '{value}'")
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    if value == OFF:
        return
    if minimum is not None and value < minimum:
        raise ConfigurationError(f"{label} must be at least {minimum:g}, got {value:g}")
    if maximum is not None and value > maximum:
        raise ConfigurationError(f"{label} must be at most {maximum:g}, got {value:g}")
