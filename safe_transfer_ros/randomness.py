# SPDX-License-Identifier: Apache-2.0
"""Random streams of the package; every random number comes from one of them.

A stream is named by its purpose, the seed of the run and the keys that number it within the run, for example the
episode. A process that knows these draws the same numbers as any other, whatever was drawn before: the in-process
environment, the batch of environments and the ROS graph agree, and a resumed run goes on as it would have.

Streams of different names are independent. numpy alone does not promise that: it pads short seeds with zeros, so `[s]`,
`[s, 0]` and `[s, 0, 0]` are one stream, and it splits a number of 2**32 or more into two words, so `[2**32 + 5]` and
`[5, 1]` are one as well. Here every name is a key of the same number of words.
"""

from __future__ import annotations

import enum
import operator
import random
import secrets

import numpy as np
import numpy.typing as npt

SCHEME = 2
"""Version of how a stream follows from its name. What is kept to be gone on with or looked up again, and holds numbers
of these streams, notes it: numbers of two schemes do not belong in one run."""

_MAX_KEYS = 3


class Purpose(enum.IntEnum):
    """Purpose of a random stream, with the keys that number its streams within a run.

    A number is never given to another purpose: add new ones at the end.

    Attributes:
      keys: Names of the keys that `generator` takes beside the seed, in order.
    """

    keys: tuple[str, ...]

    def __new__(cls, number: int, *keys: str) -> Purpose:
        """Number a purpose and name its keys."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.keys = keys
        return member

    INITIAL_STATE = 1, "episode"
    ACTION_NOISE = 2, "episode"
    POLICY_INITIALISATION = 3
    POLICY_UPDATE = 4, "iteration"
    FISHER_STATES = 5
    TORQUE_LIMITS = 6, "batch"
    SOURCE_TORQUE_LIMITS = 7, "arm"
    CRITIC_INITIALISATION = 8
    CRITIC_TRAINING = 9, "update"
    CRITIC_ONLINE_UPDATE = 10, "update"
    CRITIC_LABELLED_TUPLES = 11
    COST_ADVANTAGES = 12, "epoch"
    GATE = 13, "iteration", "episode"
    GATE_OF_EPOCH = 14, "epoch"
    GATE_OF_EVALUATION = 15
    GATE_OF_STUDY = 16
    IMITATION = 17
    ALMONDS = 18
    BOOTSTRAP = 19
    FAULT = 20, "fault", "repeat"
    FAULTY_PROCESS = 21
    ARM = 22
    EXPLORATION = 23, "transition"
    OFF_POLICY_UPDATE = 24, "update"
    SAFE_ACTOR_INITIALISATION = 25
    SAFE_CRITIC_INITIALISATION = 26
    MINIBATCHES = 27
    IMPORT_CHECK = 28
    MASK_OF_EVALUATION = 29
    MASK_OF_UPDATE = 30, "iteration"


class FirstEpisode(enum.IntEnum):
    """First episode number of each use of episodes within a run.

    The number of an episode selects its streams: episodes that judge a policy must be none that it learns from. Numbers
    fit the uint32 of the messages.
    """

    TRAINING = 0
    EVALUATION = 100_000_000
    CRITIC_SOURCE = 200_000_000
    CRITIC_LABELLED = 300_000_000
    IMITATION = 400_000_000
    SAFETY_CRITIC = 500_000_000


def generator(purpose: Purpose, seed: int, *keys: int) -> np.random.Generator:
    """Random numbers of one stream, from its start.

    Args:
      purpose: What they are for.
      seed: Seed of the run, in [0, 2**64).
      *keys: One number in [0, 2**64) per name in `purpose.keys`.

    Raises:
      ValueError: if the seed or a key is negative, too large or not an integer, or a key is missing or one too many.
    """
    return np.random.default_rng(_sequence(purpose, seed, keys))


def integer_seed(purpose: Purpose, seed: int, *keys: int) -> int:
    """Seed in [0, 2**63) for what makes its own stream from an integer (torch, another `generator`).

    The arguments and errors are those of `generator`.
    """
    return int(_sequence(purpose, seed, keys).generate_state(1, np.uint64)[0] >> np.uint64(1))


def stdlib_generator(purpose: Purpose, seed: int, *keys: int) -> random.Random:
    """Like `generator`, for code that does without arrays."""
    return random.Random(integer_seed(purpose, seed, *keys))


def fresh_seed() -> int:
    """Random seed in [0, 2**63) from the operating system."""
    return secrets.randbits(63)


def _sequence(purpose: Purpose, seed: int, keys: tuple[int, ...]) -> np.random.SeedSequence:
    if len(keys) != len(purpose.keys):
        expected = f"({', '.join(purpose.keys)})" if purpose.keys else "none"
        raise ValueError(f"the keys of {purpose.name} are {expected}, got {len(keys)}: {keys}")
    words: npt.NDArray[np.uint32] = np.zeros(2 * (2 + _MAX_KEYS), dtype=np.uint32)
    named = (("seed", seed), *zip(purpose.keys, keys, strict=True))
    for at, number in enumerate((int(purpose), *(_checked(number, name, purpose) for name, number in named))):
        words[2 * at], words[2 * at + 1] = number & 0xFFFFFFFF, number >> 32
    return np.random.SeedSequence(words)  # an array of words is taken as it is


def _checked(number: int, name: str, purpose: Purpose) -> int:
    try:
        if isinstance(number, bool | np.bool_):
            raise TypeError
        whole = operator.index(number)  # an int, or one of numpy's
    except TypeError:
        raise ValueError(f"{name} of {purpose.name} must be an integer, got {number!r}") from None
    if not 0 <= whole < 2**64:
        raise ValueError(f"{name} of {purpose.name} must be in [0, 2**64), got {whole}")
    return whole
