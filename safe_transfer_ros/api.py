# SPDX-License-Identifier: Apache-2.0
"""Functions of the public Python API: `import safe_transfer_ros as st`; docs/python_api.md says what is promised.

Short forms of what the nodes and commands do, for one process. Importing this module loads neither torch nor MuJoCo;
what a function needs is imported when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.critics.safety_critic import LoadedCritic, load_critic
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.policy import Act, Policy
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.untrusted import read_bytes

if TYPE_CHECKING:
    from gymnasium import Env

    from safe_transfer_ros.critics.gate import CriticGate
    from safe_transfer_ros.learning.acting import Acting
    from safe_transfer_ros.learning.contracted import Sensed
    from safe_transfer_ros.learning.evaluation import Evaluation

PathLike = str | os.PathLike[str]

__all__ = [
    "evaluate",
    "load_critic",
    "load_policy",
    "make_env",
    "read_bag",
    "read_episodes",
    "rollout",
    "to_transitions",
    "train_critic",
]


def load_policy(name: PathLike, *, task: str | None = None) -> Policy | ContractedPolicy:
    """Load a policy of any kind.

    Args:
      name: A policy file, or the name of a shipped policy, such as "pr2_cup_swirl".
      task: Task whose sizes it must have; None: not checked.

    Returns:
      A policy; `policy.act(observation, noise)` gives an action and the law it was drawn from. One that
      `safe_transfer import-policy` wrote comes with its contract instead; `rollout` and `evaluate` take either.

    Raises:
      ValueError: if there is none of that name, the file is not a policy, or it does not fit the task.
    """
    from safe_transfer_ros.learning.policy_file import check_fits, find
    from safe_transfer_ros.policies.loading import any_policy_from_bytes
    from safe_transfer_ros.tasks.task import make

    wanted: Any = None if task is None else make(task)
    path = find(os.fspath(name))
    try:
        policy, _ = any_policy_from_bytes(read_bytes(path, most_bytes=WEIGHTS_BYTES))
        if wanted is not None:
            check_fits(policy, wanted)
    except ValueError as error:
        raise ValueError(f"policy {path}: {error}") from error
    return policy


def make_env(task: str, *, perturbation: str = "nominal", **settings: Any) -> Env[Any, Any]:
    """Make the Gymnasium environment of a task; actions pass the envelope of the safety filter.

    Args:
      task: Name of a task, such as "pr2_cup_swirl"; docs/environments.md lists them.
      perturbation: How the simulated robot differs from its description: "nominal", "light_sticky", "literal" ...
      **settings: Others of the task, such as torque_limit in N·m, the same limit in every episode.

    Raises:
      ValueError: if a name is unknown; names the nearest known one.
      TypeError: if the task has no such setting.
    """
    import gymnasium

    from safe_transfer_ros.environments import environment_id
    from safe_transfer_ros.robots.simulation import perturbation as named
    from safe_transfer_ros.tasks.task import TASKS

    TASKS[task]  # an unknown name is told with the nearest known one
    if perturbation != "nominal":
        settings["perturbation"] = named(perturbation)
    return gymnasium.make(environment_id(task), **settings)


def rollout(
    policy: Policy | ContractedPolicy,
    env: Env[Any, Any],
    *,
    episodes: int = 1,
    seed: int = 0,
    first_episode: int = 0,
    critic: LoadedCritic | None = None,
    allow_uncertified: bool = False,
) -> Rollouts:
    """Run episodes: the policy proposes, a critic may choose another sample, the envelope bounds what is applied.

    Seed and number of an episode fix its start and all of its noise: states and torques are those of the graph's
    episode of that number in lockstep, to the last bit. With a critic the candidates are drawn from other streams than
    the graph's.

    Args:
      policy: Any kind but a process of its own; see `load_policy`.
      env: Made by `make_env`, or by gymnasium.make of one of our ids.
      episodes: How many.
      seed: Seed of the run.
      first_episode: Number of the first.
      critic: Safety critic that judges each proposal first, as in the filter; see `load_critic`.
      allow_uncertified: Whether a critic that its training did not certify may judge all the same.

    Returns:
      E episodes of at most T steps, padded, with `.reward`, `.cost` (E, T), `.applied` (E, T, n), `.returns` (E,) ...

    Raises:
      ValueError: if sizes do not fit, the policy proposes something that is not finite or is a process of its own, the
        critic is of another task or not certified, or it refuses an action of a deterministic policy, which has no
        other sample.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    task = _task_of(env)
    from safe_transfer_ros.learning.policy_file import check_fits

    check_fits(policy, task)
    gate = None if critic is None else _gate(critic, task.name, seed, allow_uncertified=allow_uncertified)
    agent = _agent(policy, task.name)
    numbers = range(first_episode, first_episode + episodes)
    return _padded([_episode(agent, env, seed, number, gate) for number in numbers], has_goal=task.has_goal)


def evaluate(
    policy: Policy | ContractedPolicy,
    env: Env[Any, Any],
    *,
    episodes: int = 20,
    seed: int = 0,
    critic: LoadedCritic | None = None,
    allow_uncertified: bool = False,
) -> Evaluation:
    """Evaluate a policy in episodes that no run learns from; see `rollout` for the arguments.

    Returns:
      Means over the episodes, as `.mean_return`, `.mean_cost`, `.failures_per_episode` and `.success_rate`.
    """
    from safe_transfer_ros.learning.evaluation import Evaluation
    from safe_transfer_ros.randomness import FirstEpisode

    return Evaluation.of(
        rollout(
            policy,
            env,
            episodes=episodes,
            seed=seed,
            first_episode=FirstEpisode.EVALUATION,
            critic=critic,
            allow_uncertified=allow_uncertified,
        )
    )


def read_bag(path: PathLike) -> Bag:
    """Open a recording, without ROS: a rosbag2 folder, or a single .mcap or .db3 file.

    Returns:
      A bag; `for topic, message, time_ns in bag.messages(["/joint_states"])` reads it.

    Raises:
      ValueError: if there is none, or none that can be read.
    """
    return Bag(Path(path))


def read_episodes(bag: Bag | PathLike) -> list[Episode]:
    """Every whole episode of a recorded run, from the filter's decisions.

    Raises:
      ValueError: if the bag cannot be read or a step is missing.
    """
    from safe_transfer_ros.bags.graph import namespace
    from safe_transfer_ros.record.episode import episodes_from_decisions
    from safe_transfer_ros.topic_names import DECISIONS, in_bag

    bag = bag if isinstance(bag, Bag) else read_bag(bag)
    topic = in_bag(DECISIONS, namespace(bag))
    return episodes_from_decisions(message for _, message, _ in bag.messages([topic]))


def to_transitions(bags: Sequence[Bag | PathLike], *, out: PathLike, task: str = "pr2_cup_swirl") -> Transitions:
    """Write the transitions (s, a, r, c, s') of recordings as memory-mapped columns.

    Args:
      bags: Recordings of this package's graph.
      out: Folder to create.
      task: Task they were recorded with.

    Returns:
      The transitions, a column by its name as `transitions["cost"]`.

    Raises:
      ValueError: if a bag cannot be read or holds no decision, or the folder holds something.
    """
    from safe_transfer_ros.bags.transitions import write_transitions
    from safe_transfer_ros.tasks.deployment import in_graph

    opened = [bag if isinstance(bag, Bag) else read_bag(bag) for bag in bags]
    return write_transitions(opened, in_graph(task), Path(out))[0]


def train_critic(
    transitions: Transitions | PathLike,
    *,
    out: PathLike,
    conservative: bool = False,
    gamma: float = 0.7,
    epsilon: float = 0.1,
    updates: int = 20_000,
    seed: int = 0,
) -> LoadedCritic:
    """Train a safety critic from transitions, as `safe_transfer train-critic` does; one that was stopped goes on.

    Args:
      transitions: Those of `to_transitions`, or their folder.
      out: Folder for critic.safetensors and model_card.json.
      conservative: CSC's critic instead of SQRL's.
      gamma: gamma_safe in [0, 1): how far ahead a failure is seen.
      epsilon: Largest acceptable risk.
      updates: Updates at most.
      seed: Of everything random.

    Returns:
      The critic; `.certified` says whether it may be relied on, `.card["against"]` why not.

    Raises:
      ValueError: if there is nothing to learn from, or the folder holds another training.
    """
    from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
    from safe_transfer_ros.critics import training

    columns = transitions if isinstance(transitions, Transitions) else Transitions(Path(transitions))
    settings = training.TrainingSettings(
        critic=training.CriticSettings(gamma=gamma, alpha=CSC_ALPHA if conservative else 0.0),
        epsilon=epsilon,
        updates=updates,
        seed=seed,
    )
    training.train_critic(columns, settings, columns.about, Path(out))
    return load_critic(Path(out) / "critic.safetensors")


def _task_of(env: Env[Any, Any]) -> Any:
    task = getattr(env.unwrapped, "task", None)
    if task is None:
        raise ValueError(f"expected an environment of a task of this package, got {env}: make it by make_env")
    return task


def _gate(critic: LoadedCritic, task: str, seed: int, *, allow_uncertified: bool) -> CriticGate:
    """The filter's own gate, with its own checks of a critic."""
    from safe_transfer_ros.critics.gate import CriticGate
    from safe_transfer_ros.critics.safety_critic import critic_to_bytes
    from safe_transfer_ros.parameters.safety_filter import FilterParameters
    from safe_transfer_ros.tasks.deployment import in_graph

    gate = CriticGate(
        in_graph(task), FilterParameters(critic="required", critic_uncertified=allow_uncertified), seed=seed
    )
    refused = gate.offer(critic_to_bytes(critic.parameters, critic.card), name=f"critic {critic.version}")
    if refused is not None:
        raise ValueError(refused.replace("critic_uncertified: true", "allow_uncertified=True"))
    return gate


def _agent(policy: Policy | ContractedPolicy, task: str) -> Acting:
    """The policy at work, as policy_server has it."""
    from safe_transfer_ros.learning.acting import NetworkPolicy, OwnPolicy
    from safe_transfer_ros.learning.contracted import ContractInTask
    from safe_transfer_ros.tasks.deployment import in_graph

    if not isinstance(policy, ContractedPolicy):
        return OwnPolicy(policy)
    if policy.network is None:
        raise ValueError(
            "expected a policy that can be evaluated here, got the contract of a process of its own, which a graph "
            f"waits for: safe_transfer up {task} policy:=FILE learner:=none"
        )
    if policy.contract.image is not None:
        raise ValueError("expected a policy without a camera, got one that sees images, which only a graph has")
    return NetworkPolicy(ContractInTask(policy, in_graph(task)), lockstep=True)


def _episode(
    agent: Acting, env: Env[Any, Any], seed: int, number: int, gate: CriticGate | None
) -> dict[str, np.ndarray[Any, Any]]:
    """One episode's columns."""
    from safe_transfer_ros.randomness import Purpose, generator

    task, noise = _task_of(env), generator(Purpose.ACTION_NOISE, seed, number)
    agent.begin(0)
    if gate is not None:
        gate.refresh(number)  # its own stream of candidates, whichever episodes came before
    observation, info = env.reset(seed=seed, options={"episode": number})
    seen, ended = [observation], False
    steps: list[tuple[Any, ...]] = []
    while not ended:
        sensed = _sensed(task, len(steps), observation, info)
        answer = agent.answer(sensed, noise.standard_normal(agent.noise_size), sensed.stamp_ns)
        assert answer is not None, "only a process of its own may have no answer yet"
        chosen, gated = _judged(gate, observation, answer.act, info["torque_limit"])
        observation, reward, terminated, truncated, info = env.step(chosen)
        seen.append(observation)
        steps.append((chosen, info["applied"], reward, info["cost"], terminated, gated))
        ended = terminated or truncated
    names = ("chosen", "applied", "reward", "cost", "terminated", "gated")
    columns = {name: np.array(values) for name, values in zip(names, zip(*steps, strict=True), strict=True)}
    return {**columns, "observation": np.array(seen), "succeeded": np.array(info["success"], dtype=np.float64)}


def _sensed(task: Any, step: int, observation: np.ndarray[Any, Any], info: dict[str, Any]) -> Sensed:
    """Knowledge of policy_server at a step; of a task without a robot, the observation and the limit."""
    from safe_transfer_ros.learning.contracted import Sensed
    from safe_transfer_ros.tasks.robot_task import RobotTask

    limit, period_s, nothing = info["torque_limit"], 0.0, np.empty(0)
    if isinstance(task, RobotTask):
        limit, period_s = min(limit, float(np.max(task.robot.limits.effort))), task.control_period_s
    return Sensed(
        stamp_ns=step * round(period_s * 1e9),
        position=info.get("position", nothing),
        velocity=info.get("velocity", nothing),
        torque_limit=limit,
        observation=observation,
        object_pose=info.get("object_pose"),
    )


def _judged(
    gate: CriticGate | None, observation: np.ndarray[Any, Any], act: Act, torque_limit: float
) -> tuple[np.ndarray[Any, Any], bool]:
    """The action that a critic lets pass, and whether it is another than the one drawn."""
    from safe_transfer_ros.safety.filter.proposal import Distribution, Proposal
    from safe_transfer_ros.safety.reasons import Verdict

    if gate is None:
        return act.action, False
    proposal = Proposal(
        stamp_ns=0,
        iteration=0,
        episode=0,
        step=0,
        last=False,
        policy_version=0,
        mean=act.mean,
        stddev=np.zeros_like(act.mean) if act.stddev is None else act.stddev,
        effort=act.action,
        distribution=Distribution(act.distribution),
        bound=act.bound,
    )
    chosen, risk, verdict, _ = gate.judge(observation, proposal, torque_limit)
    if verdict is Verdict.REJECTED:
        raise ValueError(
            f"the critic refused an action of risk {risk:.3g}, and a deterministic policy has no other sample: roll "
            "out a policy with a standard deviation, or without the critic"
        )
    return chosen, verdict is not Verdict.ACCEPTED


def _padded(episodes: list[dict[str, np.ndarray[Any, Any]]], *, has_goal: bool) -> Rollouts:
    """Episodes side by side, zeros behind each end."""
    longest = max(len(episode["reward"]) for episode in episodes)

    def stacked(name: str, extra: int = 0) -> np.ndarray[Any, Any]:
        rows = [episode[name] for episode in episodes]
        others = [(0, 0)] * (rows[0].ndim - 1)
        return np.stack([np.pad(row, [(0, longest + extra - len(row)), *others]) for row in rows])

    succeeded = np.array([float(episode["succeeded"]) for episode in episodes])
    return Rollouts(
        observation=stacked("observation", extra=1),
        lengths=np.array([len(episode["reward"]) for episode in episodes], dtype=np.int64),
        succeeded=succeeded if has_goal else np.full(len(episodes), np.nan),
        **{name: stacked(name) for name in ("chosen", "applied", "reward", "cost", "terminated", "gated")},
    )
