# SPDX-License-Identifier: Apache-2.0
"""What is measured, taken together: each thing that is wrong forbids motion whatever else is well."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.filter.robot_watch import RobotWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.reasons import Reason

MS = 1_000_000
POSE = np.array([0.5, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0])
NOT_FINITE = np.full(7, np.nan)


def measured(*, state_ms: int = 1000, pose: np.ndarray = POSE, pose_ms: int = 1000, gravity: float = 0.0) -> RobotWatch:
    """At 1000 ms: a joint state that came at state_ms, a pose that came at pose_ms, and g(q)."""
    term = GravityTerm(lambda position: np.full(2, gravity), np.ones(2), 1000.0)
    watch = RobotWatch(2, FilterSettings(), term, None, tracks_object=True)
    watch.state.observe(1, np.ones(2), np.zeros(2), state_ms * MS, ordered=True)
    watch.object.observe(1, pose, pose_ms * MS)  # type: ignore[union-attr]
    term.move(np.ones(2), 0, 0.005)
    return watch


WRONG = [
    ({"state_ms": 900}, Reason.JOINT_STATE_STALE, "joint state is 0.1 s old"),
    ({"pose": NOT_FINITE}, Reason.OBJECT_POSE_NOT_FINITE, "not finite, or no rotation"),
    ({"pose_ms": 700}, Reason.OBJECT_POSE_STALE, "pose of the object is 0.3 s old"),
    ({"gravity": np.nan}, Reason.GRAVITY_FAILED, "g(q), cannot be computed"),
]


@pytest.mark.parametrize(("wrong", "cause", "says"), WRONG)
def test_one_thing_that_is_wrong_forbids_to_begin_and_its_stop_stands(wrong: dict, cause: Reason, says: str) -> None:
    watch = measured(**wrong)
    assert says in str(watch.problem(1000 * MS, by_object=True))
    assert says in str(watch.standing(cause, 900 * MS, 1000 * MS))


@pytest.mark.parametrize(("wrong", "cause", "says"), WRONG)
def test_a_stop_for_another_cause_may_be_reset(wrong: dict, cause: Reason, says: str) -> None:
    """What is wrong now forbids to arm, and is no reason to stay tripped."""
    assert measured(**wrong).standing(Reason.OPERATOR_STOP, 900 * MS, 1000 * MS) is None


def test_nothing_forbids_where_all_is_well_and_an_object_only_what_goes_by_it() -> None:
    assert measured().problem(1000 * MS, by_object=True) is None
    assert measured(pose=NOT_FINITE).problem(1000 * MS, by_object=False) is None
    everything = Reason.JOINT_STATE_STALE | Reason.OBJECT_POSE_STALE | Reason.GRAVITY_FAILED
    assert measured().standing(everything, 999 * MS, 1000 * MS) is None


def test_the_joint_states_are_told_first() -> None:
    watch = measured(state_ms=900, pose=NOT_FINITE)
    assert "joint state" in str(watch.problem(1000 * MS, by_object=True))
    cause = Reason.JOINT_STATE_STALE | Reason.OBJECT_POSE_NOT_FINITE
    assert "joint state" in str(watch.standing(cause, 900 * MS, 1000 * MS))


@pytest.mark.parametrize("cause", [Reason.JOINT_STATE_FROZEN, Reason.OBJECT_POSE_FROZEN])
def test_what_was_frozen_must_have_changed_since(cause: Reason) -> None:
    assert "have not changed" in str(measured().standing(cause, 1000 * MS, 1000 * MS))
    assert measured().standing(cause, 1000 * MS - 1, 1000 * MS) is None


def test_all_that_is_wrong_is_told_together() -> None:
    watch = measured(state_ms=1300, pose_ms=900, gravity=np.nan)
    watch.state.observe(2, np.ones(2), np.zeros(2), 1310 * MS, ordered=True)
    everything = Reason.JOINT_STATE_FROZEN | Reason.OBJECT_POSE_STALE | Reason.GRAVITY_FAILED
    watch.state.set_timeouts(9.0, 0.2)
    assert watch.fault(1600 * MS, 0, by_object=True) == everything
    assert watch.fault(1600 * MS, 0, by_object=False) == everything & ~Reason.OBJECT_POSE_STALE
    assert watch.fault(1600 * MS, None, by_object=False) is Reason.GRAVITY_FAILED
