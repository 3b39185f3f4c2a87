# SPDX-License-Identifier: Apache-2.0
"""What `train-critic` learns from: the recordings as they are now."""

from __future__ import annotations

import shutil
from argparse import Namespace

from decision_bags import whole, write
from synthetic_run import Messages

from safe_transfer_ros.cli.train_critic import _transitions
from safe_transfer_ros.tasks.task import make

TASK, MESSAGES = make("pr2_cup_swirl"), Messages()


def test_transitions_are_made_anew_where_something_was_recorded_since(tmp_path):
    bag = write(tmp_path / "bag", whole(MESSAGES, TASK, 1, 10))
    options = Namespace(bags=[bag], out=tmp_path / "critic", task=TASK.name)
    options.out.mkdir()
    assert len(_transitions(options)) == 10
    made = (options.out / "transitions" / "about.json").stat().st_mtime_ns
    assert len(_transitions(options)) == 10
    assert (options.out / "transitions" / "about.json").stat().st_mtime_ns == made, "the same, taken as they were"
    shutil.rmtree(bag)
    write(bag, whole(MESSAGES, TASK, 2, 10))
    assert len(_transitions(options)) == 20
