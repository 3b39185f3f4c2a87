# SPDX-License-Identifier: Apache-2.0
"""Things known by name: tasks, methods, robots and what else is picked by a word in a command or a file."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, TypeVar

from safe_transfer_ros.configuration import ConfigurationError, nearest

Thing = TypeVar("Thing")


def load(entry: str) -> Any:
    """Load what "module:name" names, as an entry point does; for what is brought along only when it is used.

    Raises:
      ImportError: if there is no such module.
      AttributeError: if it has no such name.
    """
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


class UnknownNameError(ConfigurationError, KeyError):
    """Raised when a name is unknown. The message names the nearest known one, and all of them."""

    def __str__(self) -> str:
        """The message itself; a KeyError would put it in quotes."""
        return str(self.args[0])


class Registry(Mapping[str, Thing]):
    """A mapping from names to things of one kind, open to other packages by an entry point group.

    Another package adds a thing by an entry point in the group: its name is the thing's name, its value the thing. It
    is loaded when its name is asked for, or all names are; an entry point that cannot be loaded is
    told in a warning and does not take the others down. One whose module is being imported while it is asked for is
    loaded the next time.

    Example:
      >>> METHODS: Registry[int] = Registry("method")
      >>> METHODS.add("csc", 1)
      1
      >>> METHODS["cs"]
      Traceback (most recent call last):
      safe_transfer_ros.registry.UnknownNameError: unknown method 'cs': did you mean 'csc'? known: csc
    """

    def __init__(
        self, kind: str, *, group: str | None = None, check: Callable[[str, Thing], None] | None = None
    ) -> None:
        """Start with nothing known.

        Args:
          kind: What the things are, one word or two, for errors: "task".
          group: Entry point group through which other packages add things.
          check: Sees every name and thing before it is added; raises to refuse it.
        """
        self.kind, self.group = kind, group
        self._check = check
        self._things: dict[str, Thing] = {}
        self._broken: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._waiting: list[metadata.EntryPoint] | None = [] if group is None else None  # None: not looked for yet

    def add(self, name: str, thing: Thing) -> Thing:
        """Make a thing known; gives it back.

        Raises:
          ValueError: if the name is taken.
        """
        if name in self._things:
            raise ValueError(f"a {self.kind} named '{name}' is already registered ({self._things[name]!r})")
        if self._check is not None:
            self._check(name, thing)
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[Thing], Thing]:
        """Decorator of a class or function that makes it known; see `add`."""
        return lambda thing: self.add(name, thing)

    def names(self) -> tuple[str, ...]:
        """All names, those of other packages included, sorted."""
        self._load()
        return tuple(sorted(self._things))

    def module(self, name: str) -> str | None:
        """The module through which another package added a thing; None for one that came by `add`.

        Raises:
          UnknownNameError: if there is no such thing.
        """
        self[name]
        return self._modules.get(name)

    def __getitem__(self, name: str) -> Thing:
        """The thing of a name.

        Raises:
          UnknownNameError: if there is none.
        """
        if name in self:
            return self._things[name]
        if name in self._broken:
            raise UnknownNameError(f"the {self.kind} '{name}' cannot be loaded: {self._broken[name]}")
        self._load()  # for the names in the message
        known = ", ".join(sorted(self._things))
        hint = nearest(name, self._things)
        raise UnknownNameError(
            f"unknown {self.kind} '{name}': {hint}" + (f" known: {known}" if hint.startswith("did") else "")
        )

    def __contains__(self, name: object) -> bool:
        if name not in self._things:
            self._load(only=name)  # a process beside the motors has no use for every package's things
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(tuple(self._things))

    def __len__(self) -> int:
        self._load()
        return len(self._things)

    def _load(self, *, only: object = None) -> None:
        """Load the entries of other packages, once: all of them, or those of one name."""
        entries = list(metadata.entry_points(group=str(self.group))) if self._waiting is None else self._waiting
        later = [entry for entry in entries if only not in (None, entry.name) or _being_imported(entry.module)]
        self._waiting = later  # before: what is loaded may ask this registry
        for entry in (entry for entry in entries if entry not in later):
            try:
                thing = entry.load()
                if self._things.get(entry.name) is not thing:  # its module may have registered it itself
                    self.add(entry.name, thing)
                self._modules[entry.name] = entry.module
            except Exception as error:  # whatever somebody else's module raises when it is imported
                why = f"entry point '{entry.name} = {entry.value}' of {self.group}: {type(error).__name__}: {error}"
                self._broken[entry.name] = why
                warnings.warn(f"the {self.kind} '{entry.name}' is left out: {why}", RuntimeWarning, stacklevel=3)


def _being_imported(module: str) -> bool:
    """Whether an import of the module, or of a package it is in, has begun and not ended."""
    parts = module.split(".")
    specs = (
        getattr(sys.modules.get(".".join(parts[:length])), "__spec__", None) for length in range(1, len(parts) + 1)
    )
    return any(getattr(spec, "_initializing", False) for spec in specs)  # importlib's own mark
