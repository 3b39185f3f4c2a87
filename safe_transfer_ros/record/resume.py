# SPDX-License-Identifier: Apache-2.0
"""State of an interrupted run, from which it continues exactly.

A run is a sequence of sessions in one directory. The first writes `config.yaml`, `run.yaml`, `bag/` and `logs/`; the
one that goes on after it `config_1.yaml`, `run_1.yaml`, `bag_1/` and `logs_1/`, and so on. `iterations.csv`,
`returns.csv` and `checkpoints/` are one for all. An iteration that was under way when the run stopped is done again,
with the same seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.record.iteration import ROWS, IterationRecord, read
from safe_transfer_ros.record.recompute import recompute
from safe_transfer_ros.record.returns import RETURNS, by_iteration
from safe_transfer_ros.record.returns import read as read_returns
from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.safety.limit.torque_limit import next_torque_limit

CONFIG = "config.yaml"
BAG = "bag"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class LeftOff:
    """The state after the last finished iteration.

    Attributes:
      iteration: The next one.
      torque_limit: Its limit, N·m, as the monitor had derived it.
      policy: Weights it starts from.
      wall_time_s: Time the finished iterations took.
      memory: What the benefit rule remembers of the finished iterations; empty: nothing.
    """

    iteration: int
    torque_limit: float
    policy: Path
    wall_time_s: float
    memory: str = ""


def session_path(run_dir: Path, name: str, session: int) -> Path:
    """A session's own file or folder: "config.yaml" of the first, session 0, is "config_1.yaml" of the next."""
    path = run_dir / name
    return path.with_stem(f"{path.stem}_{session}") if session else path


def sessions(run_dir: Path) -> int:
    """Number of sessions of a run so far."""
    count = 0
    while session_path(run_dir, CONFIG, count).exists():
        count += 1
    return count


def left_off(run_dir: Path, settings: GovernorSettings, *, memory: str = "") -> LeftOff:
    """Find the iteration at which a run can continue.

    Args:
      run_dir: Its directory.
      settings: Its governor's; the paper's rule needs no memory beyond the last row. With joints "moved" the limit
        follows from every torque's distribution, which is in the bag of the session that had the last iteration. The
        benefit rule remembers limits and returns, which are in iterations.csv and returns.csv: where the latter is
        missing the rule starts anew, and the limit does not rise.
      memory: What the benefit rule remembered when its first session began.

    Raises:
      ConfigurationError: there is nothing to go on from; says what is missing.
      IterationsError: its iterations.csv or returns.csv cannot be read.
    """
    rows = read(run_dir / ROWS) if (run_dir / ROWS).exists() else []
    if not rows:
        raise ConfigurationError(
            f"{run_dir} has no finished iteration to continue from: start a run with a new run_dir"
        )
    last = rows[-1]
    policy = run_dir / CHECKPOINTS / f"policy_{last.iteration + 1:05d}.safetensors"
    if not policy.exists():
        raise ConfigurationError(f"{policy} is missing: iteration {last.iteration + 1} cannot start without it")
    torque_limit = settings.t_max
    if settings.rule == "adaptive" and settings.joints == "moved":
        torque_limit = _limit_in_bags(run_dir, last.iteration + 1)
    elif settings.rule == "adaptive":
        torque_limit = next_torque_limit(
            last.torque_limit,
            last.predicted_unsafety_rate,
            d_safe=settings.d_safe,
            floor=settings.floor,
            t_max=settings.t_max,
            growth=settings.growth,
            damage=DAMAGE_MODELS[settings.damage],
        )
    if settings.rule == "adaptive" and settings.benefit:
        benefit = Benefit(memory)
        cap = _cap(benefit, run_dir, rows)
        torque_limit = max(settings.floor, min(torque_limit, cap))
        memory = benefit.memory
    return LeftOff(
        iteration=last.iteration + 1,
        torque_limit=torque_limit,
        policy=policy,
        wall_time_s=last.wall_time_s,
        memory=memory,
    )


def _cap(benefit: Benefit, run_dir: Path, rows: Sequence[IterationRecord]) -> float:
    """Highest limit that the benefit rule wants after these iterations, N·m; it remembers them as the monitor did."""
    known = read_returns(run_dir / RETURNS) if (run_dir / RETURNS).exists() else []
    cap = math.inf
    for row, returns in zip(rows, by_iteration(known, rows), strict=True):
        cap = benefit.cap(row.torque_limit, returns)
    return cap


def _limit_in_bags(run_dir: Path, iteration: int) -> float:
    """The limit of an iteration, N·m, recomputed from the newest session's bag that leads up to it."""
    found = "no bag"
    for session in reversed(range(sessions(run_dir))):
        bag = session_path(run_dir, BAG, session)
        try:
            result = recompute(bag)
        except BagError as error:  # a session that was stopped before it recorded anything
            found = str(error)
            continue
        if result.next_iteration == iteration:
            return result.next_torque_limit
        found = f"{bag} leads up to iteration {result.next_iteration}"
    raise ConfigurationError(
        f"{run_dir}: the limit of iteration {iteration} follows from the bag (joints: moved), and none tells it: "
        f"{found}"
    )
