# SPDX-License-Identifier: Apache-2.0
"""Run of an off-policy method, as `safe_transfer train` drives it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from safe_transfer_ros.algorithms.hindsight import GoalRelabel, SparseReward, relabelled_share
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation
from safe_transfer_ros.learning.off_policy import OffPolicyLoop
from safe_transfer_ros.learning.replay_buffer import Hindsight
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.tasks.task import TASKS, Goal
from safe_transfer_ros.transfer.dual_agent.baseline import BesideBaseline
from safe_transfer_ros.transfer.off_policy.method import AgentTask, OffPolicyMethod
from safe_transfer_ros.transfer.training import BASELINE, EpochRecord, TrainingPlan, check_baseline


class OffPolicyRun:
    """An agent in one row of a task's environment, where an update follows each step.

    The first epoch is the warm-up, which gives the next ones something to learn from: its actions are uniform, unless a
    baseline or a policy to start from is given that knows better.
    """

    def __init__(self, method: OffPolicyMethod, plan: TrainingPlan) -> None:
        """Start.

        Raises:
          ValueError: if there is no such task, its actions are not bounded, or a warm start or a baseline is asked for
            that it has no use for.
        """
        if plan.warm_start:
            raise ValueError(f"{method.label} has no warm start: leave out --warm-start")
        check_baseline(method, plan.baseline)
        if plan.start and not method.continues:
            raise ValueError(f"{method.label} begins with nothing: leave out --from")
        task = TASKS[plan.task]
        self._adds_up, self._has_goal = task.cost_limit is not None, task.has_goal
        where = plan.environment_settings()
        self._judge = TaskEnvironment(plan.task, **where)
        # One thread: studies run side by side, a process to a core.
        self._rows = task.vector_environment(1, threads=1, autoreset=True, **where)
        agent = method.agent(
            AgentTask(
                observation_size=self._judge.observation_size,
                bound=self._judge.action_bound,
                gamma=task.gamma,
                horizon=task.horizon,
                accepted_cost=plan.settings.chi / self._judge.cost_steps,
                plan=plan,
            )
        )
        steps = plan.episodes * task.horizon
        settings = dataclasses.replace(
            method.loop,
            epoch_steps=steps,
            warmup=steps,
            uniform_warmup=not (plan.baseline or plan.start),
            failure_cost=task.failure_cost,
        )
        found = None if task.goal is None else hindsight(task.goal, goals=method.goals)
        self._loop = OffPolicyLoop(self._rows, agent, settings, seed=plan.seed, hindsight=found)
        self._episodes, self._failures, self._wall_time_s = 0, 0, 0.0

    def epoch(self) -> EpochRecord:
        """See `TrainingRun.epoch`."""
        began, before = time.monotonic(), self._loop.buffer.added
        found = self._loop.epoch()
        self._episodes += found.episodes
        self._failures += failures(self._loop.buffer.since(before), adds_up=self._adds_up)
        self._wall_time_s += time.monotonic() - began
        return EpochRecord(
            epoch=found.epoch,
            episodes=self._episodes,
            steps=found.steps,
            mean_return=found.mean_return,
            failures_per_episode=found.mean_cost if self._adds_up else found.failures_per_episode,
            cumulative_failures=self._failures,
            success_rate=found.success_rate if self._has_goal else float("nan"),
            gated=float("nan"),
            epsilon=float("nan"),
            multiplier=found.watched.get("multiplier", 0.0),
            kl=float("nan"),
            cost_bias=float("nan"),
            wall_time_s=self._wall_time_s,
        )

    def evaluate(self, episodes: int) -> Evaluation:
        """See `TrainingRun.evaluate`: without the noise of exploration."""
        return self._loop.evaluate(self._judge, episodes)

    def evaluate_parts(self, episodes: int) -> Mapping[str, Evaluation]:
        """See `TrainingRun.evaluate_parts`: a baseline, if one learns."""
        agent = self._loop.agent
        baseline = agent.baseline_policy() if isinstance(agent, BesideBaseline) else None
        return {} if baseline is None else {BASELINE: self._loop.evaluate(self._judge, episodes, policy=baseline)}

    def policy_file(self, metadata: Mapping[str, str]) -> bytes | None:
        """See `TrainingRun.policy_file`."""
        return self._loop.agent.policy_file(metadata)

    def state(self) -> dict[str, Any]:
        """See `TrainingRun.state`."""
        return {
            "loop": self._loop.state(),
            "episodes": self._episodes,
            "failures": self._failures,
            "wall_time_s": self._wall_time_s,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `TrainingRun.restore`."""
        self._loop.restore(state["loop"])
        self._episodes, self._failures = int(state["episodes"]), int(state["failures"])
        self._wall_time_s = float(state["wall_time_s"])

    def __enter__(self) -> OffPolicyRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._judge.__exit__(kind, error, trace)


def hindsight(goal: Goal, *, goals: int) -> Hindsight:
    """Relabelling for a task with this goal.

    Args:
      goal: Where observations name it.
      goals: Other goals for each transition, HER's k.
    """
    relabel = GoalRelabel(reached=goal.reached, wanted=goal.wanted, reward=SparseReward(tolerance=goal.tolerance))
    return Hindsight(relabel=relabel, share=relabelled_share(goals))


def failures(columns: Columns, *, adds_up: bool) -> int:
    """Failures among transitions: each unsafe state where costs add up, else each episode with one.

    Args:
      columns: chain and cost, as many rows each.
      adds_up: Whether costs add up; see `Task.cost_limit`.
    """
    unsafe = columns["cost"] > 0.0
    return int(unsafe.sum()) if adds_up else len(np.unique(columns["chain"][unsafe]))
