# SPDX-License-Identifier: Apache-2.0
"""The pushing graph of a Franka Research 3: in simulation, or on an arm (robot:=franka)."""

from safe_transfer_ros.launching.fine_tuning import FineTuningGraph

GRAPH = FineTuningGraph("fr3_push")
