"""The order in which training pictures come: shuffled anew every epoch, shared out over ranks, and resumable at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DistributedSampler


class ResumableSampler(DistributedSampler[int]):
    """Endless-order sampling whose place is a function of the number of batches already seen.

    The order of an epoch depends on the seed and the epoch's number alone, so a run resumed after k batches sees
    exactly the pictures an unbroken one would have seen next.

    Args:
        length: Pictures in the data set.
        batch_size: Pictures per rank and batch.
        seed: Of the order.
        batches_seen: Called when an epoch starts; batches already trained on since the very start.
        rank: This process's number.
        world_size: How many processes there are.

    Raises:
        ValueError: If there are fewer pictures than one batch of every rank needs.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        batches_seen: Callable[[], int],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.batches = length // (batch_size * world_size)
        if self.batches < 1:
            msg = f"{length} training pictures are fewer than one batch of {batch_size} (batch_size) on each of {world_size} processes"
            raise ValueError(msg)
        super().__init__(
            range(length),
            num_replicas=world_size,
            rank=rank,
            shuffle=True,
            seed=seed,
            drop_last=True,
        )  # type: ignore[arg-type]
        self.batch_size, self.batches_seen = batch_size, batches_seen

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """This rank's picture numbers, from the current place to the end of the epoch."""
        epoch, done = divmod(self.batches_seen(), self.batches)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(self.dataset), generator=generator)  # type: ignore[arg-type]
        mine = order[self.rank : len(self) * self.num_replicas : self.num_replicas].tolist()
        yield from islice(mine, done * self.batch_size, None)


class PairedSampler(ResumableSampler):
    """As :class:`ResumableSampler`, with an independently drawn pair beside each picture: ``(picture, pair)``.

    Args:
        length: Pictures in the data set.
        pairs: Pairs to draw from, with replacement.
        rest: As for :class:`ResumableSampler`, after ``length``.
    """

    def __init__(self, length: int, pairs: int, *rest: Any) -> None:
        super().__init__(length, *rest)
        self.pairs = pairs

    def __iter__(self) -> Iterator[Any]:
        """This rank's picture and pair numbers, from the current place to the end of the epoch."""
        epoch, done = divmod(self.batches_seen(), self.batches)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch + 2**40) % 2**63)
        drawn = torch.randint(self.pairs, (len(self.dataset),), generator=generator)  # type: ignore[arg-type]
        mine = drawn[self.rank : len(self) * self.num_replicas : self.num_replicas].tolist()
        yield from zip(super().__iter__(), mine[done * self.batch_size :], strict=True)
