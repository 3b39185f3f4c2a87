# SPDX-License-Identifier: Apache-2.0
"""DARL's target and loss against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from safe_transfer_ros.algorithms.safe_correction import correction_loss, safe_indicator, safety_target


def test_a_state_without_cost_is_worth_one() -> None:
    assert safe_indicator(torch.tensor([0.0, 1.0, 0.5])).tolist() == [1.0, 0.0, 0.0]


def test_the_target_counts_safe_steps_until_a_termination() -> None:
    cost, terminated = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])
    following = torch.tensor([[5.0, 5.0, 5.0, 5.0], [4.0, 8.0, 4.0, 4.0]])  # the lesser of the twins counts
    target = safety_target(cost, terminated, following, 0.9)
    torch.testing.assert_close(target, torch.tensor([1.0 + 3.6, 0.0 + 4.5, 1.0, 0.0]))


def test_the_loss_is_the_distance_less_the_safety_that_the_multiplier_buys() -> None:
    action = torch.tensor([[0.5, 0.0], [0.0, 1.0]], requires_grad=True)
    baseline, safety = torch.tensor([[0.0, 0.0], [0.0, -1.0]]), torch.tensor([3.0, 5.0])
    assert correction_loss(action, baseline, safety, 0.0).item() == pytest.approx((0.25 + 4.0) / 2)
    assert correction_loss(action, baseline, safety, 0.5).item() == pytest.approx(4.25 / 2 - 0.5 * 4.0)
    # Along the loss the action goes to the baseline, and up along the safety: here 2 a_0.
    correction_loss(action, baseline, 2.0 * action[:, 0], 3.0).backward()
    torch.testing.assert_close(action.grad, torch.tensor([[0.5 - 3.0, 0.0], [0.0 - 3.0, 2.0]]))
