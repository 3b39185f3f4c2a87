# SPDX-License-Identifier: Apache-2.0
"""What the head of a report says of the arm and of the critic: of a real arm nothing simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import synthetic_run as synthetic
import yaml
from hand_made_critic import critic, version_of

from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.policies.tensors import sha256_of
from safe_transfer_ros.reporting import conditions
from safe_transfer_ros.reporting.report import report
from safe_transfer_ros.reporting.run import load

DECISIONS, CRITICS = "/safety_filter/decision", "/trainer/critic_weights"


def configured(run_dir: Path, node: str, **values: object) -> None:
    path = run_dir / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config.setdefault(node, {"ros__parameters": {}})["ros__parameters"].update(values)
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def test_a_simulated_run_names_its_perturbation(make_run, one_plot) -> None:
    text = report(make_run("run", iterations=1)).read_text()
    assert "simulated arm “light_sticky”" in text and "robot:=hardware" not in text


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ("/**", {"graph": "trainer,policy_server,controller_supervisor,safety_filter"}),
        ("safety_filter", {"permission_lease": 0.1}),  # a run from before its graph was told
    ],
)
def test_the_record_of_a_real_arm_says_nothing_of_a_simulated_one(make_run, one_plot, node, told) -> None:
    folder = make_run("run", iterations=1)
    configured(folder, node, **told)
    text = report(folder).read_text()
    assert "pr2_left_arm by ros2_control (robot:=hardware)" in text
    assert "light_sticky" not in text


def test_a_lease_that_is_off_is_a_simulation(make_run) -> None:
    folder = make_run("run", iterations=1)
    configured(folder, "safety_filter", permission_lease="off")
    assert not conditions.on_hardware(load(folder))


def test_an_arm_that_was_driven_uncommissioned_is_named(make_run, one_plot) -> None:
    folder = make_run("run", iterations=1)
    evidence = {"report": "", "overridden": True, "refusal": "no report <for> this"}
    (folder / "commission.yaml").write_text(yaml.safe_dump(evidence))
    assert "allow_uncommissioned:=true): no report &lt;for&gt; this" in report(folder).read_text()
    (folder / "commission.yaml").write_text(yaml.safe_dump(evidence | {"overridden": False}))
    assert "allow_uncommissioned" not in report(folder).read_text()


def gated(folder: Path, *, sent: bytes | None, version: str) -> None:
    """The run's bag again, as if a critic had judged every proposal that was taken."""
    messages = synthetic.Messages()

    def judged(number: int, data: bytes) -> list[bytes]:
        decision = messages.read(DECISIONS, data)
        risk = 0.01 if len(decision.proposed_effort) else np.nan
        return [messages.changed(DECISIONS, data, critic_version=version, risk=risk)]

    (folder / "bag").rename(folder / "before")
    source = synthetic.copied(folder / "before", folder / "between", DECISIONS, judged)
    definitions = synthetic.definitions()
    with BagWriter(folder / "bag", definitions=definitions) as writer:
        ids: dict[str, int] = {}
        for message in source.recorded():
            if message.topic not in ids:
                ids[message.topic] = writer.register(message.topic, message.type_name)
            writer.write(ids[message.topic], message.data, message.log_time_ns, message.publish_time_ns)
        if sent is not None:
            kind = "safe_transfer_msgs/msg/CriticWeights"
            synthetic.TYPES[CRITICS] = kind
            try:
                fields = {"iteration": 0, "data": np.frombuffer(sent, dtype=np.uint8), "sha256": sha256_of(sent)}
                data = synthetic.Messages().serialised(kind, header=messages.header(0), **fields)
            finally:
                del synthetic.TYPES[CRITICS]
            writer.write(writer.register(CRITICS, kind, [OfferedQos()]), data, 1, 1)
    assert Bag(folder / "bag").losses() == []


@pytest.mark.parametrize(
    ("certified", "settings", "told"),
    [
        (True, {}, "epsilon 0.1 (its model card), certified by its training"),
        (False, {"critic_epsilon": 0.03}, "epsilon 0.03 (critic_epsilon), NOT certified by its training"),
        (
            True,
            {"critic_schedule": "csc"},
            "epsilon 0.1 (its model card) at most, less by critic_schedule csc, certified",
        ),
    ],
)
def test_a_gated_run_names_critic_version_and_epsilon(make_run, one_plot, certified, settings, told) -> None:
    sent = critic(threshold=0.05, certified=certified)
    folder = make_run("run", iterations=2, episodes=2, steps=20)
    gated(folder, sent=sent, version=version_of(sent))
    configured(folder, "safety_filter", critic="required", **settings)
    configured(folder, "trainer", critic="critics/mine.safetensors")
    text = report(folder).read_text()
    assert "Origin: critics/mine.safetensors." in text
    assert f"Critic {version_of(sent)} judged 80 decisions, {told}" in text


def test_critics_that_were_not_recorded_or_that_a_learner_made_are_told_by_their_versions(make_run) -> None:
    folder = make_run("run", iterations=1, episodes=1, steps=20)
    gated(folder, sent=None, version="0123456789ab")
    configured(folder, "safety_filter", critic="required")
    configured(folder, "trainer", learner="csc")
    assert conditions.critics(load(folder)) == [
        "Origin: made by learner csc.",
        "Critic 0123456789ab judged 20 decisions, epsilon unknown.",
    ]
    (folder / "bag" / "metadata.yaml").unlink()
    for path in (folder / "bag").glob("*.mcap"):
        path.unlink()
    assert "which one judged is not known without the bag" in conditions.critics(load(folder))[0]


def test_without_a_critic_nothing_is_said(make_run) -> None:
    assert conditions.critics(load(make_run("run", iterations=1))) == []
