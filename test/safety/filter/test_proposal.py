# SPDX-License-Identifier: Apache-2.0
"""What a proposal's numbers must be under the law it says; nothing is repaired."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution, Proposal, fault_of, law_of
from safe_transfer_ros.safety.reasons import Reason

WHOLE: dict[Distribution, dict] = {
    Distribution.GAUSSIAN: {"stddev": np.array([0.1, 0.2])},
    Distribution.TANH_GAUSSIAN: {"stddev": np.array([0.1, 0.2]), "bound": np.array([1.0, 2.0])},
    Distribution.DETERMINISTIC: {"stddev": np.empty(0)},
}


def made(law: Distribution, **changes: object) -> Proposal:
    fields = {"stamp_ns": 0, "iteration": 0, "episode": 0, "step": 0, "last": False, "policy_version": 0}
    arrays = {"mean": np.array([0.5, -0.5]), "effort": np.array([0.5, -0.5])}
    return Proposal(**(fields | arrays | WHOLE[law] | {"distribution": law} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("law", Distribution)
def test_whole_ones_have_no_fault(law: Distribution) -> None:
    assert fault_of(made(law), 2) is Reason.NONE


@pytest.mark.parametrize(
    ("law", "changes", "fault"),
    [
        (Distribution.GAUSSIAN, {"stddev": np.array([0.1, 0.0])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.GAUSSIAN, {"stddev": np.empty(0)}, Reason.PROPOSAL_WRONG_LENGTH),
        (Distribution.GAUSSIAN, {"bound": np.ones(2)}, Reason.PROPOSAL_WRONG_LENGTH),
        (Distribution.GAUSSIAN, {"effort": np.array([0.5, np.nan])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.TANH_GAUSSIAN, {"bound": None}, Reason.PROPOSAL_WRONG_LENGTH),
        (Distribution.TANH_GAUSSIAN, {"bound": np.ones(3)}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.TANH_GAUSSIAN, {"bound": np.array([1.0, 0.0])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.TANH_GAUSSIAN, {"bound": np.array([1.0, np.inf])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.TANH_GAUSSIAN, {"effort": np.array([0.5, -2.1])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.TANH_GAUSSIAN, {"stddev": np.array([0.0, 0.2])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.DETERMINISTIC, {"stddev": np.array([0.0, 0.1])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.DETERMINISTIC, {"effort": np.array([0.5, -0.4])}, Reason.PROPOSAL_NOT_FINITE),
        (Distribution.DETERMINISTIC, {"bound": np.ones(2)}, Reason.PROPOSAL_WRONG_LENGTH),
    ],
)
def test_numbers_that_contradict_the_law_are_refused(law: Distribution, changes: dict, fault: Reason) -> None:
    assert fault_of(made(law, **changes), 2) is fault


def test_what_a_proposal_does_not_say_ends_no_episode_and_is_no_fault() -> None:
    made = Proposal(
        stamp_ns=1,
        iteration=0,
        episode=0,
        step=0,
        last=False,
        policy_version=0,
        mean=np.zeros(1),
        stddev=np.ones(1),
        effort=np.zeros(1),
    )
    assert (made.terminated, made.fault, made.distribution) == (False, Reason.NONE, Distribution.GAUSSIAN)


@pytest.mark.parametrize(
    ("law", "changes"),
    [
        (Distribution.GAUSSIAN, {"stddev": np.array([1e-3, 1e-300])}),
        (Distribution.TANH_GAUSSIAN, {"bound": np.array([0.5, 0.5])}),
        (Distribution.TANH_GAUSSIAN, {"effort": np.array([1e-3, -1e-3]), "bound": np.array([2e-3, 1e-3])}),
    ],
)
def test_numbers_at_the_edge_of_a_law_are_within_it(law: Distribution, changes: dict) -> None:
    assert fault_of(made(law, **changes), 2) is Reason.NONE


@pytest.mark.parametrize("bound", [0.0, -0.005, -1.0])
def test_a_bound_that_leaves_nothing_bounds_nothing_even_where_nothing_is_asked_for(bound: float) -> None:
    changes = {"effort": np.zeros(2), "bound": np.array([1.0, bound])}
    assert fault_of(made(Distribution.TANH_GAUSSIAN, **changes), 2) is Reason.PROPOSAL_NOT_FINITE


def test_a_messages_number_names_a_law_or_none() -> None:
    assert [law_of(number) for number in range(-1, 4)] == [None, *LAWS, None]
    assert LAWS == (Distribution.GAUSSIAN, Distribution.TANH_GAUSSIAN, Distribution.DETERMINISTIC)
