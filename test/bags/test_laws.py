# SPDX-License-Identifier: Apache-2.0
"""Decisions on actions that are not Gaussian: a deterministic one has spread 0, a tanh Gaussian one its bound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from decision_bags import decision, write
from scipy.stats import norm
from synthetic_run import Messages, definitions

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.laws import acted
from safe_transfer_ros.bags.live import LiveTransitions
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.critics.data import data_set
from safe_transfer_ros.critics.training import CriticTraining, TrainingSettings
from safe_transfer_ros.learning.replay_buffer import ReplayBuffer
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, MESSAGES, STEPS = in_graph("pr2_cup_swirl"), Messages(), 6


def recorded(folder: Path, **law: object) -> Bag:
    data = [decision(MESSAGES, GRAPH.task, 0, step, STEPS, **law if step < STEPS else {}) for step in range(STEPS + 1)]
    return Bag(write(folder / "bag", data))


def test_a_deterministic_action_has_no_spread(tmp_path: Path) -> None:
    bag = recorded(tmp_path, distribution=2, proposed_stddev=np.empty(0))
    transitions, counts = write_transitions([bag], GRAPH, tmp_path / "transitions")
    assert counts.transitions == STEPS
    np.testing.assert_array_equal(transitions["stddev"], 0.0)

    np.testing.assert_array_equal(transitions["distribution"], 2)
    assert np.isnan(transitions["log_density"]).all() and np.isnan(transitions["bound"]).all()


BOUND, ACTION, MEAN, STDDEV = (
    np.linspace(1.5, 2.5, 7),
    np.linspace(-1.4, 1.4, 7),
    np.linspace(-1, 1, 7),
    np.full(7, 0.4),
)
SQUASHED = {
    "distribution": 1,
    "proposed_bound": BOUND,
    "proposed_mean": MEAN,
    "proposed_stddev": STDDEV,
    "proposed_effort": ACTION,
}


def test_a_tanh_gaussian_is_read_with_its_bound_and_its_density(tmp_path: Path) -> None:
    transitions, counts = write_transitions([recorded(tmp_path, **SQUASHED)], GRAPH, tmp_path / "transitions")
    assert (counts.transitions, counts.not_finite) == (STEPS, 0)
    for name, value in (("distribution", 1), ("bound", BOUND), ("mean", MEAN), ("stddev", STDDEV), ("chosen", ACTION)):
        np.testing.assert_allclose(transitions[name], np.broadcast_to(value, transitions[name].shape), rtol=1e-6)
    np.testing.assert_array_equal(transitions["next_distribution"][:-1], 1)
    np.testing.assert_allclose(transitions["next_bound"][:-1], np.tile(BOUND, (STEPS - 1, 1)), rtol=1e-6)
    assert np.isnan(transitions["next_bound"][-1]).all(), "the episode ended there"

    def below(action: np.ndarray) -> np.ndarray:
        return norm.cdf((np.arctanh(action / BOUND) - MEAN) / STDDEV)

    density = np.log((below(ACTION + 1e-6) - below(ACTION - 1e-6)) / 2e-6).sum()
    np.testing.assert_allclose(transitions["log_density"], density, rtol=1e-5)


def test_an_action_at_the_very_bound_has_no_density(tmp_path: Path) -> None:
    bag = recorded(tmp_path, **SQUASHED | {"proposed_effort": BOUND})
    transitions, counts = write_transitions([bag], GRAPH, tmp_path / "transitions")
    assert counts.transitions == STEPS and np.isnan(transitions["log_density"]).all()


def test_the_bound_is_told_by_the_actions_name_too(tmp_path: Path) -> None:
    backwards = {name: SQUASHED[name][::-1].copy() for name in SQUASHED if name != "distribution"}
    names = list(reversed(GRAPH.action_names))
    bag = recorded(tmp_path, distribution=1, action_names=names, **backwards)
    transitions, _ = write_transitions([bag], GRAPH, tmp_path / "transitions")
    np.testing.assert_allclose(transitions["bound"], np.tile(BOUND, (STEPS, 1)), rtol=1e-6)


@pytest.mark.parametrize("bound", [np.empty(0), np.zeros(7), np.full(7, np.nan)])
def test_a_tanh_gaussian_without_a_bound_makes_no_transition(tmp_path: Path, bound: np.ndarray) -> None:
    bag = recorded(tmp_path, **SQUASHED | {"proposed_bound": bound})
    _, counts = write_transitions([bag], GRAPH, tmp_path / "transitions")
    assert (counts.transitions, counts.not_finite) == (0, STEPS)


def test_laws_may_change_from_step_to_step(tmp_path: Path) -> None:
    laws: list[dict[str, object]] = [{}, SQUASHED, {"distribution": 2, "proposed_stddev": np.empty(0)}, SQUASHED, {}]
    data = [decision(MESSAGES, GRAPH.task, 0, step, len(laws), **law) for step, law in enumerate([*laws, {}])]
    bag = Bag(write(tmp_path / "bag", data))
    transitions, _ = write_transitions([bag], GRAPH, tmp_path / "transitions")
    np.testing.assert_array_equal(transitions["distribution"], [0, 1, 2, 1, 0])
    np.testing.assert_array_equal(transitions["next_distribution"][:-1], [1, 2, 1, 0])
    squashed = [False, True, False, True, False]
    np.testing.assert_array_equal(np.isfinite(transitions["bound"]).all(axis=1), squashed)
    drawn = acted(np.full((5, 7), 50.0), transitions["bound"])
    np.testing.assert_allclose(drawn, np.where(np.array(squashed)[:, None], BOUND, 50.0), rtol=1e-6)


def test_a_squashed_policys_recording_is_a_replay_buffer_and_teaches_a_critic(tmp_path: Path) -> None:
    data = [
        decision(MESSAGES, GRAPH.task, episode, step, STEPS, **SQUASHED if step < STEPS else {})
        for episode in range(12)
        for step in range(STEPS + 1)
    ]
    transitions, _ = write_transitions([Bag(write(tmp_path / "bag", data))], GRAPH, tmp_path / "transitions")
    drawn = ReplayBuffer.recorded(transitions).sample(8, np.random.default_rng(0))
    np.testing.assert_allclose(drawn["bound"], np.tile(BOUND, (8, 1)), rtol=1e-6)
    training = CriticTraining(data_set(transitions, 0.7), TrainingSettings(updates=2, check_every=1))
    rows = training.data.training[:4]
    for when in ("", "next_"):
        found = training._drawn(rows, when, np.random.default_rng(3))
        noise = np.random.default_rng(3).standard_normal((4, 7))
        expected = np.clip(BOUND * np.tanh(MEAN + STDDEV * noise), -0.5, 0.5)  # the limit in force
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(list(training.checks())) == 2


def test_transitions_written_before_the_laws_were_recorded_are_still_read(tmp_path: Path) -> None:
    folder = tmp_path / "transitions"
    write_transitions([recorded(tmp_path, distribution=2, proposed_stddev=np.empty(0))], GRAPH, folder)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": 1}))
    for name in ("distribution", "bound", "log_density", "next_distribution", "next_bound"):
        (folder / f"{name}.npy").unlink()
    old = Transitions(folder)
    np.testing.assert_array_equal(old["distribution"], np.full(STEPS, 2))
    np.testing.assert_array_equal(old["next_distribution"][:-1], np.full(STEPS - 1, 2))
    for name, shape in (("bound", (STEPS, 7)), ("next_bound", (STEPS, 7)), ("log_density", (STEPS,))):
        assert old[name].shape == shape and np.isnan(old[name]).all()
    with pytest.raises(BagError, match="the column .*mean.npy is missing"):
        (folder / "mean.npy").unlink()
        Transitions(folder)["mean"]


@pytest.mark.parametrize(
    ("field", "number", "most"), [("distribution", 3, 2), ("distribution", 255, 2), ("verdict", 7, 6)]
)
def test_a_number_that_stands_for_nothing_is_refused(tmp_path: Path, field: str, number: int, most: int) -> None:
    bag = recorded(tmp_path, **{field: number})
    with pytest.raises(BagError, match=f"has the {field} {number}, expected 0 to {most}"):
        write_transitions([bag], GRAPH, tmp_path / "transitions")


def test_a_live_decision_that_cannot_be_taken_is_left_out_and_those_about_it_are_kept(tmp_path: Path) -> None:
    live = LiveTransitions(tmp_path / "live", GRAPH, definitions())
    wrong: tuple[dict[str, object], ...] = ({"distribution": 3}, {"proposed_effort": np.ones(1)})
    for step in range(STEPS):
        live.add(decision(MESSAGES, GRAPH.task, 0, step, STEPS))
        for one in wrong:
            live.add(decision(MESSAGES, GRAPH.task, 1, step, STEPS, **one))
    live.add(b"no decision at all")
    live.flush()
    assert live.left_out == 2 * STEPS + 1 and live.refusal
    live.add(bytes(64 * 1024 + 1))
    assert live.left_out == 2 * STEPS + 2, "at once: what waits is kept in memory"
    assert live.refusal == "a decision of 65537 bytes, expected at most 65536"
    assert len(live.close()) == STEPS - 1
