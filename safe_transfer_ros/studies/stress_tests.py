# SPDX-License-Identifier: Apache-2.0
"""Experiments of our own: other arms, other rules, larger batches, and a budget beside the prediction."""

from __future__ import annotations

import dataclasses

import numpy as np

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.robots.simulation import PERTURBATIONS, Perturbation
from safe_transfer_ros.studies.experiment import FIXED, PRE_TRAINED, PSPT, Experiment, Method, governed
from safe_transfer_ros.studies.paper_figures import STICKY_UNDAMPED
from safe_transfer_ros.studies.study import PAPER, StudyRun
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings

_CURVES = ("mean_return", "expected_damage", "torque_limit")
_STRESS = StudyRun(iterations=120)

# Other arms -----------------------------------------------------------------------------------------------------------

# Beyond a hundredth of the mass a 5 ms step is not stable; inertia a tenth, as PSPT has it.
_ARMS = {
    "literal": PERTURBATIONS["literal"],
    "mass / 100": Perturbation(mass=0.01, damping=0.1, inertia=0.1),
    "damping / 100": Perturbation(mass=0.1, damping=0.01, inertia=0.1),
    "mass, damping / 100": Perturbation(mass=0.01, damping=0.01, inertia=0.1),
    "armature / 10": PERTURBATIONS["tenth"],
    "armature / 10, .2 N·m friction": PERTURBATIONS["light_sticky"],
}
_SIZES = {
    "1": PERTURBATIONS["nominal"],
    "1/3": Perturbation(mass=1 / 3, damping=1 / 3, inertia=1 / 3, armature=1 / 3),
    "1/10": PERTURBATIONS["tenth"],
    "1/30": PERTURBATIONS["thirtieth"],
    "1/100": PERTURBATIONS["hundredth"],
}
_STANDSTILL = dataclasses.replace(PAPER, standstill="unsafe")


def _sticky(friction: float) -> Perturbation:
    return dataclasses.replace(PERTURBATIONS["tenth"], frictionloss=friction)


def _on(arm: Perturbation, label: str, base: StudyRun = _STRESS, **changes: object) -> Method:
    return Method(label=label, run=dataclasses.replace(base, perturbation=arm, **changes))  # type: ignore[arg-type]


_OTHER_ARMS = (
    Experiment(
        name="stress",
        title="Arms further from the one the policy was trained on: adaptive, and fixed at 3 N·m",
        methods=tuple(
            Method(label=f"{label}{suffix}", run=dataclasses.replace(run, perturbation=arm, iterations=200))
            for label, arm in _ARMS.items()
            for suffix, run in (("", PSPT.run), (", fixed", FIXED.run))
        ),
        columns=_CURVES,
        seeds=3,
        policies=PRE_TRAINED,
        of_the_paper=False,
    ),
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
            _on(_sticky(0.8), "0.8 N·m, any joint", governor=dataclasses.replace(PAPER, joints="any")),
            _on(_sticky(0.8), "0.8 N·m, standstill unsafe", governor=_STANDSTILL),
        ),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
    Experiment(
        name="standstill",
        title="An arm that stood still as no evidence, on arms that move from early on",
        methods=tuple(
            _on(arm, f"{label}{suffix}", governor=dataclasses.replace(PAPER, d_safe=d_safe, standstill=standstill))
            for label, arm, d_safe in (
                ("light_sticky", PERTURBATIONS["light_sticky"], 0.5),
                ("light_sticky, D_safe 0.2", PERTURBATIONS["light_sticky"], 0.2),
                ("mass × 1", _SIZES["1"], 0.5),
            )
            for suffix, standstill in (("", "measured"), (", standstill unsafe", "unsafe"))
        ),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
)

# Other policies and batches -------------------------------------------------------------------------------------------

_OTHER_POLICIES = (
    Experiment(
        name="limit_input",
        title="A policy that is told the torque limit, and one that is not",
        methods=(
            PSPT,
            governed("not told", StudyRun(task="pr2_cup_swirl_no_limit", policy="pr2_cup_swirl_no_limit")),
        ),
        columns=_CURVES,
        seeds=5,
        of_the_paper=False,
    ),
    Experiment(
        name="direction",
        title="A policy that sees the tool's position, and one that sees the direction of its axis",
        methods=(
            dataclasses.replace(PSPT, label="position"),
            dataclasses.replace(
                governed("direction", StudyRun(task="pr2_cup_swirl_direction")),
                policies=tuple(f"pr2_cup_swirl_direction{suffix}" for suffix in ("", "_1", "_2")),
            ),
        ),
        columns=_CURVES,
        policies=PRE_TRAINED,
        of_the_paper=False,
    ),
    Experiment(
        name="batch",
        title="Episodes per iteration",
        methods=tuple(
            _on(arm, f"{label}{episodes} episodes", episodes=episodes, iterations=100)
            for label, arm in (("", PERTURBATIONS["literal"]), ("0.8 N·m friction, ", _sticky(0.8)))
            for episodes in (5, 20, 50)
        ),
        columns=_CURVES,
        seeds=3,
        of_the_paper=False,
    ),
)

# A budget within the iteration ----------------------------------------------------------------------------------------


def _drawn(number: int) -> Perturbation:
    """A light arm whose joints each have a dry friction of their own, up to 1.5 N·m."""
    friction = generator(Purpose.ARM, number).uniform(0.0, 1.5, 7)
    return dataclasses.replace(PERTURBATIONS["tenth"], joint_friction=tuple(np.round(friction, 2).tolist()))


_BUDGET_ARMS = (
    ("literal", PERTURBATIONS["literal"], 0.5),
    ("light_sticky", PERTURBATIONS["light_sticky"], 0.5),
    *((f"{friction:g} N·m friction", _sticky(friction), 0.5) for friction in (0.4, 0.8, 1.5)),
    *((f"drawn friction {number}", _drawn(number), 0.5) for number in range(3)),
    (
        "mass / 20, .5 N·m friction, D_safe .2",
        Perturbation(mass=0.05, damping=0.05, inertia=0.05, armature=0.05, frictionloss=0.5),
        0.2,
    ),
)

_BUDGET = (
    Experiment(
        name="budget",
        title="The prediction alone, and with a damage budget within the iteration",
        methods=tuple(
            _on(
                arm,
                f"{label}{suffix}",
                StudyRun(iterations=150, evaluate_every=10, evaluation_episodes=60),
                governor=dataclasses.replace(PAPER, d_safe=d_safe, damage_budget=budget),
            )
            for label, arm, d_safe in _BUDGET_ARMS
            for suffix, budget in (("", False), (", budget", True))
        ),
        columns=("expected_damage", "true_damage", "torque_limit", "mean_return"),
        seeds=3,
        of_the_paper=False,
    ),
)

# Rules for the limit; see safety/limit/rules.py -----------------------------------------------------------------------

_STEP: dict[str, object] = {"joints": "moved", "kl": "per_state"}
_RULES: dict[str, dict[str, object]] = {
    "paper": {},
    "paper, half D_safe": {"d_safe": 0.25},
    "v2: no Δp_u1": {"use_limit_change": False},
    "any joint": {"joints": "any"},
    "step": _STEP,
    "step + effective samples": _STEP | {"rate": "effective_sample"},
    "step + betting": _STEP | {"rate": "betting"},
    "conformal": {"rate": "conformal"},
    "step + conformal": _STEP | {"rate": "conformal"},
    "paper + benefit": {"benefit": True},
    "step + effective samples + benefit": _STEP | {"rate": "effective_sample", "benefit": True},
}


# By importance weights: five episodes more an iteration, which nothing is learned from. dp_u1 as the exact union, or as
# that of the limit's own step.
_WEIGHTED: dict[str, dict[str, object]] = {
    "weights + betting, any joint": {"prediction": "weighted", "rate": "betting", "joints": "any"},
    "weights + conformal, step": {"prediction": "weighted", "rate": "conformal", "joints": "moved"},
}


def _rules(base: StudyRun) -> tuple[Method, ...]:
    made = [governed(label, base, **settings) for label, settings in _RULES.items()]
    last = dataclasses.replace(made[-1].run, learning=PsptSettings(stddev_decay=0.99))
    more = dataclasses.replace(base, episodes=10, learning=PsptSettings(held_out=5))
    weighted = (governed(label, more, **settings) for label, settings in _WEIGHTED.items())
    return (*made, Method(label=f"{made[-1].label} + annealing", run=last), *weighted)


_JUDGED = StudyRun(iterations=200, evaluate_every=20, evaluation_episodes=100)
_RULE_COLUMNS = ("true_damage", "torque_limit", "true_return")

# Whether the rule that pays on the literal arm does so elsewhere, and for longer.
_BENEFIT_ARMS = (
    ("literal", PERTURBATIONS["literal"], 400),
    ("mass × 1", PERTURBATIONS["nominal"], 200),
    ("0.8 N·m friction", _sticky(0.8), 200),
    ("1.5 N·m friction", _sticky(1.5), 200),
    ("right mass, damping / 10, .6 N·m friction", STICKY_UNDAMPED, 200),
)
_BENEFIT = Experiment(
    name="benefit",
    title="A limit that rises only while it pays, on five arms",
    methods=tuple(
        governed(
            f"{arm}: {label}",
            StudyRun(perturbation=changed, iterations=length, evaluate_every=length // 10, evaluation_episodes=100),
            **_RULES[label],
        )
        for arm, changed, length in _BENEFIT_ARMS
        for label in ("paper", "paper, half D_safe", "any joint", "paper + benefit")
    ),
    columns=_RULE_COLUMNS,
    seeds=6,
    policies=PRE_TRAINED,
    of_the_paper=False,
)

_OF_A_BOUND = ("paper", "paper, half D_safe", "conformal", "step + conformal", *_WEIGHTED)


def _judged(arm: str) -> tuple[Method, ...]:
    return _rules(dataclasses.replace(_JUDGED, perturbation=PERTURBATIONS[arm]))


_OTHER_RULES = tuple(
    Experiment(
        name=name,
        title=title,
        methods=methods,
        columns=_RULE_COLUMNS,
        seeds=20,
        policies=PRE_TRAINED,
        of_the_paper=False,
    )
    for name, title, methods in (
        ("rules", "Rules for the torque limit, on the literal arm", _judged("literal")),
        ("rules_light_sticky", "Rules for the torque limit, on the light_sticky arm", _judged("light_sticky")),
        (
            "bounds",
            "A bound on the damage expected, and importance weights, on the literal arm",
            tuple(method for method in _judged("literal") if method.label in _OF_A_BOUND),
        ),
    )
)

STRESS_TESTS: tuple[Experiment, ...] = (*_OTHER_ARMS, *_OTHER_POLICIES, *_BUDGET, *_OTHER_RULES, _BENEFIT)
