# SPDX-License-Identifier: Apache-2.0
"""What `safe_transfer bag check` finds missing between the messages."""

import numpy as np
import pytest
import synthetic_run as synthetic

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.record.continuity import _state_gaps, gaps
from safe_transfer_ros.safety.joint_order import JointOrder


@pytest.fixture
def bag(tmp_path):
    synthetic.write_run(tmp_path / "bag", iterations=2)
    return tmp_path / "bag"


def test_an_unbroken_bag_has_none(bag):
    assert gaps(Bag(bag)) == []


def test_missing_joint_states(bag, tmp_path):
    found = gaps(synthetic.copied(bag, tmp_path / "b", "/joint_states", without))
    assert "iteration 0, episode 0: 2 decisions have no joint state" in found
    assert any(
        text.startswith("iteration 0, episode 0: 1 holes in the joint states, the longest 0.150 s") for text in found
    )
    assert len(found) == 2


@pytest.mark.parametrize("more", [0, 1])
def test_joint_states_that_nobody_takes_are_missing(bag, tmp_path, more):
    messages = synthetic.Messages()

    def crowded(number, data):
        if number not in (8, 9):
            return [data]
        names = messages.read("/joint_states", data).name
        names = [*names, *(f"joint_{i}" for i in range(JointOrder.MAX_NAMES - len(names) + more))]
        return [messages.changed("/joint_states", data, name=names)]

    found = gaps(synthetic.copied(bag, tmp_path / "b", "/joint_states", crowded))
    assert found == (gaps(synthetic.copied(bag, tmp_path / "c", "/joint_states", without)) if more else [])


def without(number, data):
    return [] if number in (8, 9) else [data]


def test_missing_decision(bag, tmp_path):
    found = gaps(
        synthetic.copied(bag, tmp_path / "b", "/safety_filter/decision", lambda i, data: [] if i == 2 else [data])
    )
    assert any("iteration 0, episode 0: step 2 is missing" in text for text in found)


def test_repeated_and_swapped_joint_states(bag, tmp_path):
    found = gaps(synthetic.copied(bag, tmp_path / "b", "/joint_states", lambda i, data: [data] * (2 if i == 3 else 1)))
    assert found == ["/joint_states: 1 stamps are repeated"]
    held = []

    def swap(number, data):
        if number == 3:
            held.append(data)
            return []
        return [data, *held] if number == 4 else [data]

    found = gaps(synthetic.copied(bag, tmp_path / "c", "/joint_states", swap))
    assert found == ["/joint_states: stamps go back 1 times (clock jump, or out of order)"]


def test_a_decision_that_cannot_be_taken_in_is_one_line(bag, monkeypatch):
    def unforeseen(*_):
        raise IndexError("beyond the end")

    monkeypatch.setattr("safe_transfer_ros.record.continuity.EpisodeAssembler.add", unforeseen)
    with pytest.raises(BagError, match="safety_filter/decision in .* is not what .* publishes: beyond"):
        gaps(Bag(bag))


def test_an_episode_that_breaks_off(tmp_path):
    synthetic.write_run(tmp_path / "bag", iterations=1, unfinished_steps=6)
    assert gaps(Bag(tmp_path / "bag")) == ["the last episode breaks off after 6 steps"]


def pauses(rate: int, *, longest_ms: float, jitter: float) -> list[str]:
    """What is found of three seconds at `rate`, one gap of `longest_ms`; jitter: spread of the others, in periods."""
    rng = np.random.default_rng(0)
    period = 1e9 / rate
    between = period * (1.0 + jitter * rng.uniform(-1.0, 1.0, 3 * rate))
    between[rate] = longest_ms * 1e6
    stamps = np.cumsum(between).astype(np.int64)
    return _state_gaps([stamps], [("iteration 0, episode 0", stamps[[0, -1]])])


@pytest.mark.parametrize(
    ("rate", "longest_ms", "jitter", "hole"),
    [
        (1000, 11.0, 0.3, False),  # what controller_manager was measured to do in a run that lost nothing
        (1000, 12.5, 0.3, True),
        (500, 11.0, 0.3, False),
        (200, 12.0, 0.3, False),
        (200, 13.0, 0.3, True),  # 2.5 periods, as ever
        (20, 130.0, 0.3, True),
        (1000, 3.0, 0.0, True),  # simulated stamps are exact: three periods are two lost states
        (500, 6.0, 0.0, True),
        (500, 4.0, 0.0, False),
    ],
)
def test_a_pause_is_a_hole_by_what_its_clock_can_tell(rate: int, longest_ms: float, jitter: float, hole: bool) -> None:
    found = pauses(rate, longest_ms=longest_ms, jitter=jitter)
    assert bool(found) is hole, found
    assert not hole or "1 holes in the joint states" in found[0]
