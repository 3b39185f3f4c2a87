# SPDX-License-Identifier: Apache-2.0
"""Policies of others through the whole graph: judged, recorded and reported as ours, and stopped when they cease."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graph_runs
import numpy as np
import pytest
import rclpy
from others_policies import attribute, contract, mlp, model, node, value
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import ActionChunk, SafetyDecision
from sensor_msgs.msg import Image, JointState

import safe_transfer_ros as st
from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.policies.loading import any_policy_from_bytes
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = ("learner:=none", "iterations:=1", "trainer.episodes_per_iteration:=1")
PERTURBATION = "literal"
STIFFNESS, DAMPING = 2.0, 0.2
CHUNKS = {
    "kind": "joint_position",
    "stiffness": STIFFNESS,
    "damping": DAMPING,
    "chunk": {"length": 8, "rate_hz": 20, "follow": 4},
}


def imported(folder: Path, content: dict[str, Any], data: bytes | None = None) -> Path:
    out = folder / "policy.safetensors"
    (folder / "contract.yaml").write_text(json.dumps(content))
    files = [folder / "policy.onnx"] if data is not None else []
    for file in files:
        file.write_bytes(data or b"")
    words = ["import-policy", *map(str, files), "--contract", str(folder / "contract.yaml"), "--out", str(out)]
    assert main(words) == 0
    return out


def decisions_of(run: Path) -> list[SafetyDecision]:
    return [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]


@contextmanager
def example(name: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """An example, running; killed at the end."""
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(number), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    process = subprocess.Popen([sys.executable, EXAMPLES / name], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_an_onnx_model_that_onnxruntime_evaluates_acts_in_policy_server(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    weights = mlp((18, 6, 7)) | {"s": np.full((1, 7), 0.2, dtype=np.float32)}
    nodes = [
        node("Gemm", ["x", "w0", "b0"], ["h"], attribute("transB", 1)),
        node("Tanh", ["h"], ["a"]),
        node("Gemm", ["a", "w1", "b1"], ["m"], attribute("transB", 1)),
        node("Mul", ["m", "s"], ["y"]),  # no plain MLP any more
    ]
    data = model(nodes, weights, [value("x", 1, 18)], [value("y", 1, 7)])
    file = imported(tmp_path, contract("onnx", "gaussian", stddev=0.05), data)
    finished = graph_runs.up(tmp_path / "run", f"policy:={file}", *SHORT, f"perturbation:={PERTURBATION}", "seed:=0")
    assert finished.returncode == 0, finished.stderr
    steps = [decision for decision in decisions_of(tmp_path / "run") if not decision.last]
    assert len(steps) == 200
    for decision in steps:
        hidden = np.tanh(weights["w0"] @ decision.observation + weights["b0"])
        np.testing.assert_allclose(decision.proposed_mean, 0.2 * (weights["w1"] @ hidden + weights["b1"]), atol=1e-5)
        np.testing.assert_allclose(decision.proposed_stddev, 0.05)
        assert max(map(abs, decision.applied_effort)) <= decision.torque_limit
    # From Python it is the same episode, to the last bit.
    env = st.make_env("pr2_cup_swirl", perturbation=PERTURBATION, torque_limit=steps[0].torque_limit)
    alone = st.rollout(st.load_policy(file, task="pr2_cup_swirl"), env)
    np.testing.assert_array_equal(alone.chosen[0], [decision.proposed_effort for decision in steps])
    np.testing.assert_array_equal(alone.applied[0], [decision.applied_effort for decision in steps])
    kept = sorted((tmp_path / "run" / "checkpoints").glob("policy_*.safetensors"))
    policies = [any_policy_from_bytes(path.read_bytes())[1] for path in kept]
    assert [about["from"] for about in policies] == ["policy.onnx"] * len(kept) and kept


class Pictures(threading.Thread):
    """A camera: the newest joint state as an image with its stamp, the first joint's angle in its brightness."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._context, self._over = Context(), threading.Event()
        rclpy.init(context=self._context, domain_id=number)
        self._node = Node("pictures", context=self._context)
        self._shown = topics.CAMERA_IMAGE.advertise(self._node)
        self._image = Image(height=8, width=12, encoding="bgr8", step=36)
        topics.JOINT_STATES.listen(self._node, self._see)

    def _see(self, state: JointState) -> None:
        self._image.data = bytes([brightness(state), 50, 0] * 96)
        self._image.header.stamp = state.header.stamp
        self._shown.publish(self._image)

    def run(self) -> None:
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        while not self._over.is_set():
            executor.spin_once(timeout_sec=0.1)
            if self._image.data:  # as a camera does: who was not there for the first one gets another
                self._shown.publish(self._image)
        executor.shutdown()

    def __enter__(self) -> Pictures:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self._node.destroy_node()
        self._context.try_shutdown()


def brightness(state: Any) -> int:
    """Of the joint whose name comes first, whatever order they come in."""
    first = min(range(len(state.position)), key=lambda index: names_of(state)[index])
    return int(1e4 * state.position[first]) % 256


def names_of(state: Any) -> Any:
    return state.joint_names if hasattr(state, "joint_names") else state.name


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_a_policy_sees_the_image_of_the_state_it_answers(tmp_path: Path, number: int) -> None:
    pytest.importorskip("onnxruntime")
    run = tmp_path / "run"
    weights = {"w": np.ones((3, 7), dtype=np.float32) * [[0.0], [0.0], [0.1]]}
    nodes = [
        node("GlobalAveragePool", ["image"], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
        node("MatMul", ["means", "w"], ["y"]),
    ]
    data = model(nodes, {"w": weights["w"].astype(np.float32)}, [value("image", 1, 3, 8, 12)], [value("y", 1, 7)])
    image = {"part": "image", "height": 8, "width": 12, "encoding": "rgb8", "max_age": 0.1, "mean": 128, "stddev": 127}
    file = imported(tmp_path, contract("onnx", observation=[image]), data)
    with Pictures(number):
        finished = graph_runs.up(run, f"policy:={file}", *SHORT, ROS_DOMAIN_ID=str(number))
    assert finished.returncode == 0, finished.stderr
    steps = [decision for decision in decisions_of(run) if not decision.last]
    assert len(steps) == 200
    for decision in steps:
        blue = 0.1 * (brightness(decision) - 128) / 127  # the channels come in the contract's order, not the camera's
        np.testing.assert_allclose(decision.proposed_effort, np.full(7, blue), atol=1e-6)
    assert len({brightness(decision) for decision in steps}) >= 5, "the arm moved"
    assert sum(1 for _ in messages(run / "bag", ["/camera/image"])) >= 200


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_chunks_of_a_process_are_judged_recorded_and_reported(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    file = imported(tmp_path, contract("process", action=CHUNKS))
    with example("outside_policy_chunks.py", number):
        finished = graph_runs.up(run, f"policy:={file}", *SHORT, report=True, ROS_DOMAIN_ID=str(number))
    assert finished.returncode == 0, finished.stderr
    steps = [decision for decision in decisions_of(run) if not decision.last]
    assert len(steps) == 200 and (run / "report.html").exists()
    for step, decision in enumerate(steps):
        answered, row = steps[step - step % 4], step % 4
        target = np.array(answered.position) + 0.01 * (row + 1)
        torque = STIFFNESS * (target - decision.position) - DAMPING * np.array(decision.velocity)
        np.testing.assert_allclose(decision.proposed_effort, torque, atol=1e-9)
        assert decision.distribution == 2 and max(map(abs, decision.applied_effort)) <= decision.torque_limit
    assert sum(1 for _ in messages(run / "bag", ["/outside_policy/chunk"])) >= 50
    (told,), ((again,), _) = read(run / "iterations.csv"), iteration_records(run / "bag")
    assert {name for name, value in told.as_dict().items() if again.as_dict()[name] != value} <= {"wall_time_s"}


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_a_process_that_dies_in_real_time_ends_in_stop_torque(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    file = imported(tmp_path, contract("process"))
    patient = (f"safety_filter.{name}:=3.0" for name in ("joint_state_timeout", "frozen_timeout"))
    late = ("safety_filter.action_timeout:=1.0", "safety_filter.trip_timeout:=2.0")
    context = Context()
    rclpy.init(context=context, domain_id=number)
    observer, executor = Node("observer", context=context), SingleThreadedExecutor(context=context)
    heard: list[SafetyDecision] = []
    observer.create_subscription(SafetyDecision, "safety_filter/decision", heard.append, qos.RECORD)
    executor.add_node(observer)
    words = (f"policy:={file}", "timing:=realtime", *SHORT, *patient, *late)
    try:
        with (
            example("outside_policy.py", number) as process,
            graph_runs.started(run, *words, ROS_DOMAIN_ID=str(number)) as graph,
        ):
            graph_runs.wait_for(lambda: executor.spin_once(timeout_sec=0.01) or len(heard) >= 25, 90, "25 decisions")
            process.kill()
            assert graph.wait(timeout=60) != 0
    finally:
        executor.shutdown()
        rclpy.shutdown(context=context)
    decisions = decisions_of(run)
    taken = [decision for decision in decisions if decision.verdict == SafetyDecision.VERDICT_ACCEPTED]
    assert len(taken) >= 20 and decisions[-1].mode == SafetyDecision.MODE_TRIPPED
    proposals = [message for _, message, _ in messages(run / "bag", ["/policy_server/action"])]
    between = np.diff([to_ns(message.header.stamp) for message in proposals if not message.last]) / 1e6
    assert np.median(between) == pytest.approx(50.0, abs=5.0) and between.min() >= 25.0
    commands = [message for _, message, _ in messages(run / "bag", ["/effort_controller/commands"])]
    assert not any(commands[-1].data)


@contextmanager
def half_a_policy(number: int, whole: int) -> Iterator[None]:
    """A process that sends chunks, of which only the first ones are whole, and each beside one with a clock's stamp."""
    context = Context()
    rclpy.init(context=context, domain_id=number)
    process, executor = Node("outside_policy", context=context), SingleThreadedExecutor(context=context)
    chunks = process.create_publisher(ActionChunk, "outside_policy/chunk", 10)
    sent = 0

    def plan(state: JointState) -> None:
        nonlocal sent
        sent += 1
        actions = list(state.position) * (8 if sent <= whole else 3)
        chunk = ActionChunk(action_names=state.name, length=8, period=0.05, actions=actions)
        chunk.header.stamp.sec = 2_000_000_000  # by a clock: refused, so that it is not waited for
        chunks.publish(chunk)
        chunk.header.stamp = state.header.stamp
        chunks.publish(chunk)

    process.create_subscription(JointState, "joint_states", plan, 10)
    executor.add_node(process)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        rclpy.shutdown(context=context)
        thread.join()


@pytest.mark.timeout(240)  # a whole run, on a machine that may be busy
def test_chunks_that_are_not_whole_end_in_stop_torque(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    file = imported(tmp_path, contract("process", action=CHUNKS))
    words = (f"policy:={file}", *SHORT, "safety_filter.lockstep_timeout:=2.0")
    with half_a_policy(number, whole=30):
        finished = graph_runs.up(run, *words, ROS_DOMAIN_ID=str(number))
    assert finished.returncode != 0
    decisions = decisions_of(run)
    assert 0 < sum(decision.verdict == SafetyDecision.VERDICT_ACCEPTED for decision in decisions) <= 34
    assert decisions[-1].mode == SafetyDecision.MODE_TRIPPED
    commands = [message for _, message, _ in messages(run / "bag", ["/effort_controller/commands"])]
    assert not any(commands[-1].data)
    log = (run / "logs" / "policy_server.log").read_text()
    assert "expected the stamp of the joint state that it answers" in log
    assert "outside_policy/chunk refused: it is not whole: expected 8 rows of 7 actions, got 21 numbers" in log
