# SPDX-License-Identifier: Apache-2.0
"""The real safety_filter with a critic that does what stdin says: behave, raising, slow, busy, nan.

    python -m safe_transfer_ros.faults.filter_with_stub_critic --ledger FILE --ros-args ...

The ledger has a record for each proposal that the critic let through.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.faults.ledger import Kind, Ledger
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.nodes.safety_filter import SafetyFilterNode
from safe_transfer_ros.safety.critic.gate import Answer
from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.safety.reasons import Reason, Verdict

Array = npt.NDArray[np.float64]

SLOW_SECONDS = 2.0


class StubCritic:
    """Accepts every proposal until told otherwise."""

    def __init__(self, ledger: Ledger) -> None:
        """Behave."""
        self._ledger = ledger
        self._behaviour = "behave"
        threading.Thread(target=self._listen, daemon=True).start()

    def judge(self, observation: Array, proposal: Proposal, torque_limit: float) -> Answer:
        """Judge a proposal; see safety/critic/gate.Gate."""
        behaviour = self._behaviour
        if behaviour == "raising":
            raise RuntimeError("a critic that raises")
        if behaviour == "slow":
            time.sleep(SLOW_SECONDS)
        if behaviour == "busy":  # thinks in Python: every other thread has to wait for the interpreter
            until = time.monotonic() + SLOW_SECONDS
            while time.monotonic() < until:
                pass
        risk = float("nan") if behaviour == "nan" else 0.1
        if behaviour == "behave":
            self._ledger.note(Kind.GOOD)
        return proposal.effort, risk, Verdict.ACCEPTED, Reason.NONE

    def _listen(self) -> None:
        for line in sys.stdin:
            self._behaviour = line.strip()


def main() -> None:
    """Run nodes/safety_filter.py with a gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", required=True, help="file to append to")
    options, _ = parser.parse_known_args()

    def create(lifetime: Lifetime) -> SafetyFilterNode:
        node = SafetyFilterNode(gate=StubCritic(Ledger(options.ledger)))
        node.bring_up()
        return node

    raise SystemExit(run("safety_filter", create))


if __name__ == "__main__":
    main()
