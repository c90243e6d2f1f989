"""Settings of ``python -m sentinels plant``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PlantConfig:
    """What is planted.

    Attributes:
        count: Sentinels.
        order: Which sources: a random ``sample``, or the ``first`` by name.
        seed: Of sources, keys, places and names; None draws one from the system's secure source, which nobody can guess. It is kept beside
            the record, so that a stopped job goes on with the keys that it has paid for.
        key_length: Letters of a key.
        distance: Least edit distance of two keys.
        names: ``neutral`` names look like the source's; ``prefixed`` ones say sentinel_ as the published program's.
        attempts: Candidates for a source, with a new key each, before it is given up.
        concurrency: Sources worked on at a time.
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
            msg = f"count, attempts and concurrency must be at least 1, got {self.count}, {self.attempts} and {self.concurrency}"
            raise ValueError(msg)
