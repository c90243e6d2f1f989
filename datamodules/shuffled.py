"""Endless shuffled streams of shard samples that start at any position."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from datamodules.shards import count_samples


class ShuffledShards:
    """Samples of shards, in blocks whose order is shuffled.

    Shards are drawn at random, with replacement. The samples of consecutive blocks depend on seed
    and position alone, so that a resumed run reads what an unbroken one would have read.

    Args:
        shards: Paths or URLs.
        read: Reader of one shard, which yields as many values as the shard has samples.
        block: Samples of a block, which are kept in memory, coded.
        seed: Seed of all random choices.
        position: Number of samples already taken.
    """

    def __init__(
        self,
        shards: list[str],
        read: Callable[[str], Iterator[Any]],
        block: int,
        seed: str,
        position: int,
    ) -> None:
        self.shards = shards
        self.read = read
        self.size = block
        self.seed = seed
        number, self.taken = divmod(position, block)
        self.number = number
        self.blocks: deque[list[Any]] = deque()
        self.samples = self._from(number * block)

    def take(self) -> Iterator[Any]:
        """Yield the next sample, and those to try in its place if it is damaged.

        These are the others of its block, and then those of the blocks after it. They are not
        taken.
        """
        first = self._block(0)
        for index in range(self.taken, self.taken + len(first)):
            yield first[index % len(first)]
        ahead = 1
        while True:
            yield from self._block(ahead)
            ahead += 1

    def advance(self) -> None:
        """Go on to the next sample."""
        self.taken += 1
        if self.taken == self.size:
            self._block(0)
            self.blocks.popleft()
            self.number += 1
            self.taken = 0

    def _block(self, ahead: int) -> list[Any]:
        """Return a block in its shuffled order; 0 is the present one."""
        while len(self.blocks) <= ahead:
            samples = list(islice(self.samples, self.size))
            number = self.number + len(self.blocks)
            random.Random(f"{self.seed} block {number}").shuffle(samples)
            self.blocks.append(samples)
        return self.blocks[ahead]

    def _from(self, position: int) -> Iterator[Any]:
        """Yield samples from a position on, without end.

        Raises:
            ValueError: If no shard has samples.
        """
        drawn = 0
        counts: dict[str, int] = {}
        while position:
            shard = self._shard(drawn)
            if shard not in counts:
                counts[shard] = self._count(shard)
            if counts[shard] > position:
                break
            position -= counts[shard]
            drawn += 1
        empty: set[str] = set()
        while True:
            shard = self._shard(drawn)
            empty.add(shard)
            for sample in islice(self.read(shard), position, None):
                empty.clear()
                yield sample
            if len(empty) == len(set(self.shards)):
                others = len(empty) - 1
                msg = f"no samples in {shard}, nor in the other {others} shards of its source"
                raise ValueError(msg)
            position = 0
            drawn += 1

    def _shard(self, drawn: int) -> str:
        """Return the shard of a draw."""
        return random.Random(f"{self.seed} shard {drawn}").choice(self.shards)

    def _count(self, shard: str) -> int:
        """Count a shard's samples; one without an index is read for it."""
        try:
            return count_samples(shard)
        except ValueError:
            return sum(1 for _ in self.read(shard))
