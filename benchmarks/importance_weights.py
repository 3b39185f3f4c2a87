# SPDX-License-Identifier: Apache-2.0
"""What importance weights tell of an updated policy and the next limit, where the truth is known in closed form.

A state is unsafe after three pushes in a row; a push comes with a chance that rises with the torque applied, the clamp
of a Gaussian whose mean is linear in what is observed (199 numbers of noise and a constant). One episode in five is a
hard one, in which nearly all states are unsafe. The policy is updated by one gradient step of KL .05 on the share of
safe states, from the episodes that are then judged, or from others.

python benchmarks/importance_weights.py          # the chain
python benchmarks/importance_weights.py --arm    # the literal arm: 150 iterations of the paper's rule, some minutes
python benchmarks/importance_weights.py --replay # what other rules would allow next, on the evidence of that run
"""

from __future__ import annotations

import argparse
from itertools import islice

import numpy as np
import scipy

from safe_transfer_ros.learning.policy_file import load_for
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.limit.confidence import betting_upper, conformal_upper
from safe_transfer_ros.safety.limit.importance import log_likelihood_ratio, weighted_rates
from safe_transfer_ros.safety.limit.rules import PolicyShift, limit_move_risk, policy_change_risk_per_state
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk
from safe_transfer_ros.studies.study import PAPER
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune

BATCHES, EPISODES, STEPS, PUSHES = 400, 5, 200, 3
FEATURES, STDDEV, MAX_KL = 200, 0.2, 0.05
HARD = 0.2
LIMIT, NEXT_LIMIT = 0.4, 0.42
WINDOWS = (1, 3, 10, 20)


def pushed(torque: np.ndarray, hard: np.ndarray | bool) -> np.ndarray:
    """Chance of a push."""
    return np.asarray(scipy.special.ndtr((torque - np.where(hard, -0.5, 0.5)) / 0.35))


def true_rate(weights: np.ndarray, limit: float) -> float:
    """Share of unsafe states: (STEPS - 2) / STEPS * P(push)^3, the chance of a push by quadrature and two atoms."""
    return HARD * _rate_of_kind(weights, limit, True) + (1.0 - HARD) * _rate_of_kind(weights, limit, False)


def _rate_of_kind(weights: np.ndarray, limit: float, hard: bool) -> float:
    mean, spread = weights[0], float(np.hypot(STDDEV, np.linalg.norm(weights[1:])))
    torque = np.linspace(-limit, limit, 4001)
    density = np.exp(-0.5 * np.square((torque - mean) / spread)) / (spread * np.sqrt(2.0 * np.pi))
    inside = np.trapezoid(density * pushed(torque, hard), torque)
    above, below = (scipy.special.ndtr((sign * mean - limit) / spread) for sign in (1.0, -1.0))
    chance = inside + above * pushed(np.array(limit), hard) + below * pushed(np.array(-limit), hard)
    return float((STEPS - PUSHES + 1) / STEPS * chance**PUSHES)


def episodes(rng: np.random.Generator, count: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, proposals and unsafe flags, each (count, STEPS, ...)."""
    features = rng.normal(size=(count, STEPS, FEATURES))
    features[..., 0] = 1.0
    proposed = features @ weights + STDDEV * rng.normal(size=(count, STEPS))
    hard = rng.random((count, 1)) < HARD
    push = rng.random((count, STEPS)) < pushed(np.clip(proposed, -LIMIT, LIMIT), hard)
    unsafe = push.copy()
    for lag in range(1, PUSHES):
        unsafe[:, lag:] &= push[:, :-lag]
        unsafe[:, :lag] = False
    return features, proposed, unsafe


def updated(weights: np.ndarray, features: np.ndarray, proposed: np.ndarray, unsafe: np.ndarray) -> np.ndarray:
    """One step along the gradient of safety; KL between the policies MAX_KL on average."""
    following = sum(np.pad(unsafe[:, lag:], ((0, 0), (0, lag))) for lag in range(PUSHES))
    advantage = following.mean() - following
    score = (proposed - features @ weights) / STDDEV
    gradient = np.einsum("es,es,esf->f", advantage, score, features)
    scale = np.sqrt(2.0 * MAX_KL) * STDDEV / np.sqrt(np.mean(np.square(features @ gradient)))
    return weights + scale * gradient


def judged(
    weights: np.ndarray, after: np.ndarray, batch: tuple[np.ndarray, ...], window: int
) -> tuple[np.ndarray, ...]:
    """Weighted rate of each episode, and the mean weight over the window."""
    features, proposed, unsafe = batch
    ratios = []
    for episode, torque in zip(features, proposed, strict=True):
        spread = np.full((STEPS, 1), STDDEV)
        before, mean = (episode @ weights)[:, None], (episode @ after)[:, None]
        shift = PolicyShift(mean=before, stddev=spread, mean_after=mean, stddev_after=spread)
        ratios.append(log_likelihood_ratio(torque[:, None], LIMIT, shift))
    return weighted_rates(list(unsafe), ratios, window), mean_weight(np.stack(ratios), window)


def mean_weight(ratios: np.ndarray, window: int) -> np.ndarray:
    """Mean over steps of the weights of `window` steps, per episode; their expectation is 1."""
    total = np.cumsum(np.pad(ratios, ((0, 0), (1, 0))), axis=1)
    steps = np.arange(1, ratios.shape[1] + 1)
    return np.asarray(np.exp(total[:, steps] - total[:, np.maximum(steps - window, 0)]).mean(axis=1))


def chain() -> None:
    """How often bounds from weights hold, on the chain."""
    rng = np.random.default_rng(0)
    weights = np.zeros(FEATURES)
    weights[0] = 0.2
    start = true_rate(weights, LIMIT)
    print(f"rate before the update {start:.3f}; {BATCHES} batches of {EPISODES} episodes of {STEPS} states")
    print("E[p / bound]: with the conformal bound; for the next limit with dp_u1 added to it")
    print(
        "| judged by | steps | mean weight | true rate | weighted | below truth | betting below | E[p / bound] | next |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for judged_by in ("held-out episodes", "those learned from"):
        rows: dict[int, list[tuple[float, ...]]] = {window: [] for window in WINDOWS}
        for _ in range(BATCHES):
            learned = episodes(rng, EPISODES, weights)
            after = updated(weights, *learned)
            batch = learned if judged_by == "those learned from" else episodes(rng, EPISODES, weights)
            truth = true_rate(after, LIMIT)
            mean = (batch[0] @ after).reshape(-1, 1)
            moved = limit_change_risk(mean, np.full_like(mean, STDDEV), LIMIT)
            for window in WINDOWS:
                rates, weight = judged(weights, after, batch, window)
                rows[window].append(
                    (
                        weight.mean(),
                        truth,
                        rates.mean(),
                        rates.mean() < truth,
                        betting_upper(rates) < truth,
                        truth / conformal_upper(rates),
                        true_rate(after, NEXT_LIMIT) / min(1.0, conformal_upper(rates) + moved),
                    )
                )
        for window, values in rows.items():
            weight, truth, told, below, missed, spent, spent_next = np.mean(values, axis=0).tolist()
            print(
                f"| {judged_by} | {window} | {weight:.2f} | {truth:.3f} | "
                f"{told:.3f} | {below:.0%} | {missed:.1%} | {spent:.2f} | {spent_next:.2f} |"
            )


def arm(iterations: int = 150, every: int = 15, further: int = 200) -> None:
    """Weights on the literal arm: in the five episodes learned from, and in further ones of that policy and limit."""
    task = make("pr2_cup_swirl", TorqueTask)
    parameters, _ = load_for(task, "pr2_cup_swirl")
    print("dp_u1: mean over joints, exact union; p: true, before the update, after it, and after it under 5 % more")
    print("| iteration | T_lim | dp_u1 | p | steps | mean weight, own | further | p told, own | further |")
    print("|---|---|---|---|---|---|---|---|---|")
    with VectorTorqueEnv(task, PERTURBATIONS["literal"], threads=1) as environment:

        def rolled(policy: GaussianPolicy, limit: float) -> SimulatedRollouts:
            limits = np.full(further, limit)
            return environment.rollout(policy, torque_limits=limits, seed=1, first_episode=FirstEpisode.EVALUATION)

        def rate(batch: SimulatedRollouts) -> float:
            return float(np.mean(~(batch.unsafety[:, 1:] <= task.unsafety_limit)))

        for step in islice(
            fine_tune(environment, parameters, settings=PsptSettings(), governor=PAPER, seed=0), iterations
        ):
            before, after = GaussianPolicy(parameters), GaussianPolicy(step.update.parameters)
            parameters = step.update.parameters
            limit = step.record.torque_limit
            if step.record.iteration % every != every - 1:
                continue
            fresh = rolled(before, limit)
            truth = [rate(fresh), rate(rolled(after, limit)), rate(rolled(after, min(3.0, 1.05 * limit)))]
            proposed = [array.reshape(-1, array.shape[-1]) for array in (step.batch.mean, step.batch.stddev)]
            moved = (limit_change_risk(*proposed, limit, joints) for joints in ("mean", "any"))
            known = " | ".join(", ".join(f"{value:.3f}" for value in values) for values in (moved, truth))
            for window in (1, 5, 10, 20):
                told = []
                for batch in (step.batch, fresh):
                    ratios = [_ratios(batch, row, limit, after) for row in range(len(batch.reward))]
                    weight = mean_weight(np.stack(ratios), window)
                    safe = batch.unsafety[:, 1:] <= task.unsafety_limit
                    total = [_weights(values, window) for values in ratios]
                    told.append((weight.mean(), 1.0 - float(np.mean(np.stack(total) * safe))))
                (own, own_rate), (other, other_rate) = told
                print(
                    f"| {step.record.iteration} | {limit:.2f} | {known} | {window} | {own:.2f} | {other:.2f} | "
                    f"{own_rate:.2f} | {other_rate:.2f} |",
                    flush=True,
                )


def replay(iterations: int = 150, every: int = 30) -> None:
    """Limit that each rule would allow next, D_safe / p'_u, on the evidence of the paper's own run."""
    task = make("pr2_cup_swirl", TorqueTask)
    parameters, _ = load_for(task, "pr2_cup_swirl")
    print("| iteration | T_lim | p_u | paper | conformal | step | step + conformal | step + betting | any + betting |")
    print("|---|---|---|---|---|---|---|---|---|")
    with VectorTorqueEnv(task, PERTURBATIONS["literal"], threads=1) as environment:
        steps = fine_tune(environment, parameters, settings=PsptSettings(), governor=PAPER, seed=0)
        for step in islice(steps, iterations):
            if step.record.iteration % every != every - 1:
                continue
            limit, batch, after = step.record.torque_limit, step.batch, GaussianPolicy(step.update.parameters)
            mean, stddev = (array.reshape(-1, array.shape[-1]) for array in (batch.mean, batch.stddev))
            shift = PolicyShift(
                mean=mean,
                stddev=stddev,
                mean_after=after.mean(batch.observation[:, :-1]).reshape(mean.shape),
                stddev_after=np.broadcast_to(after.stddev, mean.shape),
            )
            rates = np.mean(~(batch.unsafety[:, 1:] <= task.unsafety_limit), axis=1)
            measured, conformal, betting = float(rates.mean()), conformal_upper(rates), betting_upper(rates)
            one, union = (limit_change_risk(mean, stddev, limit, joints) for joints in ("mean", "any"))
            policy, per_state = step.record.policy_change_risk, policy_change_risk_per_state(shift)
            stepped = [_largest(rate + per_state, mean, stddev, limit) for rate in (measured, conformal, betting)]
            paper, bounded, strict = (
                PAPER.d_safe / min(1.0, rate + policy) for rate in (measured + one, conformal + one, betting + union)
            )
            print(
                f"| {step.record.iteration} | {limit:.2f} | {measured:.3f} | {paper:.2f} | {bounded:.2f} | "
                + " | ".join(f"{value:.2f}" for value in (*stepped, strict))
                + " |",
                flush=True,
            )


def _largest(rate: float, mean: np.ndarray, stddev: np.ndarray, limit: float) -> float:
    """Largest limit whose own step keeps the bound, on a grid of 1/400 N·m."""
    grid = np.arange(40, 1261) / 400.0
    damage = [min(1.0, rate + limit_move_risk(mean, stddev, limit, after)) * after for after in grid.tolist()]
    return float(grid[np.array(damage) <= PAPER.d_safe].max())


def _ratios(batch: SimulatedRollouts, row: int, limit: float, after: GaussianPolicy) -> np.ndarray:
    mean = batch.mean[row]
    shift = PolicyShift(
        mean=mean,
        stddev=batch.stddev[row],
        mean_after=after.mean(batch.observation[row, :-1]),
        stddev_after=np.broadcast_to(after.stddev, mean.shape),
    )
    return log_likelihood_ratio(batch.proposed[row], limit, shift)


def _weights(ratios: np.ndarray, window: int) -> np.ndarray:
    total = np.cumsum(np.pad(ratios, (1, 0)))
    steps = np.arange(1, len(ratios) + 1)
    return np.asarray(np.exp(total[steps] - total[np.maximum(steps - window, 0)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", action="store_const", const=arm, dest="study", default=chain)
    parser.add_argument("--replay", action="store_const", const=replay, dest="study")
    parser.parse_args().study()
