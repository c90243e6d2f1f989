"""``python -m sentinels plan``: number of keys that a decision needs, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.progress import progress
from engine.statistics import least_keys, pairing_test
from sentinels.permutation import least_sequential_keys, sequential_test
from sentinels.plan_config import PlanConfig

MAX_KEYS = 200
"""Largest number of keys that is simulated."""

MAX_DRAWS = 99_999
"""Most drawn pairings of a simulated test, as many as of a real one."""

ENUMERATED = 7
"""Most keys of a simulated test that goes through all pairings."""

SCALE = 0.02
"""Standard deviation of a simulated cosine similarity; no test depends on it."""


@dataclass(frozen=True)
class Needed:
    """Number of keys for one hit rate and level.

    Attributes:
        hit_rate: Share of keys whose output is made from their sentinel.
        level: Accepted probability of a false accusation.
        keys: Fewest keys of a permutation test; None if more than :data:`MAX_KEYS`.
        one_by_one: The same for a sequential test.
    """

    hit_rate: float
    level: float
    keys: int | None
    one_by_one: int | None


def plan(config: PlanConfig) -> list[Needed]:
    """Simulate studies, and find how many keys reach each level at each hit rate.

    A simulated study has similarities of outputs to sources with a standard deviation of one. Those
    of hits to their own sources are larger by the effect size. The permutation test and the
    sequential test are those of ``decide``.

    Args:
        config: Settings.
    """
    needed = []
    rng = np.random.default_rng(config.seed)
    noise = rng.standard_normal((config.studies, MAX_KEYS, MAX_KEYS), np.float32)
    ranks = rng.random((config.studies, MAX_KEYS))
    with progress(total=len(config.hit_rates) * len(config.levels), desc="simulated") as bar:
        for hit_rate in config.hit_rates:
            simulation = _Simulation(config, noise, ranks < hit_rate)
            for level in config.levels:
                keys = simulation.fewest(simulation.is_found, level, least_keys(level))
                least = least_sequential_keys(level)
                one_by_one = simulation.fewest(simulation.is_found_one_by_one, level, least)
                needed.append(Needed(hit_rate, level, keys, one_by_one))
                bar.update()
    return needed


class _Simulation:
    """Simulated studies at one hit rate.

    A study with more keys contains the study with fewer.

    Args:
        config: Settings.
        noise: Similarities of studies without hits, (studies, MAX_KEYS, MAX_KEYS).
        hits: Whether the output of each key is made from its sentinel, (studies, MAX_KEYS).
    """

    def __init__(
        self, config: PlanConfig, noise: NDArray[np.float32], hits: NDArray[np.bool_]
    ) -> None:
        self.config = config
        self.noise = noise
        self.hits = hits
        self.draws = min(MAX_DRAWS, ceil(10 / min(config.levels)) - 1)
        self.p: dict[tuple[int, int], float] = {}

    def cosines(self, study: int, keys: int) -> NDArray[np.float64]:
        """Return a study's similarities, (keys, keys)."""
        own = np.diag(self.hits[study, :keys] * self.config.effect_size)
        noise = self.noise[study, :keys, :keys].astype(np.float64)
        return SCALE * (noise + own)

    def is_found(self, study: int, keys: int, level: float) -> bool:
        """Test a study by permutation."""
        if (study, keys) not in self.p:
            cosines = self.cosines(study, keys)
            test = pairing_test(cosines, study, self.draws, ENUMERATED)
            self.p[study, keys] = test.p
        return self.p[study, keys] <= level

    def is_found_one_by_one(self, study: int, keys: int, level: float) -> bool:
        """Test a study sequentially."""
        return sequential_test(self.cosines(study, keys), level).stop is not None

    def fewest(
        self, is_found: Callable[[int, int, float], bool], level: float, least: int
    ) -> int | None:
        """Search the fewest keys with which enough studies reach a level.

        Args:
            is_found: Test of a study with so many keys at a level.
            level: Accepted probability of a false accusation.
            least: Fewest keys that can reach the level.
        """
        allowed = self.config.studies * (1 - self.config.power) + 1e-9

        def suffices(keys: int) -> bool:
            missed = 0
            for study in range(self.config.studies):
                missed += not is_found(study, keys, level)
                if missed > allowed:
                    return False
            return True

        # Double the number until it suffices, and halve the interval.
        below, keys = least - 1, least
        while not suffices(keys):
            if keys == MAX_KEYS:
                return None
            below, keys = keys, min(2 * keys, MAX_KEYS)
        while keys - below > 1:
            middle = (below + keys) // 2
            if suffices(middle):
                keys = middle
            else:
                below = middle
        return keys


def in_words(needed: Sequence[Needed], config: PlanConfig) -> str:
    """Format the numbers of keys as a table."""
    lines = [
        f"keys that reach p with a power of {config.power:.0%}, and in brackets asked one by one "
        f"(effect size {config.effect_size:g}, {config.studies} simulated studies)"
    ]
    heads = [f"p {level:g}" for level in config.levels]
    lines.append("hit rate" + "".join(f"{head:>16}" for head in heads))
    for hit_rate in config.hit_rates:
        row = [one for one in needed if one.hit_rate == hit_rate]
        cells = [f"{_count(one.keys)} ({_count(one.one_by_one)})" for one in row]
        lines.append(f"{hit_rate:8.0%}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _count(keys: int | None) -> str:
    """Format a number of keys."""
    return f"> {MAX_KEYS}" if keys is None else str(keys)


def as_values(needed: Sequence[Needed], config: PlanConfig) -> dict[str, Any]:
    """Return settings and numbers as plain values."""
    return {"settings": asdict(config), "needed": [asdict(one) for one in needed]}
