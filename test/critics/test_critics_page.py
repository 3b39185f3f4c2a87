# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/critics.md, typed in their order on small recordings made by hand, print what the page shows.

Numbers are those of the page's own runs, which take minutes: words, lines and statuses are compared. The runs between
are the graph's: test/graphs/test_gated_run.py, test/nodes/test_critic_nodes.py.
"""

from __future__ import annotations

from pathlib import Path

import hand_made_critic
import numpy as np
import pytest
import transcripts
from decision_bags import decision, state, whole, write
from synthetic_run import Messages

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask

TASK, MESSAGES, STEPS = make("pr2_cup_swirl", TorqueTask), Messages(), 14
# On the page 2,000 updates, and as many more as train-critic makes without the option.
QUICK = {"2000": "100"}


def told_apart() -> list[bytes]:
    """Decisions applied as proposed: odd episodes fail, under a torque that even ones never have."""
    made = []
    for episode in range(20):
        torque = np.full(7, 0.4 if episode % 2 else 0.1)
        for step in range(STEPS + 1):
            fields = {"observation": TASK.observe(*state(TASK, episode, step), 0.5), "applied_effort": torque}
            if step < STEPS:
                fields["proposed_effort"] = torque
            made.append(decision(MESSAGES, TASK, episode, step, STEPS, **fields))
    return made


def limited(limit: float, episodes: int) -> list[bytes]:
    """Safe decisions under another limit."""
    return [
        decision(MESSAGES, TASK, episode, step, 10, torque_limit=limit)
        for episode in range(0, 2 * episodes, 2)
        for step in range(11)
    ]


def test_the_pages_commands_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs/failing/bag", whole(MESSAGES, TASK, 30, 40))
    write(tmp_path / "runs/calm/bag", limited(0.2, 5))
    write(tmp_path / "runs/new/bag", told_apart())
    shown = transcripts.of("critics.md")
    assert [" ".join(one.words[1:3]) for one in shown] == [
        "bag to-transitions",
        "train-critic --bags",
        "shadow-report runs/new/bag",
        "promote critics/first/critic.safetensors",
    ]
    for one in shown:
        if one.words[1] == "shadow-report":  # one that is sure to be worth promoting
            hand_made_critic.critic_file(
                Path("critics/first/critic.safetensors"), threshold=0.25, card={"horizon_steps": 6.5}
            )
        assert main([QUICK.get(word, word) for word in one.words[1:]]) == 0, one.words
        printed = capsys.readouterr().out
        assert not transcripts.difference(one.output, printed, numbers=False), printed
