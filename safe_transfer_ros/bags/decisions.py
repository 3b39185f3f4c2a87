# SPDX-License-Identifier: Apache-2.0
"""SafetyDecisions as rows of numbers: thousands at once from their serialised bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.layout import Bytes, FieldDefinitions, Layout, LayoutReader
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.reasons import Verdict

_SAME = ("iteration", "episode", "step", "last", "terminated", "verdict", "reasons", "torque_limit", "risk")
_STATE = ("position", "velocity")
_GAUSSIAN, _TANH_GAUSSIAN, _DETERMINISTIC = (
    LAWS.index(law) for law in (Distribution.GAUSSIAN, Distribution.TANH_GAUSSIAN, Distribution.DETERMINISTIC)
)
_ACTIONS = {"proposed_mean": "mean", "proposed_stddev": "stddev", "proposed_effort": "proposed", "chosen": "chosen"}


def row_dtype(n_joints: int, n_actions: int, n_observations: int, *, tracks_object: bool = False) -> np.dtype[Any]:
    """Row of one decision: its identity and time, the state, and the action proposed, chosen and applied (NaN: none).

    The state has the pose of the task's object where there is one; NaN where it was not recorded. What is applied are
    always torques; what is proposed and chosen are actions, torques or motions of the tool. The law of the proposal:
    distribution, index into `proposal.LAWS`, mean, stddev (0 where it is deterministic) and bound (NaN but for a tanh
    Gaussian).
    """
    joints, actions = (n_joints,), (n_actions,)
    return np.dtype(
        [
            ("stamp_ns", "<i8"),
            ("iteration", "<u4"),
            ("episode", "<u4"),
            ("step", "<u4"),
            ("last", "?"),
            ("terminated", "?"),
            ("verdict", "u1"),
            ("reasons", "<u4"),
            ("policy_version", "<u8"),
            ("critic", "<i2"),
            ("torque_limit", "<f8"),
            ("risk", "<f8"),
            ("position", "<f8", joints),
            ("velocity", "<f8", joints),
            ("object_pose", "<f8", (7 if tracks_object else 0,)),
            ("observation", "<f8", (n_observations,)),
            ("mean", "<f8", actions),
            ("stddev", "<f8", actions),
            ("distribution", "u1"),
            ("bound", "<f8", actions),
            ("proposed", "<f8", actions),
            ("chosen", "<f8", actions),
            ("applied", "<f8", joints),
        ]
    )


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Concatenated structured rows; at least one part, all of one dtype."""
    return np.asarray(np.concatenate([_opaque(part) for part in parts]).view(parts[0].dtype))


def taken(rows: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    """Structured rows where `which` holds."""
    return rows if which.all() else np.asarray(_opaque(rows)[which].view(rows.dtype))


def _opaque(rows: NDArray[Any]) -> NDArray[Any]:
    # numpy copies structures field by field, and bytes several times as fast.
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


class DecisionReader:
    """Turns serialised SafetyDecisions of one bag, or of one subscription, into rows.

    Args:
      definitions: Field definitions by type name.
      type_name: Name of the message type.
      joint_names: Joint order of the rows.
      action_names: Order of the rows' actions.
      n_observations: Length of an observation.
      tracks_object: Whether the task has an object, whose pose is part of a row.

    Attributes:
      critics: Versions of the critics met; a row's `critic` is an index into it.
    """

    def __init__(
        self,
        definitions: FieldDefinitions,
        type_name: str,
        *,
        joint_names: Sequence[str],
        action_names: Sequence[str],
        n_observations: int,
        tracks_object: bool = False,
    ) -> None:
        self._reader = LayoutReader(definitions, type_name)
        self._joint_order, self._action_order = (
            JointOrder(names, extra_allowed=False) for names in (joint_names, action_names)
        )
        self._k = n_observations
        self._dtype = row_dtype(len(joint_names), len(action_names), n_observations, tracks_object=tracks_object)
        self.critics: list[str] = []

    def rows(self, messages: Sequence[bytes]) -> Iterator[NDArray[Any]]:
        """Rows of messages, in order, in blocks of shape (m,) and `row_dtype`.

        Raises:
          BagError: if a message does not fit its definition, or is of another arm or task.
        """
        for layout, block in self._reader.runs(messages):
            try:
                yield self._block(layout, block)
            except KeyError as error:
                raise BagError(f"the recorded SafetyDecision has no field {error}: made by another version?") from None

    def table(self, messages: Sequence[bytes]) -> NDArray[Any]:
        """Rows of messages, in order, shape (len(messages),); see `rows`.

        Messages of one length are decoded together: an episode's last decision is shorter and would end every block.
        """
        sizes = np.fromiter(map(len, messages), dtype=np.int64, count=len(messages))
        table = np.empty(len(messages), dtype=self._dtype)
        for size in np.unique(sizes):
            places = np.flatnonzero(sizes == size)
            rows = joined(list(self.rows([messages[place] for place in places.tolist()])))
            _opaque(table)[places] = _opaque(rows)
        return table

    def _block(self, layout: Layout, block: Bytes) -> NDArray[Any]:
        rows = np.empty(len(block), dtype=self._dtype)
        for name in _SAME:
            rows[name] = layout.column(block, name)
        _check_known("verdict", rows["verdict"], len(Verdict))
        rows["policy_version"] = layout.column(block, "policy_version")
        seconds, rest = (layout.column(block, f"header.stamp.{part}").astype(np.int64) for part in ("sec", "nanosec"))
        rows["stamp_ns"] = seconds * 1_000_000_000 + rest
        rows["critic"] = self._critic(str(layout.strings["critic_version"]))
        joints = tuple(layout.strings["joint_names"])
        # Before there were other actions all were torques.
        actions = tuple(layout.strings.get("action_names", ())) or joints
        try:
            joint_order = self._joint_order.indices(joints)
        except JointOrderError as error:
            raise BagError(f"the recording is of another arm, name its task (--task): {error}") from None
        try:
            action_order = self._action_order.indices(actions)
        except JointOrderError as error:
            raise BagError(f"the recording has other actions, name its task (--task): {error}") from None
        for name in _STATE:
            rows[name] = _ordered(layout, block, name, joint_order)
        rows["applied"] = _ordered(layout, block, "applied_effort", joint_order)
        if rows["object_pose"].shape[1]:
            pose = layout.column(block, "object_pose") if "object_pose" in layout.columns else np.empty((len(block), 0))
            rows["object_pose"] = pose if pose.shape[1] == 7 else np.nan
        for name, short in _ACTIONS.items():
            rows[short] = _ordered(layout, block, name, action_order)
        self._apply_law(layout, block, rows, action_order)
        observation = layout.column(block, "observation")
        if observation.shape[1] != self._k:
            raise BagError(
                f"the recording's observations have {observation.shape[1]} values, the task's {self._k}: "
                "name the task it was made with (--task)"
            )
        rows["observation"] = observation
        return rows

    def _apply_law(self, layout: Layout, block: Bytes, rows: NDArray[Any], action_order: NDArray[np.intp]) -> None:
        """Tell the law of each proposal; see `row_dtype`."""
        rows["distribution"], rows["bound"] = _GAUSSIAN, np.nan
        if "distribution" not in layout.columns:
            return  # before actions told their law all were Gaussian
        law = rows["distribution"] = layout.column(block, "distribution")
        _check_known("distribution", law, len(LAWS))
        squashed = law == _TANH_GAUSSIAN
        if squashed.any():
            rows["bound"][squashed] = _ordered(layout, block, "proposed_bound", action_order)[squashed]
        deterministic = (law == _DETERMINISTIC) & ~np.isnan(rows["mean"]).any(axis=1)
        rows["stddev"][deterministic] = 0.0

    def _critic(self, version: str) -> int:
        if version not in self.critics:
            self.critics.append(version)
        return self.critics.index(version)


def _check_known(name: str, numbers: NDArray[Any], count: int) -> None:
    """Refuse a number that stands for nothing: what was proposed, or done with it, is not known then."""
    unknown = numbers[(numbers < 0) | (numbers >= count)]
    if len(unknown):
        raise BagError(
            f"a recorded decision has the {name} {unknown[0]}, expected 0 to {count - 1}: made by a newer version? "
            "Read it with that one"
        )


def _ordered(layout: Layout, block: Bytes, name: str, order: NDArray[np.intp]) -> NDArray[Any]:
    values = layout.column(block, name)
    if values.shape[1] == 0:
        return np.full((len(block), len(order)), np.nan)
    if values.shape[1] != len(order):
        raise BagError(f"{name} of a recorded decision has {values.shape[1]} values for {len(order)} names")
    return np.asarray(values[:, order])
