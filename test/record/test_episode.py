# SPDX-License-Identifier: Apache-2.0
"""Episodes from decisions: complete, in joint order, refused by name when a step is missing."""

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from safe_transfer_ros.record.episode import (
    EpisodeAssembler,
    EpisodeError,
    count_interventions,
    episodes_from_decisions,
    first_jump,
)
from safe_transfer_ros.safety.reasons import NOT_TAKEN, Reason, Verdict

NAMES = ("a", "b", "c")


def decision(step, *, steps=4, iteration=2, episode=9, names=NAMES, **changes):
    last = step == steps
    joints = np.array([ord(name) - ord("a") for name in names], dtype=np.float64)
    none = array("d")
    values = {
        "header": SimpleNamespace(stamp=SimpleNamespace(sec=3, nanosec=step * 50_000_000)),
        "iteration": iteration,
        "episode": episode,
        "step": step,
        "last": last,
        "terminated": False,
        "verdict": int(Verdict.EPISODE_END if last else Verdict.ACCEPTED),
        "reasons": 0,
        "joint_names": list(names),
        "position": array("d", joints + 10 * step),  # what rclpy gives
        "velocity": joints + 100 * step,  # what rosbags gives
        "observation": np.array([step, 0.5]),
        "proposed_mean": none if last else joints + 0.1,
        "proposed_stddev": none if last else joints + 0.2,
        "proposed_effort": none if last else joints + 0.3,
        "chosen": none if last else joints + 0.3,
        "applied_effort": joints if last else joints + 0.4,
        "torque_limit": 0.1 + step,
        "risk": float("nan"),
        "policy_version": 2,
    }
    return SimpleNamespace(**(values | changes))


def stream(episode=9, **changes):
    return [decision(step, episode=episode, **changes) for step in range(5)]


def test_arrays_have_a_row_a_step_and_states_one_more():
    (episode,) = episodes_from_decisions(stream())
    assert (episode.iteration, episode.index, episode.policy_version, episode.steps) == (2, 9, 2, 4)
    assert not episode.terminated
    assert episode.position.shape == episode.velocity.shape == (5, 3)
    assert episode.mean.shape == episode.stddev.shape == episode.proposed.shape == episode.applied.shape == (4, 3)
    np.testing.assert_array_equal(episode.position[4], [40, 41, 42])
    np.testing.assert_array_equal(episode.velocity[1], [100, 101, 102])
    np.testing.assert_array_equal(episode.mean[3], [0.1, 1.1, 2.1])
    np.testing.assert_array_equal(episode.stddev[0], [0.2, 1.2, 2.2])
    np.testing.assert_array_equal(episode.proposed[0], [0.3, 1.3, 2.3])
    np.testing.assert_array_equal(episode.applied[0], [0.4, 1.4, 2.4])
    np.testing.assert_array_equal(episode.torque_limit, [0.1, 1.1, 2.1, 3.1])
    np.testing.assert_array_equal(episode.observation[:, 0], range(5))
    np.testing.assert_array_equal(episode.stamp_ns, 3_000_000_000 + 50_000_000 * np.arange(5))
    assert np.isnan(episode.risk).all() and episode.stamp_ns.dtype == np.int64


def test_joints_are_matched_by_name():
    shuffled = ("c", "a", "b")
    (episode,) = episodes_from_decisions(stream(names=shuffled), joint_names=NAMES)
    np.testing.assert_array_equal(episode.position[1], [10, 11, 12])
    np.testing.assert_array_equal(episode.applied[2], [0.4, 1.4, 2.4])
    (as_sent,) = episodes_from_decisions(stream(names=shuffled))
    np.testing.assert_array_equal(as_sent.position[1], [12, 10, 11])


def test_other_joints_are_refused_by_name():
    with pytest.raises(EpisodeError, match="missing d"):
        episodes_from_decisions(stream(), joint_names=("a", "b", "d"))


@pytest.mark.parametrize(("gone", "said"), [([2], "step 2 is missing"), ([0, 1], "steps 0 to 1 are missing")])
def test_missing_steps_are_named(gone, said):
    with pytest.raises(EpisodeError, match=f"iteration 2, episode 9: {said}"):
        episodes_from_decisions([d for d in stream() if d.step not in gone])


def test_a_step_twice_is_refused():
    with pytest.raises(EpisodeError, match="step 1 comes where step 2 was due"):
        episodes_from_decisions([decision(0), decision(1), decision(1)])


def test_an_episode_without_an_end_is_refused_and_the_next_one_is_whole():
    assembler = EpisodeAssembler()
    for d in stream()[:3]:
        assert assembler.add(d) is None
    following = stream(episode=10)
    with pytest.raises(EpisodeError, match="episode 9 has no last decision: it breaks off after step 2"):
        assembler.add(following[0])
    for d in following[1:-1]:
        assert assembler.add(d) is None
    assert assembler.add(following[-1]).index == 10


def test_after_a_gap_the_rest_of_that_episode_is_refused_and_the_next_one_is_whole():
    assembler = EpisodeAssembler()
    complete, errors = [], 0
    for d in [d for d in stream() if d.step != 1] + stream(episode=10):
        try:
            complete.append(assembler.add(d))
        except EpisodeError:
            errors += 1
    assert errors == 1
    assert [episode.index for episode in complete if episode is not None] == [10]


def test_decisions_of_an_episode_under_way_are_left_out():
    assembler = EpisodeAssembler()
    episodes = [e for d in [*stream(), *stream(episode=10)[:2]] if (e := assembler.add(d))]
    assert [episode.index for episode in episodes] == [9]
    assert assembler.unfinished == 2


def test_weights_that_change_within_an_episode_are_refused():
    with pytest.raises(EpisodeError, match="policy version 3 at step 1, 2 before"):
        episodes_from_decisions([decision(0), decision(1, policy_version=3)])


def test_what_the_critic_let_pass_is_what_was_done() -> None:
    instead = array("d", [7.0] * len(decision(1).proposed_effort))
    replaced = decision(1, chosen=instead, verdict=int(Verdict.RESAMPLED), reasons=int(Reason.CRITIC_RISK))
    (episode,) = episodes_from_decisions([decision(0), replaced, decision(2), decision(3), decision(4)])
    np.testing.assert_array_equal(episode.proposed[1], instead)


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.STOPPED])
def test_refused_proposals_are_interventions_and_no_steps(verdict):
    none = array("d")
    refused = decision(
        1, verdict=int(verdict), reasons=int(Reason.PROPOSAL_STALE), proposed_mean=none, proposed_effort=none
    )
    clamped = decision(2, reasons=int(Reason.CLAMPED_TORQUE_LIMIT), verdict=int(Verdict.BOUNDED))
    decisions = [decision(0), refused, refused, decision(1), clamped, decision(3), decision(4)]
    assembler = EpisodeAssembler()
    (episode,) = [e for d in decisions if (e := assembler.add(d))]
    assert episode.steps == 4
    np.testing.assert_array_equal(episode.reasons, [0, 0, 1, 0])
    np.testing.assert_array_equal(episode.verdict, [0, 0, 1, 0])
    assert assembler.interventions[2] == count_interventions(decisions) == 3


@pytest.mark.parametrize("verdict", [7, 255])
@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_verdict_that_stands_for_nothing_is_told_and_its_episode_left_out(verdict, step):
    """It is not known whether what was proposed was applied: that is nothing to learn from."""
    assembler = EpisodeAssembler()
    stranger = [decision(number, **({"verdict": verdict} if number == step else {})) for number in range(5)]
    complete, told = [], []
    for d in stranger + stream(episode=10):
        try:
            complete.append(assembler.add(d))
        except EpisodeError as error:
            told.append(str(error))
    assert told == [
        f"iteration 2, episode 9: step {step} has the verdict {verdict}, expected 0 to 6: what was applied is not known"
    ]
    assert [episode.index for episode in complete if episode is not None] == [10]


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict not in NOT_TAKEN])
def test_every_verdict_on_what_was_taken_makes_a_step(verdict):
    (episode,) = episodes_from_decisions([decision(0, verdict=int(verdict)), *stream()[1:]])
    assert episode.verdict[0] == verdict


def refused(step):
    return decision(step, verdict=int(Verdict.REJECTED), reasons=int(Reason.PROPOSAL_STALE))


def test_a_step_on_record_as_refused_is_not_missing():
    steps = stream()
    (episode,) = episodes_from_decisions([steps[0], refused(1), refused(2), *steps[3:]])
    np.testing.assert_array_equal(episode.observation[:, 0], [0, 3, 4])
    assert (episode.steps, len(episode.stamp_ns)) == (2, 3)
    (episode,) = episodes_from_decisions([refused(0), *steps[1:4], refused(4), steps[4]])
    np.testing.assert_array_equal(episode.observation[:, 0], [1, 2, 3, 4])
    with pytest.raises(EpisodeError, match="steps 1 to 2 are missing"):
        episodes_from_decisions([steps[0], refused(1), *steps[3:]])
    with pytest.raises(EpisodeError, match="every step was refused"):
        episodes_from_decisions([*(refused(step) for step in range(4)), steps[4]])
    with pytest.raises(EpisodeError, match="iteration 2, episode 10: step 1 is missing"):
        episodes_from_decisions([*steps[:1], refused(1), *steps[2:], *stream(episode=10)[:1], *stream(episode=10)[2:]])


def test_a_step_with_too_few_values_is_named():
    with pytest.raises(EpisodeError, match="proposed_mean of step 1 has 2 values for 3 joints"):
        episodes_from_decisions([decision(0), decision(1, proposed_mean=np.zeros(2)), decision(2, steps=2)])


def test_terminated_is_kept():
    episodes = episodes_from_decisions([decision(0), decision(1, steps=1, terminated=True)])
    assert episodes[0].terminated and episodes[0].steps == 1


def test_joint_names_that_change_are_refused():
    with pytest.raises(EpisodeError, match="joint names change at step 1"):
        episodes_from_decisions([decision(0), decision(1, names=("b", "a", "c")), decision(2, steps=2)])


@pytest.mark.parametrize("step", [1, 3, 4])
def test_an_episode_with_a_jump_in_it_is_refused(step):
    still = {"velocity": np.zeros(3)}
    states = stream(position=np.zeros(3), **still)
    assert len(episodes_from_decisions(states)) == 1
    for moved in states[step:]:
        moved.position = np.array([0.0, 0.61, 0.0])  # 3 x 4 rad/s x 50 ms are .6 rad
    with pytest.raises(EpisodeError, match=f"moved by 0.61 rad in the 0.05 s before step {step}, which no arm does"):
        episodes_from_decisions(states)
    for moved in states[step:]:
        moved.position = np.array([0.0, 0.59, 0.0])
    assert len(episodes_from_decisions(states)) == 1
    states[step].velocity = np.array([0.0, 10.0, 0.0])  # an arm that is fast may have come further
    for moved in states[step:]:
        moved.position = np.array([0.0, 2.0, 0.0])
    assert len(episodes_from_decisions(states)) == 1


def test_stamps_that_go_back_and_values_that_are_no_numbers_are_jumps():
    stamp, position, velocity = np.arange(4) * 50_000_000, np.zeros((4, 2)), np.zeros((4, 2))
    assert first_jump(stamp, position, velocity) is None
    assert first_jump(stamp[[0, 1, 1, 2]], position, velocity) is None, "two decisions on one state"
    assert first_jump(stamp[[0, 2, 1, 3]], position, velocity) == 2
    for values in (position, velocity):
        values[3, 1] = np.nan
        assert first_jump(stamp, position, velocity) == 3
        values[3, 1] = 0.0


def test_the_next_episode_begins_after_one_with_a_jump():
    assembler = EpisodeAssembler()
    jumping = stream(position=np.zeros(3), velocity=np.zeros(3))
    jumping[2].position = np.ones(3)
    for decided in jumping[:-1]:
        assert assembler.add(decided) is None
    with pytest.raises(EpisodeError, match="which no arm does"):
        assembler.add(jumping[-1])
    following = [assembler.add(decided) for decided in stream(episode=10)]
    assert following[-1] is not None and following[-1].index == 10
