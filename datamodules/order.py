"""Resumable training order: shuffled each epoch, split over ranks, begun at the right place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, DistributedSampler


class LateLoader(DataLoader[Any]):
    """Loader that starts with its first batch, not when an iterator is made.

    Lightning makes an iterator before it restores the progress of a resumed run, and loader
    processes would read ahead from the wrong place.

    Args:
        dataset: As of DataLoader.
        begin: Function to call when an epoch starts.
        settings: Further arguments of DataLoader.
    """

    def __init__(
        self, dataset: Any, begin: Callable[[], None] = lambda: None, **settings: Any
    ) -> None:
        super().__init__(dataset, **settings)
        self.begin = begin

    def __iter__(self) -> Any:
        self.begin()
        yield from super().__iter__()


class ResumableSampler(DistributedSampler[int]):
    """Sampler whose position depends on the number of batches seen.

    An epoch's order depends on the seed and the epoch number alone. A run resumed after k batches
    sees exactly the images that an unbroken run would have seen next.

    Args:
        length: Number of images in the data set.
        batch_size: Images per rank and batch.
        seed: Seed of the order.
        batches_seen: Returns the number of batches trained on since the first step; called when an
            epoch starts.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        ValueError: If there are fewer images than one batch of every rank needs.
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
            msg = (
                f"{length} training images are fewer than one batch of {batch_size} (batch_size) "
                f"on each of {world_size} processes"
            )
            raise ValueError(msg)
        numbers: Any = range(length)
        super().__init__(numbers, world_size, rank, shuffle=True, seed=seed, drop_last=True)
        self.batch_size = batch_size
        self.batches_seen = batches_seen

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's image numbers from the current position to the epoch's end."""
        epoch, done = divmod(self.batches_seen(), self.batches)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(self.dataset), generator=generator)  # type: ignore[arg-type]
        yield from islice(self._own_share(order), done * self.batch_size, None)

    def _own_share(self, values: torch.Tensor) -> list[int]:
        """Return this rank's entries of (length,) values of an epoch."""
        return values[self.rank : len(self) * self.num_replicas : self.num_replicas].tolist()


class PairedSampler(ResumableSampler):
    """Sampler of ``(image, pair)`` numbers, drawn independently of each other.

    Args:
        length: Number of images in the data set.
        pairs: Number of pairs to draw from, with replacement.
        rest: Arguments of :class:`ResumableSampler` after ``length``.
    """

    def __init__(self, length: int, pairs: int, *rest: Any) -> None:
        super().__init__(length, *rest)
        self.pairs = pairs

    def __iter__(self) -> Iterator[Any]:
        """Yield this rank's image and pair numbers from the current position on."""
        epoch, done = divmod(self.batches_seen(), self.batches)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch + 2**40) % 2**63)
        size = (len(self.dataset),)  # type: ignore[arg-type]
        pairs = self._own_share(torch.randint(self.pairs, size, generator=generator))
        yield from zip(super().__iter__(), pairs[done * self.batch_size :], strict=True)
