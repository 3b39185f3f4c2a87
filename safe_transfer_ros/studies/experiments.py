# SPDX-License-Identifier: Apache-2.0
"""The experiments by name."""

from __future__ import annotations

from safe_transfer_ros.registry import Registry
from safe_transfer_ros.studies.experiment import Experiment
from safe_transfer_ros.studies.paper_figures import FIGURES
from safe_transfer_ros.studies.stress_tests import STRESS_TESTS

EXPERIMENTS: Registry[Experiment] = Registry("figure")
for _experiment in (*FIGURES, *STRESS_TESTS):
    EXPERIMENTS.add(_experiment.name, _experiment)


def experiment(name: str) -> Experiment:
    """An experiment by name.

    Raises:
      ValueError: if there is none; names the nearest one.
    """
    return EXPERIMENTS[name]
