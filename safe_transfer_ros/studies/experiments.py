# SPDX-License-Identifier: Apache-2.0
"""The experiments of PSPT's figures: methods, robots and settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from safe_transfer_ros.registry import Registry
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.studies.study import StudyRun
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings


@dataclass(frozen=True, kw_only=True)
class Method:
    """One curve of a figure.

    Attributes:
      label: In legends and tables.
      run: Its settings; the seed is the study's to choose.
    """

    label: str
    run: StudyRun


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure.

    Attributes:
      name: On the command line, and of its files.
      title: Above the picture.
      methods: Its curves.
      columns: What is drawn, a panel each; columns of `StudyCurves`.
      seeds: Seeds 0, 1, ..., at least as many as the paper has.
      policies: Pre-trained alike from different seeds; a run begins with the one its own seed comes to, in turn.
      of_the_paper: Part of `reproduce all`.
    """

    name: str
    title: str
    methods: tuple[Method, ...]
    columns: tuple[str, ...]
    seeds: int = 10
    policies: tuple[str, ...] = ()
    of_the_paper: bool = True

    def runs(self, seeds: int, iterations: int | None = None) -> list[tuple[str, StudyRun]]:
        """Label and settings of every run.

        Args:
          seeds: Number of seeds.
          iterations: Of each run, where not the experiment's own.
        """
        return [
            (
                method.label,
                dataclasses.replace(
                    method.run,
                    seed=seed,
                    iterations=iterations or method.run.iterations,
                    policy=self.policies[seed % len(self.policies)] if self.policies else method.run.policy,
                ),
            )
            for seed in range(seeds)
            for method in self.methods
        ]


def _governed(label: str, **governor: object) -> Method:
    return Method(label=label, run=StudyRun(governor=GovernorSettings(**governor)))  # type: ignore[arg-type]


# Three seeds of `safe_transfer pretrain`: how a policy was born decides more than what it meets afterwards.
_PRE_TRAINED = ("pr2_cup_swirl", "pr2_cup_swirl_1", "pr2_cup_swirl_2")

FULL = _governed("adaptive (PSPT)")
FIXED = _governed("fixed at 3 N·m", rule="fixed")

# PSPT's real robot was stickier than its simulation; under this friction the policy moves only with its torques x 1.3.
_STICKY = Perturbation(frictionloss=0.6)
_REAL_ROBOT = StudyRun(
    perturbation=_STICKY,
    iterations=60,
    stddev_factor=0.5**0.5,
    torque_factor=1.3,
    governor=GovernorSettings(d_safe=1.3, initial_torque_limit=1.8, allow_unsafe_start=True),
)

_EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        name="fig6",
        title="PSPT Fig. 6: the torque limit while adapting, adaptive against fixed",
        methods=(FULL, FIXED),
        columns=("torque_limit", "mean_return"),
        policies=_PRE_TRAINED,
    ),
    Experiment(
        name="fig7",
        title="PSPT Fig. 7: expected damage while adapting, adaptive against fixed torque limit",
        methods=(FULL, FIXED),
        columns=("expected_damage", "mean_return"),
        policies=_PRE_TRAINED,
    ),
    Experiment(
        name="fig8",
        title="PSPT Fig. 8: the full method and its ablations",
        methods=(
            FULL,
            _governed("v2: no Δp_u1", use_limit_change=False),
            _governed("v3: no Δp_u2", use_policy_change=False),
            _governed("v4: neither", use_limit_change=False, use_policy_change=False),
        ),
        columns=("expected_damage", "torque_limit", "mean_return"),
        policies=_PRE_TRAINED,
    ),
    Experiment(
        name="fig9",
        title="PSPT Fig. 9: four bounds on the expected damage",
        methods=tuple(_governed(f"D_safe {bound:g} N·m", d_safe=bound) for bound in (0.2, 0.35, 0.5, 0.8)),
        columns=("expected_damage", "torque_limit", "mean_return"),
        policies=_PRE_TRAINED,
    ),
    Experiment(
        name="fig10",
        title="PSPT Fig. 10: the settings of the real robot, on a simulated arm with high friction",
        methods=(
            Method(label="adaptive, from 1.8 N·m", run=_REAL_ROBOT),
            Method(
                label="fixed at 3 N·m",
                run=dataclasses.replace(
                    _REAL_ROBOT, governor=GovernorSettings(d_safe=1.3, initial_torque_limit=1.8, rule="fixed")
                ),
            ),
        ),
        columns=("mean_return", "expected_damage", "torque_limit"),
        seeds=3,
    ),
)

_CUP = StudyRun(almonds=30)


def _spill(label: str, first: int, rule: str, d_safe: float = GovernorSettings.d_safe) -> Method:
    governor = GovernorSettings(rule=rule, d_safe=d_safe)
    run = dataclasses.replace(_CUP, iterations=first + 10, almonds_from=first, governor=governor)
    return Method(label=label, run=run)


_EXPERIMENTS += (
    Experiment(
        name="spill",
        title="Spill test: almonds lost from a full cup of 30 in 10,000 steps",
        methods=(
            _spill("adaptive, first 10,000 steps", 0, "adaptive"),
            _spill("fixed at 3 N·m, first 10,000 steps", 0, "fixed"),
            _spill("adaptive, steps 50,000 to 60,000", 50, "adaptive"),
            _spill("fixed at 3 N·m, steps 50,000 to 60,000", 50, "fixed"),
            _spill("D_safe .2, steps 50,000 to 60,000", 50, "adaptive", d_safe=0.2),
        ),
        columns=("almonds_lost",),
    ),
)

# What else a rule may be made of; see safety/limit/rules.py.
_STEP: dict[str, object] = {"joints": "moved", "kl": "per_state"}
_RULES: dict[str, dict[str, object]] = {
    "paper": {},
    "paper, half D_safe": {"d_safe": 0.25},
    "v2: no Δp_u1": {"use_limit_change": False},
    "any joint": {"joints": "any"},
    "step": _STEP,
    "step + effective samples": _STEP | {"rate": "effective_sample"},
    "step + betting": _STEP | {"rate": "betting"},
    "paper + benefit": {"benefit": True},
    "step + effective samples + benefit": _STEP | {"rate": "effective_sample", "benefit": True},
}


def _rules(base: StudyRun, chosen: tuple[str, ...]) -> tuple[Method, ...]:
    made = [
        Method(label=label, run=dataclasses.replace(base, governor=GovernorSettings(**_RULES[label])))  # type: ignore[arg-type]
        for label in chosen
    ]
    last = dataclasses.replace(made[-1].run, learning=PsptSettings(stddev_decay=0.99))
    return (*made, Method(label=f"{made[-1].label} + annealing", run=last))


_JUDGED = StudyRun(iterations=100, evaluate_every=10, evaluation_episodes=40)
_SOME = ("paper", "step", "step + effective samples", "paper + benefit", "step + effective samples + benefit")
_CURVES = ("mean_return", "expected_damage", "torque_limit")
_RULE_COLUMNS = ("true_damage", "torque_limit", "true_return")

_STUDIES: tuple[Experiment, ...] = (
    Experiment(
        name="rules",
        title="Rules for the torque limit, on the light and sticky arm",
        methods=_rules(_JUDGED, tuple(_RULES)),
        columns=_RULE_COLUMNS,
        seeds=20,
        of_the_paper=False,
    ),
    Experiment(
        name="rules_sticky",
        title="Rules for the torque limit, on an arm of the right mass with high friction (torques × 1.3)",
        methods=_rules(dataclasses.replace(_JUDGED, perturbation=_STICKY, torque_factor=1.3), _SOME),
        columns=_RULE_COLUMNS,
        seeds=20,
        of_the_paper=False,
    ),
)
# Sizes of the difference between the arms; beyond a hundredth of the mass a 5 ms step is not stable.
_SIZES = {
    "1": PERTURBATIONS["nominal"],
    "1/3": Perturbation(mass=1 / 3, damping=1 / 3, inertia=1 / 3, armature=1 / 3),
    "1/10": PERTURBATIONS["tenth"],
    "1/30": PERTURBATIONS["thirtieth"],
    "1/100": PERTURBATIONS["hundredth"],
}


_STANDSTILL = GovernorSettings(standstill="unsafe")


def _sticky(friction: float) -> Perturbation:
    return dataclasses.replace(PERTURBATIONS["tenth"], frictionloss=friction)


def _on(arm: Perturbation, label: str, **changes: object) -> Method:
    return Method(label=label, run=StudyRun(perturbation=arm, **changes))  # type: ignore[arg-type]


_STUDIES += (
    Experiment(
        name="mass",
        title="How much lighter the arm is than the one the policy was trained on",
        methods=tuple(_on(arm, f"mass × {size}") for size, arm in _SIZES.items()),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
    Experiment(
        name="friction",
        title="Dry friction of an arm of a tenth of the mass",
        methods=(
            *(_on(_sticky(friction), f"{friction:g} N·m") for friction in (0.0, 0.1, 0.2, 0.4, 0.8)),
            _on(_sticky(0.8), "0.8 N·m, any joint", governor=GovernorSettings(joints="any")),
            _on(_sticky(0.8), "0.8 N·m, standstill unsafe", governor=_STANDSTILL),
        ),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
    Experiment(
        name="standstill",
        title="An arm that stood still as no evidence, on arms that move from early on",
        methods=(
            FULL,
            _on(PERTURBATIONS["light_sticky"], "adaptive, standstill unsafe", governor=_STANDSTILL),
            _governed("D_safe 0.2 N·m", d_safe=0.2),
            _governed("D_safe 0.2 N·m, standstill unsafe", d_safe=0.2, standstill="unsafe"),
            _on(_SIZES["1"], "mass × 1"),
            _on(_SIZES["1"], "mass × 1, standstill unsafe", governor=_STANDSTILL),
        ),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
    Experiment(
        name="limit_input",
        title="A policy that is told the torque limit, and one that is not",
        methods=(
            FULL,
            _on(
                PERTURBATIONS["light_sticky"],
                "not told",
                task="pr2_cup_swirl_no_limit",
                policy="pr2_cup_swirl_no_limit",
            ),
        ),
        columns=_CURVES,
        of_the_paper=False,
    ),
)
_EXPERIMENTS += _STUDIES

EXPERIMENTS: Registry[Experiment] = Registry("figure")
for _experiment in _EXPERIMENTS:
    EXPERIMENTS.add(_experiment.name, _experiment)


def experiment(name: str) -> Experiment:
    """An experiment by name.

    Raises:
      ValueError: if there is none; names the nearest one.
    """
    return EXPERIMENTS[name]
