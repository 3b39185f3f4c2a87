# SPDX-License-Identifier: Apache-2.0
"""A small run written as a real bag, with its rows worked out in another way than the package does.

No simulator: joint positions are a random walk about the task's start. Rewards are summed state by state,
risks come from scipy.stats, the torque limit from the formulas of PSPT written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from scipy.stats import norm

from safe_transfer_ros.bags.definitions import MessageDefinitions, installed_share_folders
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.tasks.task import make

REPOSITORY = Path(__file__).resolve().parents[2]
PERIOD_NS = 50_000_000
TYPES = {
    "/joint_states": "sensor_msgs/msg/JointState",
    "/safety_filter/decision": "safe_transfer_msgs/msg/SafetyDecision",
    "/trainer/policy_weights": "safe_transfer_msgs/msg/PolicyWeights",
    "/trainer/run_config": "std_msgs/msg/String",
}
CLAMPED, RATE, STALE = 1, 4, 64


class Expected:
    """What the rows must be, the tilts behind them by iteration, and the run's configuration."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.tilts: list[np.ndarray] = []
        self.config: dict[str, Any] = {}


def definitions() -> MessageDefinitions:
    """Installed definitions, and those of the checkout."""
    return MessageDefinitions([*installed_share_folders(), REPOSITORY])


class Messages:
    """Makes and serialises messages with rosbags, from the definitions."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.EMPTY)
        for name in TYPES.values():
            self._store.register(get_types_from_msg(definitions().find(name).text, name))

    @property
    def definitions(self) -> Any:
        """Field definitions by type name."""
        return self._store.fielddefs

    def header(self, stamp_ns: int) -> Any:
        types = self._store.types
        time = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
        return types["std_msgs/msg/Header"](time, "")

    def serialised(self, type_name: str, **fields: Any) -> bytes:
        return bytes(self._store.serialize_cdr(self._store.types[type_name](**fields), type_name))

    def read(self, topic: str, data: bytes) -> Any:
        """A serialised message of a topic."""
        return self._store.deserialize_cdr(data, TYPES[topic])

    def changed(self, topic: str, data: bytes, **fields: Any) -> bytes:
        """A serialised message of a topic with some of its fields replaced."""
        message = self.read(topic, data)
        for name, value in fields.items():
            setattr(message, name, value)
        return bytes(self._store.serialize_cdr(message, TYPES[topic]))

    def decision(self, **fields: Any) -> bytes:
        given = {
            "last": False,
            "terminated": False,
            "mode": 1,
            "verdict": 0,
            "reasons": 0,
            "limit_iteration": fields["iteration"],
            "risk": float("nan"),
            "critic_version": "",
            "object_pose": np.empty(0),
            "actor": "",
            "action_names": fields["joint_names"],
            "distribution": 0,
            "proposed_bound": np.empty(0),
            "chosen": fields["proposed_effort"],
        } | fields
        return self.serialised(TYPES["/safety_filter/decision"], **given)


def write_run(
    bag: Path,
    *,
    iterations: int = 4,
    episodes: int = 2,
    steps: int = 20,
    seed: int = 0,
    limit: str = "adaptive",
    spread: float = 0.06,
    planned: int | None = None,
    weights_first: bool = False,
    unfinished_steps: int = 0,
    held: bool = False,
    **monitor: Any,
) -> Expected:
    """Writes a bag and returns what its rows must be.

    Args:
      bag: Folder to create.
      iterations: Iterations with an update.
      episodes: Episodes an iteration.
      steps: Steps an episode.
      seed: Of the random walk.
      limit: "adaptive" or "fixed".
      spread: Size of the walk's steps, rad.
      planned: Iterations the configuration asks for.
      weights_first: Record the update before the last joint states of its iteration, as may happen.
      unfinished_steps: Steps of one more episode that then breaks off.
      held: The third joint stands still in every iteration's first episode.
      **monitor: Parameters of the unsafety monitor.
    """
    task, rng, messages = make("pr2_cup_swirl"), np.random.default_rng(seed), Messages()
    names, n = list(task.robot.joint_names), len(task.robot.joint_names)
    d_safe, t_min, t_max = 0.5, 0.1, 3.0
    shared = {"task": "pr2_cup_swirl", "timing": "lockstep", "seed": seed, "limit_rule": limit, "d_safe": d_safe}
    shared |= {"initial_torque_limit": t_min, "torque_limit_max": t_max}
    expected = Expected()
    expected.config = {
        "/**": {"ros__parameters": shared},
        "unsafety_monitor": {"ros__parameters": dict(monitor)},
        "trainer": {"ros__parameters": {"iterations": planned or iterations}},
        "mujoco_sim": {"ros__parameters": {"perturbation": "light_sticky"}},
    }
    torque_limit = t_max if limit == "fixed" else t_min
    stamp = 1_000_000_000
    log = [1_700_000_000_000_000_000]
    with BagWriter(bag, definitions=definitions()) as writer:
        ids = {topic: writer.register(topic, name, [OfferedQos()]) for topic, name in TYPES.items()}

        def write(topic: str, data: bytes) -> None:
            log[0] += 1_000_000
            writer.write(ids[topic], data, log[0], log[0])

        def joint_state(stamp_ns: int, position: np.ndarray) -> bytes:
            # Another order than the task's, and a joint the task does not know.
            return messages.serialised(
                TYPES["/joint_states"],
                header=messages.header(stamp_ns),
                name=["torso_lift_joint", *reversed(names)],
                position=np.concatenate([[0.3], position[::-1]]),
                velocity=np.zeros(n + 1),
                effort=np.zeros(n + 1),
            )

        def weights(version: int, iteration: int, count: int, kl: float) -> bytes:
            return messages.serialised(
                TYPES["/trainer/policy_weights"],
                header=messages.header(stamp),
                version=version,
                iteration=iteration,
                steps=count,
                kl=kl,
                kl_bound=0.05,
                data=np.zeros(16, dtype=np.uint8),
                sha256="0" * 64,
            )

        write(
            "/trainer/run_config",
            messages.serialised(TYPES["/trainer/run_config"], data=yaml.safe_dump(expected.config)),
        )
        write("/trainer/policy_weights", weights(0, 0, 0, 0.0))
        write("/trainer/policy_weights", weights(0, 0, 0, 0.0))  # latched: a late recorder gets it again
        started = log[0] - 1_000_000
        for iteration in range(iterations + (unfinished_steps > 0)):
            returns, task_returns, tilts, seen, worst, means, interventions, late = [], [], [], [], [], [], 0, []
            stddev = np.full(n, 0.2 + 0.1 * rng.random())
            unshown = 0
            for episode in range(episodes):
                position, _ = task.initial_state(rng)
                moves = np.ones(n)
                moves[2] = 0.0 if held and episode == 0 else 1.0
                before = len(worst)
                total = task_total = 0.0
                write("/joint_states", joint_state(stamp, position))
                for step in range(steps + 1):
                    if iteration == iterations and step == unfinished_steps:
                        return expected
                    last = step == steps
                    mean = rng.normal(size=n) * 0.1
                    proposed = mean + stddev * rng.standard_normal(n)
                    applied = np.clip(proposed, -torque_limit, torque_limit)
                    reasons = 0 if last or np.array_equal(applied, proposed) else CLAMPED
                    reasons |= RATE * (step == 3)
                    interventions += reasons != 0
                    none = np.empty(0)
                    common = {
                        "iteration": iteration,
                        "episode": iteration * episodes + episode,
                        "joint_names": names,
                        "position": position,
                        "velocity": np.zeros(n),
                        "observation": task.observe(position, np.zeros(n), torque_limit),
                        "torque_limit": torque_limit,
                        "policy_version": iteration,
                    }
                    decision = messages.decision(
                        header=messages.header(stamp),
                        step=step,
                        last=last,
                        verdict=6 if last else 1 if reasons else 0,
                        reasons=reasons,
                        proposed_mean=none if last else mean,
                        proposed_stddev=none if last else stddev,
                        proposed_effort=none if last else proposed,
                        applied_effort=np.zeros(n) if last else applied,
                        **common,
                    )
                    write("/safety_filter/decision", decision)
                    if last:
                        break
                    means.append(mean)
                    between_tilt = 0.0
                    if step == 4:  # between two steps: a joint state, and a proposal for it that is refused
                        between = position + spread * moves * rng.standard_normal(n)
                        half_way = stamp + PERIOD_NS // 2
                        between_tilt = float(task.unsafety(between))
                        seen.append(between_tilt)
                        write("/joint_states", joint_state(half_way, between))
                        refused = messages.decision(
                            header=messages.header(half_way),
                            step=step + 1,
                            verdict=4,
                            reasons=STALE,
                            proposed_mean=none,
                            proposed_stddev=none,
                            proposed_effort=none,
                            applied_effort=np.zeros(n),
                            **(common | {"position": between}),
                        )
                        write("/safety_filter/decision", refused)
                        interventions += 1
                    stamp += PERIOD_NS
                    position = position + spread * moves * rng.standard_normal(n)
                    total += float(task.reward(position, np.zeros(n), proposed))
                    task_total += float(task.task_reward(position, np.zeros(n), proposed))
                    tilts.append(float(task.unsafety(position)))
                    seen.append(tilts[-1])
                    worst.append(max(between_tilt, tilts[-1]))
                    state = joint_state(stamp, position)
                    if weights_first and step > steps - 4:
                        late.append(state)
                    else:
                        write("/joint_states", state)
                stamp += 500_000_000
                # Of a held episode also the safe periods count, where the rule says so.
                if moves[2] == 0.0 and monitor.get("standstill") == "unsafe":
                    unshown += sum(tilt <= 15.0 for tilt in worst[before:])
                returns.append(total)
                task_returns.append(task_total)
            kl = 0.03 + 0.01 * rng.random()
            write("/trainer/policy_weights", weights(iteration + 1, iteration, episodes * steps, kl))
            wall = (log[0] - started) / 1e9
            for state in late:
                write("/joint_states", state)
            unsafe = float(np.mean(np.array(worst) > 15.0))
            inside = norm.cdf(torque_limit, means, stddev) - norm.cdf(-torque_limit, means, stddev)
            limit_change = float(np.mean(1.0 - inside))
            policy_change = float(1.0 - 2.0 * norm.cdf(-np.sqrt(0.05 / 2.0)))
            counted = limit_change if monitor.get("use_limit_change", True) else 0.0
            predicted = min(1.0, unsafe + unshown / len(worst) + counted + policy_change)
            expected.tilts.append(np.array(tilts))  # after each step; the rates count the worst in between too
            expected.rows.append(
                {
                    "iteration": iteration,
                    "mean_return": float(np.mean(returns)),
                    "unsafety_rate": unsafe,
                    "limit_change_risk": limit_change,
                    "policy_change_risk": policy_change,
                    "predicted_unsafety_rate": predicted,
                    "torque_limit": torque_limit,
                    "expected_damage": unsafe * torque_limit,
                    "interventions": interventions,
                    "policy_version": iteration,
                    "wall_time_s": wall,
                    "mean_task_return": float(np.mean(task_returns)),
                    "kl": kl,
                    "unsafety_mean": float(np.mean(seen)),
                    "unsafety_max": float(np.max(seen)),
                    "steps": episodes * steps,
                }
            )
            if limit == "adaptive":
                torque_limit = max(t_min, min(1.05 * torque_limit, d_safe / predicted, t_max))
    return expected


def copied(source: Path, target: Path, topic: str, change: Callable[[int, bytes], list[bytes]]) -> Bag:
    """A copy whose messages of one topic went through `change(number, data)`: a list of what to write."""
    seen = 0
    with BagWriter(target, definitions=definitions()) as writer:
        ids: dict[str, int] = {}
        for message in Bag(source).recorded():
            if message.topic not in ids:
                ids[message.topic] = writer.register(message.topic, message.type_name)
            data = [message.data]
            if message.topic == topic:
                data, seen = change(seen, message.data), seen + 1
            for one in data:
                writer.write(ids[message.topic], one, message.log_time_ns, message.publish_time_ns)
    return Bag(target)
