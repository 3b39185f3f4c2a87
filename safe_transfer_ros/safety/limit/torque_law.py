# SPDX-License-Identifier: Apache-2.0
"""Gaussian approximation, for PSPT's formulas, of policies whose torques follow another distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.proposal import Distribution

Array = npt.NDArray[np.float64]

_SURE = 1e-9  # N·m: a standard deviation for what is certain


def gaussian_stand_in(
    distribution: Distribution, mean: Array, stddev: Array, bound: Array, torque_limit: float
) -> tuple[Array, Array]:
    """Gaussian that lies outside the torque limit as often as the law of the torque proposed does (PSPT Eq. 22).

    A tanh Gaussian bound * tanh(x) is outside where |x| > atanh(torque_limit / bound), so x is scaled until that is
    the limit; never outside where the bound is within the limit. A deterministic torque is outside or it is not.

    Args:
      distribution: Law of the torque.
      mean: Its parameter, shape (n_joints,).
      stddev: Its parameter, same shape; ignored where it is deterministic.
      bound: Largest |torque| of a tanh Gaussian, same shape, N·m; ignored otherwise.
      torque_limit: Limit in force, N·m, > 0.

    Returns:
      Mean and standard deviation, shape (n_joints,), N·m.
    """
    if distribution is Distribution.GAUSSIAN:
        return mean, stddev
    if distribution is Distribution.DETERMINISTIC:
        return mean, np.full_like(mean, _SURE)
    within = bound <= torque_limit
    scale = torque_limit / np.arctanh(np.where(within, 0.5, torque_limit / bound))
    return np.where(within, 0.0, scale * mean), np.where(within, _SURE, scale * stddev)
