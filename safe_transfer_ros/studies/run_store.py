# SPDX-License-Identifier: Apache-2.0
"""Runs of a study: each kept under the hash of its settings, and done as an item of work.

A study that was stopped goes on where it was, and what shares a run shares its numbers.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

import safe_transfer_ros
from safe_transfer_ros import resources
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.randomness import SCHEME

Array = NDArray[np.float64]
Columns = dict[str, list[float]]

ROOMS = (
    *("safety", "robots", "policies", "algorithms", "tasks"),
    *("bags", "record", "learning", "critics", "transfer", "studies"),
)
"""Rooms of this package that a study loads; the modules beside them count as well."""


class PlannedRun(Protocol):
    """Settings of a run: a frozen dataclass."""

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        ...

    @property
    def iterations(self) -> int:
        """Rows of its table."""
        ...


Run = TypeVar("Run", bound=PlannedRun)


@dataclass(frozen=True, kw_only=True)
class Curves(Generic[Run]):
    """A finished run.

    Attributes:
      run: Its settings.
      columns: Numbers by iteration, each of shape (iterations,); NaN where it was not found out.
      same_code: Whether it was made by the code as it is now.
    """

    run: Run
    columns: dict[str, Array]
    same_code: bool = True


class RunStore(Generic[Run]):
    """Finished runs in a folder: <key>.csv with the numbers, <key>.json with what made them."""

    def __init__(
        self,
        folder: Path,
        *,
        key: Callable[[Run], str],
        settings: Callable[[Run], dict[str, Any]],
        columns: Sequence[str],
        found_out: Sequence[str] = (),
        modules: Callable[[Run], Sequence[str]] = lambda run: (),
    ) -> None:
        """Name the runs.

        Args:
          folder: Created when something is stored.
          key: File name of a run; runs with other numbers have another.
          settings: What is written down of a run's settings.
          columns: Every run has them.
          found_out: Some runs have them.
          modules: Modules of other packages that decide a run's numbers.
        """
        self.folder = folder
        self._key, self._settings, self._columns, self._found_out = key, settings, columns, found_out
        self._modules = modules

    def load(self, run: Run) -> Curves[Run] | None:
        """A finished run, or None."""
        table, about = self._paths(run)
        try:
            with table.open(newline="") as file:
                rows = list(csv.DictReader(file))
            made = json.loads(about.read_text())
            columns = {name: np.array([float(row[name]) for row in rows]) for name in self._columns}
            for name in self._found_out:
                columns[name] = np.array([float(row.get(name, "nan")) for row in rows])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never finished, or damaged: it is computed again
        if len(rows) != run.iterations:
            return None
        same = made.get("code") == code_digest(*self._modules(run)) and not made.get("earlier_code")
        return Curves(run=run, columns=columns, same_code=same)

    def save(self, run: Run, columns: Columns, *, earlier: Sequence[str] = ()) -> Curves[Run]:
        """Keep a finished run, atomically.

        Args:
          run: Its settings.
          columns: Its numbers.
          earlier: Digests of other code that has done a part of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        table, about = self._paths(run)
        made = {"settings": self._settings(run), "code": code_digest(*self._modules(run)), "versions": versions()}
        if earlier:
            made["earlier_code"] = list(earlier)
        write_atomically(about, json.dumps(made, indent=1) + "\n")
        rows = [",".join(columns), *(",".join(map(repr, row)) for row in zip(*columns.values(), strict=True))]
        write_atomically(table, "\n".join(rows) + "\n")
        arrays = {name: np.array(values) for name, values in columns.items()}
        return Curves(run=run, columns=arrays, same_code=not earlier)

    def progress_file(self, run: Run) -> Path:
        """File in which a run reports its progress."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self._key(run)}.progress"

    def _paths(self, run: Run) -> tuple[Path, Path]:
        return self.folder / f"{self._key(run)}.csv", self.folder / f"{self._key(run)}.json"


@dataclass(frozen=True)
class WorkItem(Generic[Run]):
    """A run to be done, and the file that is to hold the number of iterations done."""

    compute: Callable[[Run, Path | None], Columns]
    run: Run
    progress: Path | None


def work(item: WorkItem[Run]) -> tuple[Columns, float]:
    """Do an item: its columns, and the seconds it took."""
    started = time.monotonic()
    return item.compute(item.run, item.progress), time.monotonic() - started


def differences(given: Any, default: Any) -> dict[str, Any]:
    """Settings that are not the defaults: a setting that is added later leaves the keys of earlier runs alone."""
    found: dict[str, Any] = {}
    for part in dataclasses.fields(given):
        value, usual = getattr(given, part.name), getattr(default, part.name)
        if dataclasses.is_dataclass(value):
            nested = differences(value, usual)
            if nested:
                found[part.name] = nested
        elif value != usual:
            found[part.name] = value
    return found


def hashed(*parts: Any) -> str:
    """Twenty digits of the hash of things that JSON can write, of the versions of what computes and of the streams."""
    return hashlib.sha256(json.dumps([*parts, versions(), SCHEME], sort_keys=True).encode()).hexdigest()[:20]


@lru_cache
def code_digest(*modules: str) -> str:
    """Hash of what decides a run's numbers: our code and arms, and the packages that modules of others are in."""
    package = Path(safe_transfer_ros.__file__).parent
    digest = hashlib.sha256()
    for file in (
        *sorted(package.glob("*.py")),
        *(file for room in ROOMS for file in sorted((package / room).rglob("*.py"))),
        *sorted(resources.path("urdf").glob("*.urdf")),
    ):
        digest.update(file.name.encode() + file.read_bytes())
    for top in sorted({module.partition(".")[0] for module in modules}):
        for file in _sources(top):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:20]


def _sources(package: str) -> list[Path]:
    """The source files of a package or module; none where it is not made of files."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return sorted(file for folder in spec.submodule_search_locations for file in Path(folder).rglob("*.py"))
    return [Path(spec.origin)] if spec.origin is not None and Path(spec.origin).is_file() else []


@lru_cache
def versions() -> dict[str, str]:
    """Versions of the libraries that determine a run's numbers."""
    return {name: version(name) for name in ("mujoco", "numpy", "torch")}
