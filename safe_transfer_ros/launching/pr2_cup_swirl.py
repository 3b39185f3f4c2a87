# SPDX-License-Identifier: Apache-2.0
"""The cup-swirl graph: PSPT fine-tunes the shipped policy on an arm it was not trained for."""

from safe_transfer_ros.launching.fine_tuning import FineTuningGraph

GRAPH = FineTuningGraph("pr2_cup_swirl")
