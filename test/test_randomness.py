# SPDX-License-Identifier: Apache-2.0
"""Random streams: different names give different streams, and nothing else makes any."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safe_transfer_ros
from safe_transfer_ros.randomness import FirstEpisode, Purpose, fresh_seed, generator, integer_seed, stdlib_generator

PACKAGE = Path(safe_transfer_ros.__file__).parent
NUMBERS = st.sampled_from([0, 1, 5, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 5 * 2**32, 2**63, 2**64 - 1]) | st.integers(
    0, 2**64 - 1
)


@st.composite
def names(draw: st.DrawFn) -> tuple[Purpose, tuple[int, ...]]:
    purpose = draw(st.sampled_from(Purpose))
    return purpose, tuple(draw(NUMBERS) for _ in range(1 + len(purpose.keys)))


@given(names(), names())
def test_streams_are_the_same_exactly_where_their_names_are(
    one: tuple[Purpose, tuple[int, ...]], other: tuple[Purpose, tuple[int, ...]]
) -> None:
    drawn, others = (generator(purpose, *numbers).integers(2**63, size=3) for purpose, numbers in (one, other))
    assert np.array_equal(drawn, others) == (one == other)
    assert (integer_seed(one[0], *one[1]) == integer_seed(other[0], *other[1])) == (one == other)


def test_streams_that_numpy_takes_for_one_are_several() -> None:
    seeds = (0, 1, 5, 2**32, 2**32 + 5, 5 * 2**32, 2**64 - 1)
    keys = (0, 1, 2**32)
    purposes = [purpose for purpose in Purpose if len(purpose.keys) <= 1]
    drawn = [
        generator(purpose, seed, *key).integers(2**63)
        for purpose in purposes
        for seed in seeds
        for key in ([(key,) for key in keys] if purpose.keys else [()])
    ]
    assert len(set(drawn)) == len(drawn) > 200


def test_a_stream_is_the_agreed_one_on_every_machine() -> None:
    """Each number as two words, the lower first: purpose, seed, keys, and zeros for the keys there are not."""
    words = np.array([2, 0, 7, 1, 3, 0, 0, 0, 0, 0], dtype=np.uint32)
    expected = np.random.default_rng(np.random.SeedSequence(words)).standard_normal(5)
    np.testing.assert_array_equal(generator(Purpose.ACTION_NOISE, 2**32 + 7, 3).standard_normal(5), expected)
    np.testing.assert_array_equal(
        generator(Purpose.ACTION_NOISE, np.uint64(2**32 + 7), np.int32(3)).standard_normal(5),  # type: ignore[arg-type]
        expected,
    )


def test_noise_drawn_at_once_equals_noise_drawn_step_by_step() -> None:
    at_once = generator(Purpose.ACTION_NOISE, 1, 2).standard_normal((200, 7))
    rng = generator(Purpose.ACTION_NOISE, 1, 2)
    np.testing.assert_array_equal(at_once, [rng.standard_normal(7) for _ in range(200)])


@pytest.mark.parametrize("bad", [-1, np.int64(-1), 2**64])
def test_numbers_out_of_range_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=r"seed of ACTION_NOISE must be in \[0, 2\*\*64\)"):
        generator(Purpose.ACTION_NOISE, bad, 0)
    with pytest.raises(ValueError, match=r"episode of ACTION_NOISE must be in \[0, 2\*\*64\)"):
        integer_seed(Purpose.ACTION_NOISE, 0, bad)


@pytest.mark.parametrize("bad", [1.0, "1", None, True, np.True_, np.float64(2.0), [1]])
def test_numbers_that_are_not_integers_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="seed of BOOTSTRAP must be an integer, got"):
        generator(Purpose.BOOTSTRAP, bad)  # type: ignore[arg-type]


def test_a_key_too_few_or_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match=r"keys of GATE are \(iteration, episode\), got 1"):
        generator(Purpose.GATE, 0, 1)
    with pytest.raises(ValueError, match="keys of ALMONDS are none, got 1"):
        stdlib_generator(Purpose.ALMONDS, 0, 1)


def test_seeds_for_others_are_such_as_they_take() -> None:
    assert all(0 <= integer_seed(Purpose.POLICY_UPDATE, 0, update) < 2**63 for update in range(100))
    first, again = (stdlib_generator(Purpose.FAULTY_PROCESS, 3) for _ in range(2))
    assert [first.random() for _ in range(3)] == [again.random() for _ in range(3)]
    drawn = {fresh_seed() for _ in range(100)}
    assert len(drawn) == 100 and all(0 <= seed < 2**63 for seed in drawn)


def test_ranges_of_episodes_are_far_apart_and_fit_the_messages() -> None:
    firsts = sorted(FirstEpisode)
    assert np.diff([*firsts, 2**32]).min() >= 100_000_000


def _calls(file: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}


def test_no_other_file_makes_random_numbers_of_its_own() -> None:
    makers = ("default_rng", "SeedSequence", "RandomState", "PCG64", "manual_seed", "random.seed", "random.Random")
    for file in sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "randomness.py"}):
        found = {
            call
            for call in _calls(file)
            if call.endswith(makers) or call.startswith(("np.random.", "numpy.random.", "random.", "torch.Generator"))
        }
        assert not found, f"{file} calls {found}: take it from safe_transfer_ros/randomness.py"


def test_the_search_for_makers_finds_the_one_there_is() -> None:
    assert {"np.random.default_rng", "np.random.SeedSequence", "random.Random"} <= _calls(PACKAGE / "randomness.py")
