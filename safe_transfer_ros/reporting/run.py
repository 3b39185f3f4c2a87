# SPDX-License-Identifier: Apache-2.0
"""A run as input of a report: rows, settings, additions from its bag, and missing parts."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safe_transfer_ros.record.iteration import COLUMNS, ROWS, IterationRecord, IterationsError, read
from safe_transfer_ros.record.recompute import IterationDetail, Recomputed, recompute
from safe_transfer_ros.record.resume import CONFIG, session_path, sessions
from safe_transfer_ros.record.run_config import parameters
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.untrusted import UntrustedError, printable, read_yaml

BAG = "bag"
PROVENANCE = "run.yaml"

# The live run's clock starts elsewhere than the bag's; every other column must agree.
_NOT_COMPARED = frozenset({"wall_time_s"})


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, whole or not.

    Attributes:
      name: What to call it.
      path: Run directory or bag it was read from.
      records: A row per finished iteration.
      details: Per iteration, what only the bag tells; empty without a bag.
      config: Parameters by node, ROS parameter-file layout; empty if unknown.
      provenance: Command, versions and start of the run, as its launcher wrote them; may be empty.
      differences: Largest difference between iterations.csv and the bag, by column; None where there was
        nothing to compare.
      notes: What a reader should know: interrupted, no bag, damage.
      legend: What to call it in legends where its rule does not tell it from another run.
    """

    name: str
    path: Path
    records: tuple[IterationRecord, ...]
    details: tuple[IterationDetail, ...]
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    differences: Mapping[str, float] | None
    notes: tuple[str, ...]
    legend: str = ""

    def parameter(self, node: str, name: str, default: Any = None) -> Any:
        """A parameter of a node (shared ones included), or the default where the config does not say."""
        return parameters(self.config, node).get(name, default)

    @property
    def d_safe(self) -> float:
        """D_safe, N·m; NaN if unknown."""
        return float(self.parameter("unsafety_monitor", "d_safe", math.nan))

    @property
    def rule(self) -> str:
        """The rule for the limit, "adaptive" or "fixed"; "" if unknown."""
        return str(self.parameter("unsafety_monitor", "limit_rule", ""))

    @property
    def planned(self) -> int | None:
        """Iterations it was to have; None if unknown."""
        return _planned(self.config)

    @property
    def label(self) -> str:
        """Label for legends: its rule for the torque limit, in words."""
        if self.legend:
            return self.legend
        if self.rule == "fixed":
            limit = float(self.parameter("unsafety_monitor", "torque_limit_max", math.nan))
            return f"limit fixed at {limit:g} N·m"
        return "adaptive limit" if self.rule == "adaptive" else self.name

    def column(self, name: str) -> np.ndarray:
        """One column over all rows, shape (iterations,), float64."""
        return np.array([getattr(record, name) for record in self.records], dtype=np.float64)

    @property
    def task(self) -> RobotTask | None:
        """The task; None if the config names none that is known here."""
        try:
            return in_graph(str(self.parameter("trainer", "task", ""))).task
        except ValueError:
            return None

    @property
    def unsafety_limit(self) -> float | None:
        """The task's limit on its unsafety function; None if the task is unknown."""
        return None if self.task is None else float(self.task.unsafety_limit)

    def unsafety(self, value: float, form: str = ".3g") -> str:
        """A value of the unsafety function with its unit."""
        unit = "" if self.task is None else self.task.unsafety_unit
        return f"{value:{form}} {unit}".rstrip()

    @property
    def reasons(self) -> Counter[Reason]:
        """Decisions by reason over the whole run."""
        total: Counter[Reason] = Counter()
        for detail in self.details:
            total.update(detail.reasons)
        return total

    @property
    def decisions(self) -> int:
        """Decisions of the filter over the whole run, as the bag has them."""
        return sum(detail.decisions for detail in self.details)


def load(path: Path | str) -> Run:
    """Reads a run directory, or a bag on its own.

    Args:
      path: A run directory (iterations.csv, config.yaml, bag/; each may be missing), a bag folder or an .mcap
        file.

    Returns:
      The run, with notes on what is missing.

    Raises:
      ValueError: if there is nothing of a run at the path.
      BagError: if a bag that was asked for cannot be read.
    """
    path = Path(path)
    return _from_bag(path) if is_bag(path) else _from_directory(path)


def bags_of(path: Path) -> list[Path]:
    """The bags that belong to a path that `load` takes; they need not be there."""
    if is_bag(path):
        return [path]
    return [session_path(path, BAG, session) for session in range(max(sessions(path), 1))]


def is_bag(path: Path) -> bool:
    """Whether a path is a bag (folder or file) rather than a run directory."""
    if path.is_dir():
        return (path / "metadata.yaml").exists() or any(path.glob("*.mcap"))
    return path.suffix == ".mcap"


def whole_bag(path: Path) -> Path:
    """The bag a path belongs to: the folder, if it is a file of one."""
    path = path.resolve()
    return path.parent if path.is_file() and (path.parent / "metadata.yaml").exists() else path


def largest_differences(one: Sequence[IterationRecord], other: Sequence[IterationRecord]) -> dict[str, float] | None:
    """Largest absolute difference of each column over the iterations that both have.

    NaN in both counts as equal; NaN in one as an infinite difference.

    Returns:
      Column name to difference, wall_time_s left out; None if they share no iteration.
    """
    by_iteration = {record.iteration: record for record in other}
    pairs = [(record, by_iteration[record.iteration]) for record in one if record.iteration in by_iteration]
    if not pairs:
        return None
    return {
        name: max(_difference(getattr(a, name), getattr(b, name)) for a, b in pairs)
        for name in COLUMNS
        if name not in _NOT_COMPARED
    }


def _difference(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return abs(a - b)


def _from_bag(path: Path) -> Run:
    told = recompute(path)
    whole = whole_bag(path)
    return Run(
        name=whole.parent.name if whole.name == BAG else whole.stem,
        path=path,
        records=told.records,
        details=told.details,
        config=told.config,
        provenance={},
        differences=None,
        notes=(*told.notes, *_interruption(told.records, told.config)),
    )


def _from_directory(path: Path) -> Run:
    if not path.is_dir() or not any((path / name).exists() for name in (ROWS, CONFIG, BAG)):
        raise ValueError(
            f"there is no run at {path}: expected a run directory ({ROWS}, {CONFIG}, {BAG}/), a bag folder, "
            "or an .mcap file"
        )
    notes: list[str] = []
    records: tuple[IterationRecord, ...] = ()
    if (path / ROWS).exists():
        try:
            records = tuple(read(path / ROWS))
        except IterationsError as error:
            notes.append(str(error))
    told = _told_by_bags(path, notes)
    latest = max(sessions(path) - 1, 0)
    config = _mapping(session_path(path, CONFIG, latest), notes) or (dict(told.config) if told else {})
    if latest:
        notes.append("the run was resumed" + (f" {latest} times" if latest > 1 else ""))
    differences = None
    details: tuple[IterationDetail, ...] = ()
    if told is not None:
        details = told.details
        if records:
            differences = largest_differences(records, told.records)
            if len(told.records) != len(records):
                notes.append(f"{ROWS} has {len(records)} iterations, the bag {len(told.records)}")
        elif told.records:
            records = told.records
            notes.append(f"there is no {ROWS}: every number was recomputed from the bag")
    notes += _override(path, latest)
    notes += _interruption(records, config)
    return Run(
        name=path.resolve().name,
        path=path,
        records=records,
        details=details,
        config=config,
        provenance=_mapping(path / PROVENANCE, notes) if (path / PROVENANCE).exists() else {},
        differences=differences,
        notes=tuple(notes),
    )


def _told_by_bags(run_dir: Path, notes: list[str]) -> Recomputed | None:
    """Details from the bags of all sessions; a repeated iteration is taken from the later session."""
    records: dict[int, IterationRecord] = {}
    details: dict[int, IterationDetail] = {}
    told: Recomputed | None = None
    for bag in bags_of(run_dir):
        try:
            told = recompute(bag)
        except ValueError as error:
            reason = "nothing was recorded" if not bag.exists() else str(error)
            notes.append(f"unsafety and reasons are left out, they come from the bag: {reason}")
            continue
        records |= {record.iteration: record for record in told.records}
        details |= {detail.iteration: detail for detail in told.details}
        notes += told.notes
    if told is None:
        return None
    return dataclasses.replace(
        told,
        records=tuple(records[number] for number in sorted(records)),
        details=tuple(details[number] for number in sorted(details)),
        notes=(),
    )


def _mapping(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        loaded = read_yaml(path)
    except (OSError, UntrustedError) as error:
        notes.append(f"{path.name} cannot be read: {str(error).splitlines()[0]}")
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _override(path: Path, session: int) -> list[str]:
    """A note where the arm was driven without a valid report of a commissioning."""
    evidence = session_path(path, "commission.yaml", session)
    if not evidence.exists():
        return []
    notes: list[str] = []
    told = _mapping(evidence, notes)
    if told.get("overridden"):
        notes.append(
            "the arm was driven without a valid report of a commissioning (allow_uncommissioned:=true): "
            + printable(str(told.get("refusal", "")))
        )
    return notes


def _interruption(records: Sequence[IterationRecord], config: Mapping[str, Any]) -> tuple[str, ...]:
    planned = _planned(config)
    # A later session's bag has only its own iterations: those before it are in the bags of the others.
    done = records[-1].iteration + 1 if records else 0
    if planned is None or done >= planned:
        return ()
    return (f"the run ended after {done} of {planned} iterations",)


def _planned(config: Mapping[str, Any]) -> int | None:
    own = parameters(config, "trainer")
    planned = own.get("iterations")
    try:
        return None if planned is None else int(own.get("first_iteration", 0)) + int(planned)
    except (TypeError, ValueError, OverflowError):  # somebody else's file
        return None
