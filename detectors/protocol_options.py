"""Options of ``python -m detectors protocol``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ProtocolOptions:
    """Protocol, and the shards of its generators.

    Attributes:
        test: Patterns of shards to test on: real images, and generators, each in shards of its own.
        train: Patterns of shards to train a config on; not for given weights.
        val: Patterns of shards that training watches; those of generators that a split is not
            trained on are left out.
        kind: windows: train on all generators up to a release date, and test on the next ones;
            leave-one-out: train on all generators but one; families: train on one family, and test
            on all.
        window: Generators in a window, by release date.
        dates: Release dates by generator, where the shards state none: '{NAME: YYYY-MM-DD}'.
        families: Families by generator, in place of those of the shards: '{NAME: FAMILY}'.
    """

    test: Sequence[str]
    train: Sequence[str] = ()
    val: Sequence[str] = ()
    kind: Literal["windows", "leave-one-out", "families"] = "windows"
    window: int = 1
    dates: dict[str, str] | None = None
    families: dict[str, str] | None = None
