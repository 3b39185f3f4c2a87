# SPDX-License-Identifier: Apache-2.0
"""Steps are those of torch's own Adam, in either way to take them, and go on from its states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms import adam
from safe_transfer_ros.algorithms.adam import Adam


def parameters() -> list[torch.Tensor]:
    rng = np.random.default_rng([0, 38])
    return [torch.from_numpy(rng.standard_normal(shape)).float().requires_grad_() for shape in ((4, 3), (3,), ())]


def loss_of(weight: torch.Tensor, bias: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    seen = torch.linspace(-1.0, 2.0, 12).reshape(3, 4)
    return (scale * torch.tanh(weight.T.contiguous() * seen + bias[:, None]) - 1.0).square().mean()


def test_a_gradient_here_is_a_transposed_view() -> None:
    """Such a one the fused step would read in the wrong order."""
    made = parameters()
    assert not torch.autograd.grad(loss_of(*made), made)[0].is_contiguous()


@pytest.mark.parametrize("fused", [True, False])
def test_steps_and_states_are_those_of_torch(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "_has_fused_step", lambda: fused)
    mine, theirs = parameters(), parameters()
    plain, learner = torch.optim.Adam(theirs, lr=1e-2, foreach=False, fused=False), Adam(mine, learning_rate=1e-2)
    learner.restore(plain.state_dict())  # without entries
    for step in range(9):
        plain.zero_grad()
        loss_of(*theirs).backward()
        plain.step()
        learner.descend(loss_of(*mine))
        if step == 5:
            kept = plain.state_dict()["state"]
            for number, entry in learner.state()["state"].items():
                for name, value in entry.items():
                    torch.testing.assert_close(value, kept[number][name], rtol=1e-4, atol=1e-7)
            learner = Adam(mine, learning_rate=1e-2)
            learner.restore(plain.state_dict())
    for one, other, start in zip(mine, theirs, parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert (one - start).abs().max() > 0.05


def test_a_state_does_not_go_on_and_is_resumed_exactly() -> None:
    mine = parameters()
    learner = Adam(mine, learning_rate=1e-2)
    learner.descend(loss_of(*mine))
    state, at = learner.state(), [one.detach().clone().requires_grad_() for one in mine]
    for _ in range(3):
        learner.descend(loss_of(*mine))
    other = Adam(at, learning_rate=1e-2)
    other.restore(state)
    for _ in range(3):
        other.descend(loss_of(*at))
    assert all(torch.equal(one, two) for one, two in zip(mine, at, strict=True))


def test_a_state_of_other_parameters_is_refused() -> None:
    state = Adam(parameters()[:2], learning_rate=1e-2).state()
    with pytest.raises(
        ValueError, match=r"for parameters of shapes \[\(4, 3\), \(3,\), \(\)\], got one for \[\(4, 3\)"
    ):
        Adam(parameters(), learning_rate=1e-2).restore(state)
