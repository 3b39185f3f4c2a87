# SPDX-License-Identifier: Apache-2.0
"""Nothing is imported while torques are commanded, and what was counted is told."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from safe_transfer_ros.middleware.filter_health import FilterHealth
from safe_transfer_ros.middleware.filter_rules import filter_rules
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.tasks.deployment import in_graph

graph = in_graph("pr2_cup_swirl")
rules = filter_rules(ExperimentParameters(), FilterParameters(), graph, graph.view(0, lockstep=True), None)
health = FilterHealth()
health.warm(rules)
assert (health.cycles, health.latency_us(), dict(health.reasons())) == (0, None, {}), "nothing is counted by it"
before = set(sys.modules)
health.count(3)
health.time_since(1_000, 31_000)
health.time_since(31_000, 1_000)
status = health.diagnosis(rules, 0, "pr2", {"beside": "it"})
late = set(sys.modules) - before
assert not late, late
values = {pair.key: pair.value for pair in status.values}
assert values["latency_max_us"] == "30" and values["beside"] == "it" and values["reason CLAMPED_EFFORT_LIMIT"] == "1"
"""


def test_the_first_diagnostics_import_no_module_and_what_was_counted_is_told() -> None:
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
