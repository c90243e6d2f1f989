"""Paired batches: real images, each followed by its reconstruction.

Both get the same crop, flip and edits, so that nothing but the autoencoder's traces differs, as in
AlignedForensics (ICLR 2025). Reconstructions may be aligned anew whenever they are drawn, as in DDA
(arXiv 2505.14359).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from datamodules.fake2m.alignment import align
from datamodules.shards import ShardSample, ShardSource, find_shards, read_shards
from datamodules.streams import MixedStream, apply_view, decode_image, parse_sample_record
from images.kinds import UnreadableImage
from images.transforms import RGBImage


@dataclass(frozen=True)
class TwinSource:
    """Shards of real images, and those of their reconstructions.

    Attributes:
        real: Pattern of the real shards; see :class:`datamodules.shards.ShardSource`.
        made: Pattern of the shards that ``python -m datamodules reconstruct`` made of them, one for
            each, in the same order.
        weight: Sampling weight, above 0, relative to the other sources.

    Raises:
        ValueError: If the weight is not above 0.
    """

    real: str
    made: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        ShardSource(self.made, self.weight)


class Twins(NamedTuple):
    """Coded sample of a real image, and that of its reconstruction."""

    real: ShardSample
    made: ShardSample


class TwinStream(MixedStream):
    """Endless stream of real images, each followed by its reconstruction.

    Args:
        sources: Sources of twins.
        aligned: Align each reconstruction with its original anew; see
            :mod:`datamodules.fake2m.alignment`.
        settings: Arguments of :class:`datamodules.streams.MixedStream` after ``sources``.

    Raises:
        FileNotFoundError: If shards are missing.
        ValueError: If a source has no samples, or another number of reconstructed shards than of
            real ones.
    """

    group = 2

    def __init__(self, sources: Sequence[TwinSource], aligned: bool, **settings: Any) -> None:
        made = [ShardSource(source.made, source.weight) for source in sources]
        super().__init__(((), made), **settings)
        self.aligned = aligned
        self.real_of: dict[str, str] = {}
        for source, shards in zip(sources, self.shards, strict=True):
            originals = find_shards(source.real)
            if len(originals) != len(shards):
                msg = (
                    f"{source.made}: {len(shards)} shards of reconstructions, but {source.real} "
                    f"are {len(originals)}; name the shards that they were made from"
                )
                raise ValueError(msg)
            self.real_of |= dict(zip(shards, originals, strict=True))

    def read(self, shard: str) -> Iterator[Twins]:
        """Yield the reconstructions of a shard with their originals.

        Raises:
            ValueError: If an original is missing or another one.
        """
        originals = read_shards([self.real_of[shard]])
        for made in read_shards([shard]):
            real = next((sample for sample in originals if sample.key == made.key), None)
            if real is None:
                msg = (
                    f"{made.name}: its original is not in {self.real_of[shard]}; "
                    "name the shards that it was made from"
                )
                raise ValueError(msg)
            yield Twins(real, made)

    def decode(self, drawn: Twins, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Decode twins to two samples with the same view and edits.

        Raises:
            UnreadableImage: If an image is damaged or missing.
            ValueError: If they are no twins.
        """
        real, made = (parse_sample_record(sample) for sample in drawn)
        twin = made["record"].get("twin")
        if not twin or twin != real["record"].get("sha256") or made["label"] != 1:
            msg = (
                f"{drawn.made.name}: not a reconstruction of {drawn.real.name}; "
                "name the shards that it was made from"
            )
            raise ValueError(msg)
        images = [_decode(sample) for sample in drawn]
        if self.aligned:
            images[1] = align(images[0], images[1], real["record"], rng).rgb
        # both get the same random choices
        state = rng.bit_generator.state
        samples = []
        for rgb, known in zip(images, (real, made), strict=True):
            rng.bit_generator.state = state
            edited = rgb if self.edit is None else self.edit(rgb, rng)
            image_u8 = apply_view(edited, self.view, rng)
            samples.append({"image": torch.from_numpy(image_u8.transpose(2, 0, 1).copy())} | known)
        return samples


def _decode(sample: ShardSample) -> RGBImage:
    """Decode a sample to (H, W, 3) uint8.

    Raises:
        UnreadableImage: If the image is damaged or missing.
    """
    if sample.image is None:
        reason = sample.fault or "features, but pairs need images"
        msg = f"{sample.name}: {reason}"
        raise UnreadableImage(msg)
    return decode_image(sample.image, sample.name)
