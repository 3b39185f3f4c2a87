# SPDX-License-Identifier: Apache-2.0
"""Work spread over processes: order, errors, the loss of a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import work_items

from safe_transfer_ros.learning.rollout_workers import WorkerRollouts
from safe_transfer_ros.learning.workers import LocalWorkers, WorkError
from safe_transfer_ros.policies import gaussian
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Architecture
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, fine_tune


@pytest.fixture(scope="module")
def workers():
    with LocalWorkers(2) as made:
        yield made


def test_a_worker_has_one_thread_and_huge_pages_unless_a_person_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    with LocalWorkers(1) as made:
        found = made.map(os.getenv, ["OMP_NUM_THREADS", "GLIBC_TUNABLES"])
    assert found == ["1", "glibc.malloc.hugetlb=1:glibc.malloc.hugetlb=0"]  # of two the last one counts
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def test_results_come_in_the_order_of_the_items(workers) -> None:
    seen: dict[int, int] = {}
    assert workers.map(work_items.square, list(range(9)), seen.__setitem__) == [n * n for n in range(9)]
    assert seen == {n: n * n for n in range(9)}
    assert workers.map(work_items.square, []) == []


def test_workers_are_several_and_stay(workers) -> None:
    first = set(workers.map(work_items.process_id, [0, 1, 2, 3]))
    assert len(first) == 2 and os.getpid() not in first
    assert set(workers.map(work_items.process_id, [0, 1, 2, 3])) == first == set(workers.process_ids)


def test_a_worker_lost_at_work_costs_nothing_but_time(tmp_path: Path) -> None:
    with LocalWorkers(2) as workers:
        items = [(n, str(tmp_path / "lost") if n == 2 else "") for n in range(6)]
        assert workers.map(work_items.square_once_lost, items) == [n * n for n in range(6)]
    assert (tmp_path / "lost").exists(), "no worker died, so nothing was shown"


def test_a_worker_lost_while_idle_is_replaced(workers) -> None:
    workers.map(work_items.square, [1, 2, 3])
    for process in workers.process_ids:
        os.kill(process, signal.SIGKILL)
    assert workers.map(work_items.square, [4, 5, 6]) == [16, 25, 36]


def test_an_item_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    with LocalWorkers(1) as workers, pytest.raises(WorkError, match="item 0 of 1.*lost 3 times"):
        workers.map(work_items.die, [0])


def test_an_error_names_the_item_and_where_it_came_from() -> None:
    with LocalWorkers(1) as workers:
        with pytest.raises(WorkError, match="(?s)item 3 of 5.*fail_on_three.*three is too much"):
            workers.map(work_items.fail_on_three, list(range(5)))
        assert workers.map(work_items.square, [7]) == [49], "the next piece of work starts afresh"


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import work_items; from safe_transfer_ros.learning.workers import LocalWorkers\n"
        "if __name__ == '__main__':\n"
        "    workers = LocalWorkers(1)\n"
        "    print(*workers.map(work_items.process_id, [1]), flush=True)\n"
        "    workers.map(work_items.sleep, [600])\n"
    )
    (tmp_path / "parent.py").write_text(program)
    path = os.pathsep.join([str(Path(__file__).parent), os.getcwd()])
    command = [sys.executable, str(tmp_path / "parent.py")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the worker goes on for nobody"
        time.sleep(0.05)


# Rollouts -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policy() -> GaussianPolicy:
    sizes = Architecture(observation_size=18, hidden=(16,), action_size=7)
    return GaussianPolicy(gaussian.initial_parameters(sizes, seed=0, mean_gain=1.0))


def same(one, other) -> None:
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), err_msg=name)


def test_a_batch_is_the_same_numbers_whoever_rolls_it_out_and_whoever_is_lost(workers, policy) -> None:
    robot = PERTURBATIONS["light_sticky"]
    limits = np.linspace(0.1, 1.0, 7)
    with VectorTorqueEnv(make("pr2_cup_swirl"), robot, threads=1) as environment:
        expected = environment.rollout(policy, torque_limits=limits, seed=2, first_episode=11)
    pieces = WorkerRollouts("pr2_cup_swirl", robot, workers=workers, episodes_per_piece=2)
    same(pieces.rollout(policy, torque_limits=limits, seed=2, first_episode=11), expected)

    before = set(workers.process_ids)
    killer = threading.Timer(0.05, os.kill, (workers.process_ids[0], signal.SIGKILL))
    killer.start()
    large = np.tile(limits, 3)
    unbroken = pieces.rollout(policy, torque_limits=large, seed=2, first_episode=11)
    killer.join()
    workers.map(work_items.square, [1, 2])
    assert set(workers.process_ids) != before, "no worker was lost, so nothing was shown"
    same(pieces.rollout(policy, torque_limits=large, seed=2, first_episode=11), unbroken)
    np.testing.assert_array_equal(unbroken.position[:7], expected.position)


def test_algorithm_1_does_not_see_who_rolls_out(workers, policy) -> None:
    sizes = Architecture(observation_size=18, hidden=(16,), action_size=7)
    parameters = gaussian.initial_parameters(sizes, seed=0, mean_gain=1.0)
    robot = PERTURBATIONS["light_sticky"]
    settings = dict(settings=PsptSettings(), governor=GovernorSettings(), seed=1, episodes=3)
    spread = fine_tune(WorkerRollouts("pr2_cup_swirl", robot, workers=workers), parameters, **settings)
    with VectorTorqueEnv(make("pr2_cup_swirl"), robot, threads=1) as environment:
        alone = fine_tune(environment, parameters, **settings)
        for one, other in zip(islice(spread, 2), islice(alone, 2), strict=True):
            assert one.record.as_dict() | {"wall_time_s": 0} == other.record.as_dict() | {"wall_time_s": 0}
            for name, array in one.update.parameters.items():
                np.testing.assert_array_equal(array, other.update.parameters[name])
