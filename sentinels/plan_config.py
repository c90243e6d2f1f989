"""Settings of ``python -m sentinels plan``."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_LEVEL = 1e-5
"""Least level that the drawn pairings of the permutation test can reach."""

MAX_STUDIES = 10_000
"""Most simulated studies; each takes 160 kB."""


@dataclass(frozen=True)
class PlanConfig:
    """Settings of the simulated studies behind the number of keys.

    Attributes:
        hit_rates: Shares of keys whose output is made from their sentinel: the rate of searches
            times Hit@1.
        levels: Accepted probabilities of a false accusation, at least 0.00001.
        effect_size: Similarity of such an output to its own source beyond the others', in standard
            deviations; decide reports it of a system.
        power: Share of studies that must reach the level.
        studies: Number of simulated studies.
        seed: Seed of the studies.

    Raises:
        ValueError: If a value is out of range.
    """

    hit_rates: tuple[float, ...] = (1.0, 0.7, 0.5, 0.3)
    levels: tuple[float, ...] = (0.05, 0.01, 0.001)
    effect_size: float = 3.0
    power: float = 0.9
    studies: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.hit_rates or not all(0 < rate <= 1 for rate in self.hit_rates):
            msg = f"hit rates must be above 0 and at most 1, got {list(self.hit_rates)}"
            raise ValueError(msg)
        if not self.levels or not all(LEAST_LEVEL <= level < 1 for level in self.levels):
            msg = f"levels must be at least 0.00001 and below 1, got {list(self.levels)}"
            raise ValueError(msg)
        if not 0 < self.power < 1 or self.effect_size <= 0 or not 1 <= self.studies <= MAX_STUDIES:
            msg = (
                "power must lie between 0 and 1, effect_size above 0, and studies be 1 to "
                f"{MAX_STUDIES}; got {self.power:g}, {self.effect_size:g} and {self.studies}"
            )
            raise ValueError(msg)
