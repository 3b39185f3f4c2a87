# SPDX-License-Identifier: Apache-2.0
"""Sequences of episodes side by side: unbroken, with their end, and images that come out as they went in."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.learning.sequence_replay import SequenceReplay

PIXELS, REST, ACTIONS, UNITS = 4, 2, 1, 3


def observed(episode: int, step: int) -> np.ndarray:
    """An observation that tells which it is."""
    return np.array([episode, step, 255, 0]) / 255.0


def filled(lengths: tuple[int, ...], capacity: int = 100, terminates: bool = True) -> SequenceReplay:
    """Episodes side by side, step by step; even ones terminate, where any does."""
    replay = SequenceReplay(capacity, pixels=PIXELS, rest=REST, actions=ACTIONS, units=UNITS)
    for step in range(max(lengths)):
        running = np.array([episode for episode, length in enumerate(lengths) if step < length])
        ended = np.array([step + 1 == lengths[episode] for episode in running])
        seen = np.stack([np.append(observed(episode, step), [episode + 0.25, -step]) for episode in running])
        done = ended & (running % 2 == 0) & terminates
        replay.add(
            running,
            seen,
            np.full((len(running), UNITS), step / 8.0),
            np.full((len(running), ACTIONS), step / 4.0),
            (np.full(len(running), float(step)), np.asarray(running, dtype=np.float64), done),
        )
        last = np.stack([np.append(observed(episode, step + 1), [episode + 0.25, -step - 1]) for episode in running])
        if ended.any():
            replay.close(running[ended], last[ended])
    return replay


def test_sequences_are_unbroken_and_of_one_episode_each() -> None:
    replay = filled((6, 9, 7))
    assert len(replay) == 22 + 3
    drawn = replay.sample(200, 4, np.random.default_rng(0))
    assert {name: array.shape for name, array in drawn.items()} == {
        "observation": (200, 5, 6),
        "chosen": (200, 4, 1),
        "reward": (200, 4),
        "cost": (200, 4),
        "terminated": (200, 4),
        "memory": (200, 3),
    }
    image = np.rint(255.0 * drawn["observation"][..., :4]).astype(int)
    episode, step = image[..., 0], image[..., 1]
    assert (episode == episode[:, :1]).all() and (np.diff(step, axis=1) == 1).all() and (image[..., 2] == 255).all()
    np.testing.assert_array_equal(drawn["observation"][..., 4], episode + np.float32(0.25))
    np.testing.assert_array_equal(drawn["observation"][..., 5], -step)
    np.testing.assert_array_equal(drawn["reward"], step[:, :-1])
    np.testing.assert_array_equal(drawn["cost"], episode[:, :-1])
    np.testing.assert_array_equal(drawn["chosen"][..., 0], step[:, :-1] / 4.0)
    np.testing.assert_array_equal(drawn["memory"], np.repeat(step[:, :1] / 8.0, 3, axis=1))


def test_the_last_transition_of_an_episode_is_drawn_and_only_a_termination_ends_it() -> None:
    drawn = filled((6, 9, 7)).sample(300, 4, np.random.default_rng(1))
    image = np.rint(255.0 * drawn["observation"][..., :2]).astype(int)
    last = image[:, -1, 1] == np.array([6, 9, 7])[image[:, 0, 0]]
    assert {0, 1, 2} == set(image[last, 0, 0]) and 30 < last.sum() < 270
    np.testing.assert_array_equal(drawn["terminated"][:, -1], last & (image[:, 0, 0] % 2 == 0))
    assert not drawn["terminated"][:, :-1].any()
    assert not filled((6, 9, 7), terminates=False).sample(300, 4, np.random.default_rng(1))["terminated"].any()


def test_an_image_comes_out_as_it_went_in_or_is_refused() -> None:
    replay = SequenceReplay(300, pixels=1, rest=1, actions=1, units=1)
    every = np.arange(256) / 255.0
    for value in every:
        nothing = np.zeros((1, 1))
        outcome = (np.zeros(1), np.zeros(1), np.zeros(1, dtype=bool))
        replay.add(np.zeros(1, dtype=np.int64), np.array([[value, 0.0]]), nothing, nothing, outcome)
    drawn = replay.sample(1, 255, np.random.default_rng(0))["observation"][0, :, 0]
    np.testing.assert_array_equal(drawn, every.astype(np.float32))
    for value in (0.5, -1 / 255, 256 / 255, np.nan):
        with pytest.raises(ValueError, match=r"expected images of multiples of 1 / 255 in \[0, 1\]"):
            replay.close(np.zeros(1, dtype=np.int64), np.array([[value, 0.0]]))


def test_the_oldest_go_and_what_is_left_is_drawn() -> None:
    replay = filled((8, 8, 8, 8), capacity=12)
    assert len(replay) == 12
    image = 255.0 * replay.sample(50, 1, np.random.default_rng(0))["observation"][..., 1]
    assert image.min() >= 5.99
    with pytest.raises(ValueError, match="expected a stretch of at least 9 transitions"):
        replay.sample(1, 8, np.random.default_rng(0))


def test_a_restored_replay_draws_the_same() -> None:
    replay = filled((6, 9, 7))
    other = SequenceReplay(100, pixels=PIXELS, rest=REST, actions=ACTIONS, units=UNITS)
    other.restore(replay.state())
    one, two = (given.sample(20, 3, np.random.default_rng(5)) for given in (replay, other))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
