# SPDX-License-Identifier: Apache-2.0
"""Returns by episode: as they are heard, as they are kept, and the limit of the benefit rule that follows from them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_run as synthetic

from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.record import iteration, returns
from safe_transfer_ros.record.iteration import COLUMNS, IterationRecord, IterationsError
from safe_transfer_ros.record.recompute import recompute
from safe_transfer_ros.record.resume import left_off
from safe_transfer_ros.record.returns import EpisodeReturn, ReturnsHeard, by_iteration
from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.rules import Evidence
from safe_transfer_ros.tasks.task import make

TASK = make("pr2_cup_swirl")


def row(number: int, episode: int, total: float = 0.5, steps: int = 3) -> EpisodeReturn:
    return EpisodeReturn(iteration=number, episode=episode, steps=steps, total_return=total, task_return=total)


def record(number: int, steps: int = 6, **changes: float) -> IterationRecord:
    values = dict.fromkeys(COLUMNS, 0.1) | {"iteration": number, "interventions": 0, "policy_version": number}
    return IterationRecord(**(values | {"steps": steps} | changes))


# Kept ----------------------------------------------------------------------------------------------------------------


def test_rows_come_back_exactly_and_a_half_one_is_left_out(tmp_path: Path) -> None:
    rows = [row(0, 0, -1 / 3), row(0, 1, 1e-17)]
    returns.append(tmp_path / "returns.csv", rows)
    with (tmp_path / "returns.csv").open("a") as file:
        file.write("0,2,3,0.")
    assert returns.read(tmp_path / "returns.csv") == rows
    returns.append(tmp_path / "returns.csv", [row(1, 2)])
    assert returns.read(tmp_path / "returns.csv") == [*rows, row(1, 2)]
    (tmp_path / "returns.csv").write_text("iteration,episode\n0,0\n")
    with pytest.raises(IterationsError, match="lacks the columns steps, total_return, task_return"):
        returns.read(tmp_path / "returns.csv")


def test_an_iteration_that_was_done_again_counts_as_it_was_then() -> None:
    told = [row(0, 1, 9.0), row(0, 0, 8.0), row(0, 0, 1.0), row(0, 1, 2.0)]
    assert [values.tolist() for values in by_iteration(told, [record(0), record(1)])] == [[1.0, 2.0], []]
    assert [values.tolist() for values in by_iteration(told[:1], [record(0)])] == [[]], "one of two is not all"


# Heard ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[dict[str, float]]]:
    bag = tmp_path_factory.mktemp("run") / "bag"
    expected = synthetic.write_run(bag, iterations=2, episodes=3)
    return [message for _, message, _ in messages(Bag(bag), ["/safety_filter/decision"])], expected.rows


def heard(told: list[Any]) -> ReturnsHeard:
    ears = ReturnsHeard(TASK, TASK.robot.joint_names)
    for decision in told:
        ears.add(decision)
    return ears


def test_what_is_heard_are_the_returns_of_the_rows(decisions) -> None:
    told, rows = decisions
    ears = heard(told)
    for number in (0, 1):
        found = ears.close(number, 60)
        assert len(found) == 3 and ears.problem == ""
        assert np.mean(found) == pytest.approx(rows[number]["mean_return"], rel=1e-12)
    assert not len(ears.close(1, 60)) and ears.problem == "whole episodes with 0 steps were heard, 60 were learned from"


def test_an_episode_that_is_not_whole_leaves_the_returns_unknown_and_the_next_iteration_whole(decisions) -> None:
    told, rows = decisions
    lost = next(number for number, one in enumerate(told) if one.iteration == 0 and one.step == 7 and one.verdict < 2)
    ears = heard([*told[:lost], *told[lost + 1 :]])
    assert not len(ears.close(0, 60))
    assert ears.problem.startswith(
        "whole episodes with 40 steps were heard, 60 were learned from (iteration 0, episode "
    )
    assert "step 7 is missing" in ears.problem
    assert np.mean(ears.close(1, 60)) == pytest.approx(rows[1]["mean_return"], rel=1e-12) and ears.problem == ""


def test_a_decision_that_cannot_be_understood_ends_nothing(decisions) -> None:
    told, _ = decisions
    last = next(one for one in told if one.last)
    broken = dataclasses.replace(last, position=np.zeros(3))
    ears = heard([broken if one is last else one for one in told])
    assert not len(ears.close(0, 60)) and "position of step" in ears.problem
    assert len(ears.close(1, 60)) == 3


def test_a_reward_that_is_no_number_is_told(decisions) -> None:
    told, _ = decisions
    broken = [dataclasses.replace(one, chosen=np.full(7, np.nan)) if one is told[3] else one for one in told]
    ears = heard(broken)
    assert np.isnan(ears.close(0, 60)[0]) and ears.problem == "a reward is not finite"


def test_a_flood_is_not_kept(decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = decisions
    monkeypatch.setattr(returns, "_CAPACITY", 10)
    ears = heard(told)
    assert not len(ears.close(0, 60)) and "more than 10 decisions" in ears.problem
    monkeypatch.setattr(returns, "_CAPACITY", 80)  # room for one iteration
    ears = heard([one for one in told if one.iteration == 0])
    assert len(ears.close(0, 60)) == 3
    for one in told:
        if one.iteration == 1:
            ears.add(one)
    assert len(ears.close(1, 60)) == 3


# What follows from them ----------------------------------------------------------------------------------------------

RULE = GovernorSettings(benefit=True, use_limit_change=False, use_policy_change=False)


def test_a_run_that_is_cut_anywhere_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """From iterations.csv and returns.csv alone: a bag may have lost its end."""
    begun = benefit_after(0.0, 3)
    rng, governor, held = np.random.default_rng(8), TorqueLimitGovernor(RULE, memory=begun), 0
    (tmp_path / "checkpoints").mkdir()
    for number in range(40):
        values = rng.normal(size=2) - 300.0 * max(0.0, np.log(governor.torque_limit / 0.16))
        if number == 12:  # an iteration whose episodes were not all heard
            values = np.empty(0)
        evidence = Evidence(unsafe=[np.zeros(3, dtype=bool)] * 2, returns=values)
        limit = governor.torque_limit
        step = governor.update(
            iteration=number,
            unsafety_rate=0.0,
            mean=np.zeros((1, 7)),
            stddev=np.ones((1, 7)),
            visited_torque_limit=limit,
            kl=0.01,
            kl_bound=0.05,
            evidence=evidence,
        )
        if len(values):
            rows = [row(number, 2 * number + at, value) for at, value in enumerate(values.tolist())]
            returns.append(tmp_path / "returns.csv", [dataclasses.replace(rows[0], total_return=77.0)])  # cut here once
            returns.append(tmp_path / "returns.csv", rows)
        told = record(number, torque_limit=limit, predicted_unsafety_rate=step.predicted_unsafety_rate)
        iteration.append(tmp_path / "iterations.csv", told)
        (tmp_path / "checkpoints" / f"policy_{number + 1:05d}.safetensors").touch()
        start = left_off(tmp_path, RULE, memory=begun)
        assert (start.torque_limit, start.memory) == (governor.torque_limit, governor.memory)
        held += governor.held.startswith("held")
    assert 5 < held < 35, "the limit was raised and held"
    (tmp_path / "returns.csv").unlink()
    anew = left_off(tmp_path, RULE)
    assert anew.memory == "" and anew.torque_limit == pytest.approx(limit), "starts anew, and does not rise on nothing"
    assert left_off(tmp_path, GovernorSettings()).memory == ""


def benefit_after(best: float, iterations: int) -> str:
    """Memory of a run whose returns were `best` for so many iterations at .07 N·m."""
    benefit = Benefit()
    for _ in range(iterations):
        benefit.cap(0.07, np.full(3, best))
    return benefit.memory


def test_a_sessions_bag_alone_tells_where_its_limit_was_held_and_what_is_remembered(tmp_path: Path) -> None:
    rule = {"benefit": True, "benefit_memory": benefit_after(1e4, 7), "torque_limit_floor": 0.02}
    expected = synthetic.write_run(tmp_path / "bag", iterations=3, **rule)
    told = recompute(tmp_path / "bag")
    # Far below the best, and two iterations are proof of it; the third is the first of the hold.
    assert told.next_torque_limit == pytest.approx(0.07)
    assert [one.torque_limit for one in told.records] == pytest.approx([0.1, 0.105, 0.07])
    held = "held at 0.07 N·m at most, for 11 more iterations: returns fell when it was higher"
    assert f"from iteration 2 on the torque limit was {held}" in told.notes
    assert sum("held at" in note for note in told.notes) == 1
    kept = json.loads(told.memory)
    assert (kept["cap"], kept["left"], kept["patience"]) == (pytest.approx(0.07), 9, 20)
    means = [float(np.mean(values)) for _, values in kept["recent"]]
    assert means == pytest.approx([one["mean_return"] for one in expected.rows[2:]], rel=1e-12)


def test_a_bag_from_before_there_was_the_rule_is_read_without_it(tmp_path: Path) -> None:
    expected = synthetic.write_run(tmp_path / "bag", iterations=2)
    told = recompute(tmp_path / "bag")
    assert [one.torque_limit for one in told.records] == pytest.approx([one["torque_limit"] for one in expected.rows])
    assert told.memory == "" and not any("held" in note for note in told.notes)
