# SPDX-License-Identifier: Apache-2.0
"""Training from a data set: a small arm whose failures are known, resumed, judged, refused."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest

from safe_transfer_ros.critics.safety_critic import SafetyCritic, Support, load_critic, save_critic
from safe_transfer_ros.critics.training import (
    CriticSettings,
    CriticTraining,
    TrainingSettings,
    data_set,
    judge,
    model_card,
    train_critic,
)
from safe_transfer_ros.policies.weights import WeightsError


def walks(episodes=60, steps=40, push=0.5, wall=1.5, seed=0):
    """A point pushed about on a line: x' = x + push * torque; beyond the wall is unsafe and ends the episode."""
    rng = np.random.default_rng(seed)
    rows = []
    for episode in range(episodes):
        x = rng.uniform(-1, 1)
        for step in range(steps):
            torque = np.clip(rng.standard_normal(), -1, 1)
            after = x + push * torque
            failed = abs(after) > wall
            last = failed or step == steps - 1
            rows.append((episode, step, x, torque, after, failed, last))
            if last:
                break
            x = after
    e, s, x, torque, after, failed, last = (np.array(column) for column in zip(*rows, strict=True))
    column = lambda values: values[:, None].astype(np.float32)  # noqa: E731
    return {
        "iteration": np.zeros(len(e), dtype=np.uint32),
        "episode": e.astype(np.uint32),
        "step": s,
        "chain": e,
        "observation": column(x),
        "applied": column(torque),
        "mean": column(0 * x),
        "stddev": column(1 + 0 * x),
        "bound": column(np.nan * x),
        "torque_limit": np.ones(len(e), dtype=np.float32),
        "cost": failed.astype(np.float32),
        "terminated": failed,
        "next_observation": column(after),
        "next_mean": column(np.where(last, np.nan, 0.0)),
        "next_stddev": column(np.where(last, np.nan, 1.0)),
        "next_bound": column(np.nan * x),
        "next_torque_limit": np.ones(len(e), dtype=np.float32),
    }


SETTINGS = TrainingSettings(
    critic=CriticSettings(gamma=0.5, hidden=(32, 32), learning_rate=3e-3, target_rate=0.02),
    updates=600,
    check_every=200,
    batch=64,
)
DATA = data_set(walks(), 0.5)


def trained(data=DATA, settings=SETTINGS):
    training = CriticTraining(data, settings)
    list(training.checks())
    return training


@pytest.fixture(scope="module")
def training():
    return trained()


def test_the_critic_foretells_failures_of_episodes_it_has_not_seen(training):
    found = judge(training.parameters(), DATA, 0.5)
    assert found.skill > 0.5 and found.auroc[1] > 0.95
    critic = SafetyCritic(training.parameters(), 1, training.support(training.parameters()))
    outward, inward = critic.risk([[1.3], [1.3]], [[0.9], [-0.9]])
    assert outward > 0.8 and inward < 0.2


def test_episodes_are_held_out_whole():
    episode = DATA.columns["episode"]
    taught, chose, judged = (set(episode[rows]) for rows in (DATA.training, DATA.stopping.rows, DATA.judging.rows))
    assert not taught & chose and not taught & judged and not chose & judged
    assert 0.02 < len(chose) / 60 < 0.25 and 0.05 < len(judged) / 60 < 0.45


@pytest.mark.parametrize("episodes", [1, 2, 3, 7])
def test_few_episodes_are_split_as_well(episodes: int):
    data = data_set(walks(episodes=episodes, steps=400, push=0.0), 0.5)
    parts = [set(data.training), set(data.stopping.rows), set(data.judging.rows)]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts))


def test_a_step_cut_at_the_horizon_is_left_out_whether_it_failed_or_not():
    """Two steps per episode, one in ten fails, failures do not end it: kept as they are, they stay one in ten."""
    rng = np.random.default_rng(2)
    data = walks(episodes=2000, steps=2, push=0.0)
    data["cost"] = (rng.random(len(data["cost"])) < 0.1).astype(np.float32)
    split = data_set(data, 0.5)
    assert split.unsafe / len(split.training) == pytest.approx(0.1, abs=0.02)
    assert np.isfinite(data["next_mean"][split.training]).all()


def test_whatever_is_learned_from_makes_it_another_training():
    plain = walks(episodes=10)
    for name in ("mean", "stddev", "bound", "torque_limit", "terminated", "next_stddev", "applied", "cost"):
        changed = {**plain, name: plain[name].copy()}
        changed[name][3] = ~changed[name][3] if changed[name].dtype == bool else np.nan_to_num(changed[name][3]) + 1
        assert data_set(changed, 0.5).digest != data_set(plain, 0.5).digest, name


def test_memory_does_not_grow_with_the_recording(training, tmp_path, monkeypatch):  # trained before: all is imported
    """Eight times the transitions, nearly the same peak: a byte for each, where the rows alone would take eight."""
    monkeypatch.setattr("safe_transfer_ros.critics.data._HELD_OUT_MOST", 1000)
    settings = dataclasses.replace(SETTINGS, updates=4, check_every=2, critic=CriticSettings(gamma=0.5, hidden=(8,)))

    plain = walks(episodes=2000, steps=20)

    def peak(episodes):
        folder = tmp_path / str(episodes)
        folder.mkdir()
        for name, column in plain.items():
            np.save(folder / f"{name}.npy", np.concatenate([column] * (episodes // 2000)))
        episode = np.arange(len(np.load(folder / "episode.npy", mmap_mode="r"))) // 20
        np.save(folder / "episode.npy", episode.astype(np.uint32))
        mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in plain}
        tracemalloc.start()
        train_critic(mapped, settings, {}, folder / "critic")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    short, long = peak(2000), peak(16000)
    more = len(plain["cost"]) * 7  # transitions
    assert long < short + 2 * more, (short, long)


def test_a_state_or_torque_far_from_the_data_counts_as_unsafe(training):
    parameters = training.parameters()
    critic = SafetyCritic(parameters, 1, training.support(parameters))
    seen = critic.risk(DATA.columns["observation"], DATA.columns["applied"])
    assert (seen > 1.0).mean() < 0.01
    assert (critic.risk([[9.0], [0.0], [-9.0]], [[0.0], [7.0], [0.0]]) > 1.0).all()
    far = critic.risk([[9.0], [30.0]], [[0.0], [0.0]])
    assert far[1] > far[0]


def test_members_that_disagree_have_no_support():
    settings = TrainingSettings(
        critic=CriticSettings(gamma=0.5, hidden=(16,), members=4, learning_rate=3e-3),
        support="ensemble",
        updates=300,
        check_every=300,
    )
    training = trained(settings=settings)
    parameters = training.parameters()
    support = training.support(parameters)
    critic = SafetyCritic(parameters, 1, support)
    seen = critic.risk(DATA.columns["observation"], DATA.columns["applied"])
    assert support.rule == "ensemble" and 0.0 < (seen > 1.0).mean() < 0.01


def test_training_that_was_stopped_ends_at_the_same_critic(training, tmp_path):
    first = CriticTraining(DATA, SETTINGS)
    next(first.checks())
    first.save(tmp_path / "state.pt")
    second = CriticTraining(DATA, SETTINGS)
    second.restore(tmp_path / "state.pt")
    assert second.updates == 200
    list(second.checks())
    for name, array in training.parameters().items():
        np.testing.assert_array_equal(array, second.parameters()[name])
    other = CriticTraining(data_set(walks(seed=5), 0.5), SETTINGS)
    with pytest.raises(ValueError, match="other settings or data"):
        other.restore(tmp_path / "state.pt")


def test_training_stops_when_held_out_episodes_get_no_better():
    settings = TrainingSettings(
        critic=CriticSettings(gamma=0.5, hidden=(8,), learning_rate=0.5), updates=100_000, check_every=20, patience=2
    )
    training = trained(settings=settings)
    assert training.updates < 5_000


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_learn_from_is_one_line(count):
    nothing = {name: values[:count] for name, values in walks(episodes=1, steps=3, push=0.001).items()}
    with pytest.raises(
        ValueError, match=f"no transition to learn from: expected .*, got {count} transitions, of which"
    ):
        data_set(nothing, 0.5)


def test_without_unsafe_examples_a_critic_is_not_certified(tmp_path):
    data = data_set(walks(push=0.001), 0.5)
    assert data.unsafe == 0
    settings = TrainingSettings(critic=CriticSettings(gamma=0.5, hidden=(8,)), updates=20, check_every=20)
    training = trained(data, settings)
    parameters = training.parameters()
    card = model_card(training, judge(parameters, data, 0.5), training.support(parameters), {"period_s": 0.05})
    assert not card["certified"] and "0 unsafe examples" in card["against"][0] and "record runs" in card["against"][0]


@pytest.mark.parametrize("name", ["layer.0.weight", "layer.1.weight"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_critic_with_a_layer_of_nothing_is_refused(training, name, axis):
    parameters = training.parameters()
    weight = parameters[name]
    empty = {name: np.zeros([0 if i == axis else n for i, n in enumerate(weight.shape)], np.float32)}
    with pytest.raises(WeightsError, match="each at least 1"):
        SafetyCritic(parameters | empty, 1, Support(rule="off", limit=1.0))


def test_the_card_travels_with_the_critic(training, tmp_path):
    parameters = training.parameters()
    support = training.support(parameters)
    card = model_card(training, judge(parameters, DATA, 0.5), support, {"task": "line", "period_s": 0.05})
    assert card["certified"], card["against"]
    assert card["horizon_steps"] == pytest.approx(np.log(0.1) / np.log(0.5))
    assert card["data"]["torque_limit"] == [1.0, 1.0]
    digest = save_critic(tmp_path / "c.safetensors", parameters, card)
    loaded = load_critic(tmp_path / "c.safetensors", observation_size=1, action_size=1)
    assert loaded.version == digest[:12] and loaded.card["data"]["digest"] == DATA.digest
    observation, torque = DATA.columns["observation"][:50], DATA.columns["applied"][:50]
    np.testing.assert_array_equal(
        loaded.critic.risk(observation, torque), SafetyCritic(parameters, 1, support).risk(observation, torque)
    )
    # One row at a time, as the filter asks, and all at once are the same critic.
    single = [loaded.critic.risk(observation[i : i + 1], torque[i : i + 1])[0] for i in range(50)]
    np.testing.assert_allclose(single, loaded.critic.risk(observation, torque), rtol=1e-5)
    with pytest.raises(WeightsError, match="1 action numbers, this task has 7"):
        load_critic(tmp_path / "c.safetensors", action_size=7)
    content = (tmp_path / "c.safetensors").read_bytes()
    for cut in (0, 7, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:cut])
        with pytest.raises(WeightsError):
            load_critic(tmp_path / "cut")
