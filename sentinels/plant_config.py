"""Settings of ``python -m sentinels plant``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PlantConfig:
    """Settings of planting.

    Attributes:
        count: Number of sentinels.
        order: Choice of the sources: a random ``sample``, or the ``first`` by name.
        seed: Seed of sources, keys, places and names. None draws one from the system's secure
            source, so that nobody can guess it; it is stored beside the record for resuming.
        key_length: Letters of a key, 3 to 16.
        distance: Least edit distance of two keys.
        names: ``neutral``: a sentinel replaces its source, under the source's name. ``prefixed``:
            it is published beside its source, with a name that begins with ``sentinel_``, as in
            the published program.
        attempts: Candidates per source, each with a new key, before it fails.
        concurrency: Sources processed in parallel.

    Raises:
        ValueError: If a count is below 1.
    """

    count: int = 20
    order: Literal["sample", "first"] = "sample"
    seed: int | None = None
    key_length: int = 6
    distance: int = 3
    names: Literal["neutral", "prefixed"] = "neutral"
    attempts: int = 4
    concurrency: int = 4

    def __post_init__(self) -> None:
        if self.count < 1 or self.attempts < 1 or self.concurrency < 1:
            msg = (
                "count, attempts and concurrency must be at least 1, "
                f"got {self.count}, {self.attempts} and {self.concurrency}"
            )
            raise ValueError(msg)
