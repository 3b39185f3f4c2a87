# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is taken where it is looked for, and nowhere else."""

from __future__ import annotations

import os
import signal

import pytest

from safe_transfer_ros.cli.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_looked_for(number: int) -> None:
    previous = signal.getsignal(number)
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()  # once
    assert signal.getsignal(number) is previous


def test_while_a_person_is_asked_it_is_taken_at_once_and_so_is_one_that_came_before() -> None:
    with Interrupts() as interrupts:
        after = []
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            os.kill(os.getpid(), signal.SIGINT)
            after.append("the answer")
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            after.append("the question")
        assert not after
